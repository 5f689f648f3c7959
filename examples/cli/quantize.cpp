#include <iostream>

#include "chat_template.hpp"
#include "commands.hpp"
#include "importances.hpp"
#include "model_summary.hpp"
#include "open.hpp"
#include "planning.hpp"
#include "tessera/format/builtin.hpp"
#include "tessera/pipeline/plan_file.hpp"
#include "write_model.hpp"

namespace cli {

void quantize(const quantize_options& options) {
    using namespace tessera;
    const any_model model = open(options.model, options.further);
    const metadata properties = with_chat_template(model.metadata(), options.output.chat_template);
    const auto loaded = load_importances(options.importances, model, properties, options.output.threads);
    const encoding encoding = choose_encoding(options.importances, loaded ? &*loaded : nullptr);
    const auto stored = model_summary(model.tensors());
    if (const auto* layout = builtin_formats::find(stored.main_format()); layout == nullptr || layout->block_size > 1)
        std::cout << "note: " << options.model.string() << " is quantized already (" << stored.main_format()
                  << "); its error adds to the new one\n";
    const select::plan plan = options.plan.empty() ? make_plan(model, options.names, options.target, encoding, options.output.threads)
                                                   : load_plan(options.plan, model.tensors());
    print_gaps(plan, properties, encoding.importances);
    write_model(model, plan, properties, options.output, encoding, options.report);
}

}  // namespace cli
