#include "chat_template.hpp"
#include "command_files.hpp"
#include "commands.hpp"
#include "open.hpp"
#include "tessera/format/builtin.hpp"
#include "tessera/select/strategies.hpp"
#include "write_model.hpp"

namespace cli {

void convert(const convert_options& options) {
    using namespace tessera;
    command_files files(options.output.existing);
    files.read_model(options.model);
    files.read(options.output.chat_template);
    files.write(options.output.path);
    files.check();
    const any_model model = open(options.model, options.further, options.tied);
    const select::uniform rule{*builtin_formats::find(options.type)};
    write_model(model, select::make_plan(model.tensors(), rule, fallback_formats::layouts),
                with_chat_template(model.metadata(), options.output.chat_template), options.output, files);
}

}  // namespace cli
