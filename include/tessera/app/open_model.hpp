// A model from whatever a path names: a GGUF file or a Hugging Face directory.
#pragma once

#include <filesystem>
#include <string>

#include "tessera/app/any_formats.hpp"
#include "tessera/app/any_model.hpp"
#include "tessera/app/listener.hpp"
#include "tessera/app/options.hpp"
#include "tessera/core/printable.hpp"
#include "tessera/files/model_path.hpp"
#include "tessera/format/builtin.hpp"
#include "tessera/huggingface/model.hpp"

namespace tessera {

/// Opens a GGUF file (the first shard of a split one) or a directory with config.json and safetensors. Rows in a format
/// of the list, and in types of plain storage, can be read; others only copied. Throws saying what the path names when
/// it is neither.
template <class Formats = builtin_formats>
[[nodiscard]] any_model open_model(const std::filesystem::path& path, const huggingface::model_options& options = {},
                                   const app::any_formats& formats = app::any_formats(Formats{})) {
    if (std::filesystem::is_directory(path)) {
        require_model_directory(path);
        return any_model(huggingface::model(path, options));
    }
    require_model_file(path);
    return formats.read_gguf(path);
}

namespace app {

/// Opens a model with the parts that are meant; says what is worth knowing of how its files were read.
[[nodiscard]] inline any_model open(const model_options& options, const any_formats& formats,
                                    const listener& listener) {
    using huggingface::output_matrix;
    const std::string name = options.path.string();
    if (listener.progress) listener.progress({.stage = "reading", .unit = "tensors", .name = name});
    const bool keeps_output = options.tied == tied_output::kept;
    any_model model = open_model(
        options.path, {.output = keeps_output ? output_matrix::untied : output_matrix::as_config_says}, formats);
    for (const std::string& note : model.notes())
        listener.note("note: ", printable(options.path.string()), ": ", printable(note));
    if (options.further == mtp_layers::left_out) model.leave_out_mtp_layers();
    if (listener.progress) {
        const std::size_t tensors = model.tensors().size();
        listener.progress({.stage = "reading", .unit = "tensors", .done = tensors, .total = tensors, .name = name});
    }
    return model;
}

}  // namespace app

}  // namespace tessera
