#include <iostream>
#include <optional>

#include "chat_template.hpp"
#include "command_files.hpp"
#include "commands.hpp"
#include "importances.hpp"
#include "model_summary.hpp"
#include "open.hpp"
#include "planning.hpp"
#include "tessera/files/plan_file.hpp"
#include "tessera/format/builtin.hpp"
#include "write_model.hpp"

namespace cli {

void quantize(const quantize_options& options) {
    using namespace tessera;
    command_files files(options.output.existing);
    files.read_model(options.model);
    files.read(options.plan);
    files.read(options.output.chat_template);
    files.write(options.output.path);
    files.write(options.report);
    files.use(options.importances, options.output.path);
    if (options.target.is_given())
        files.use(options.target, options.output.path);
    else
        files.read(options.target.damage);
    files.check();
    const any_model model = open(options.model, options.further, options.tied);
    const metadata properties = with_chat_template(model.metadata(), options.output.chat_template);
    std::optional<select::plan> plan;
    if (options.plan.empty())
        require_plannable(model, options.names, options.target);
    else
        plan = load_plan(options.plan, model.tensors());
    const auto loaded = load_importances(options.importances, model, properties, files, options.output.threads);
    const encoding encoding = choose_encoding(options.importances, loaded ? &*loaded : nullptr);
    const auto stored = model_summary(model.tensors());
    if (const auto* layout = builtin_formats::find(stored.main_format()); layout == nullptr || layout->block_size > 1)
        std::cout << "note: " << path_text(options.model) << " is quantized already (" << stored.main_format()
                  << "); its error adds to the new one\n";
    if (!plan) plan = make_plan(model, options.names, options.target, encoding, files, options.output.threads);
    print_gaps(*plan, properties, encoding);
    write_model(model, *plan, properties, options.output, files, encoding, options.report);
    files.done();
}

}  // namespace cli
