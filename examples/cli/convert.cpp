#include "commands.hpp"
#include "terminal.hpp"
#include "write_model.hpp"

namespace cli {

void convert(const convert_command& command, const app::any_encoders& formats) {
    terminal_listener tell;
    app::quantization job = app::prepare(command.options, tell.listener(), formats);
    tell.clear();
    if (command.kind == run_kind::dry) return print_planned(job, formats);
    write_model(job, {}, formats, tell);
}

}  // namespace cli
