#include "open.hpp"

#include <algorithm>
#include <iostream>
#include <string>

#include "terminal.hpp"
#include "tessera/core/printable.hpp"

namespace cli {

tessera::any_model open(const std::filesystem::path& path, mtp_layers further, tied_output tied) {
    using tessera::huggingface::output_matrix;
    tessera::any_model model = tessera::open_model(
        path, {.output = tied == tied_output::kept ? output_matrix::untied : output_matrix::as_config_says});
    for (const std::string& note : model.notes())
        std::cerr << "note: " << path_text(path) << ": " << tessera::printable(note) << '\n';
    if (further == mtp_layers::left_out) model.leave_out_mtp_layers();
    return model;
}

std::size_t default_window(const tessera::metadata& properties) {
    const auto& architecture = properties.require<std::string>("general.architecture");
    const auto trained = properties.get_count(architecture + ".context_length").value_or(512);
    return std::min<std::size_t>(512, trained);
}

}  // namespace cli
