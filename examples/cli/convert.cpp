#include "commands.hpp"
#include "terminal.hpp"
#include "write_model.hpp"

namespace cli {

void convert(const convert_command& command, const app::any_encoders& formats) {
    terminal_listener tell;
    app::quantization job = app::prepare(command.options, tell.listener(), formats);
    tell.clear();
    write_model(job, command.kind, {}, formats, tell);
}

}  // namespace cli
