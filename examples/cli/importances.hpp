// Importances from a file or from texts, and what is said about them before a model is written.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "command_files.hpp"
#include "commands.hpp"
#include "tessera/app/open_model.hpp"
#include "tessera/calibrate/imatrix_file.hpp"
#include "tessera/calibrate/rare_matrices.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/core/token_windows.hpp"
#include "tessera/select/plan.hpp"

namespace cli {

struct loaded_importances {
    std::filesystem::path path;
    tessera::imatrix_file file;       ///< experts that few tokens reached are blended with the others
    std::uint64_t enough_tokens = 0;  ///< that these lack
    std::vector<tessera::rare_matrix> rare;

    /// The text they are from: nothing in files of others.
    [[nodiscard]] std::optional<tessera::divided_windows> text() const;
};

/// What encodes a model's weights. The importances may be null.
struct encoding {
    encoder_kind encoder = encoder_kind::nearest;
    const loaded_importances* importances = nullptr;
    feedback_inputs inputs = feedback_inputs::quantized;
};

/// Reads the importance matrix, or makes one from the texts, which the model's tokenizer and chat template as
/// `properties` describe them make tokens of, and blends experts that few tokens reached. What was made is kept as
/// `files` says. Nothing when the options name neither. Throws when the file is another model's, and at once when the
/// options contradict each other.
std::optional<loaded_importances> load_importances(const importance_options& options, const tessera::any_model& model,
                                                   const tessera::metadata& properties, const command_files& files,
                                                   int threads);

/// The encoder the options name, or the best that there is text for. Throws when they name one that lacks its text.
encoding choose_encoding(const importance_options& options, const loaded_importances* importances);

/// Tells on standard output what is missing for the tensors that the plan encodes, and what will be done about it.
/// `properties` are the model's.
void print_gaps(const tessera::select::plan& plan, const tessera::metadata& properties, const encoding& encoding);

/// The source's metadata and, where there are importances, the keys that tell of them.
tessera::metadata noted_metadata(const tessera::metadata& source, const loaded_importances* importances);

}  // namespace cli
