#include "open.hpp"

#include <algorithm>
#include <iostream>
#include <string>

#include "terminal.hpp"
#include "tessera/core/printable.hpp"

namespace cli {

tessera::any_model open(const std::filesystem::path& path, next_token_layers further, tied_output tied) {
    using tessera::huggingface::hf_output;
    tessera::any_model model = tessera::open_model(
        path, {.output = tied == tied_output::kept ? hf_output::untied : hf_output::as_config_says});
    for (const std::string& note : model.notes())
        std::cerr << "note: " << path_text(path) << ": " << tessera::printable(note) << '\n';
    if (further == next_token_layers::left_out) model.leave_out_next_token_layers();
    return model;
}

std::size_t default_window(const tessera::metadata& properties) {
    const auto& architecture = properties.require<std::string>("general.architecture");
    const auto trained = properties.get_count(architecture + ".context_length").value_or(512);
    return std::min<std::size_t>(512, trained);
}

}  // namespace cli
