#include "importances.hpp"

#include <algorithm>
#include <cstddef>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "about.hpp"
#include "calibrating.hpp"
#include "terminal.hpp"
#include "tessera/calibrate/imatrix.hpp"
#include "tessera/calibrate/rare_matrices.hpp"
#include "tessera/model/next_token_layers.hpp"
#include "tessera/pipeline/output_metadata.hpp"
#include "tessera/select/rules.hpp"

namespace cli {

namespace {

using tessera::select::choice;

// Tensors whose columns will all count alike, and among them those whose format asks for more.
void print_missing(const tessera::select::plan& plan, const tessera::importance_table& importances, bool has_file,
                   const tessera::model::next_token_layers& further) {
    std::vector<std::string> missing, not_run, needed;
    for (const choice& c : plan.choices) {
        if (!c.is_encoded() || importances.find(c.target.name) != nullptr) continue;
        (further.contains(c.target.name) ? not_run : missing).push_back(c.target.name);
        if (tessera::select::needs_importances(c.target)) needed.push_back(c.target.name);
    }
    if (has_file && !missing.empty())
        std::cout << "note: no importances for " << some_of(missing) << ": encoded with all columns alike\n";
    if (has_file && !not_run.empty())
        std::cout << "note: the forward pass does not run the layers that predict further tokens: no statistics for "
                  << some_of(not_run) << "; rounded without (--without-mtp leaves them out)\n";
    if (!needed.empty())
        std::cout << "warning: formats of so few bits need importances (--imatrix), or much more is lost: "
                  << some_of(needed) << '\n';
}

void print_blended(const std::vector<tessera::rare_matrix>& rare, std::uint64_t enough) {
    std::map<std::string, std::vector<std::string>> experts;  // of each tensor
    for (const tessera::rare_matrix& r : rare)
        experts[r.tensor].push_back(std::to_string(r.matrix) + " (" + std::to_string(r.tokens) + ")");
    for (const auto& [tensor, list] : experts)
        std::cout << "note: " << tensor << ": fewer than " << enough << " tokens reached experts (tokens) " << some_of(list)
                  << ": blended with the average of all\n";
}

void print_unreached(const tessera::select::plan& plan, const tessera::importance_table& importances) {
    for (const choice& c : plan.choices)
        if (const auto* entry = importances.find(c.target.name); entry != nullptr && entry->unreached() > 0)
            std::cout << "note: " << c.target.name << ": no token reached " << entry->unreached() << " of "
                      << entry->tokens.size() << " matrices: encoded with all columns alike\n";
}

}  // namespace

std::optional<tessera::feedback_text> loaded_importances::text() const {
    const auto windows = [&](std::string_view key) { return file.properties.get<std::vector<std::int32_t>>(key); };
    const std::vector<std::int32_t>* used = windows(tessera::used_windows_key);
    const std::vector<std::int32_t>* held_back = windows(tessera::held_back_key);
    if (used == nullptr || used->empty()) return std::nullopt;
    return tessera::feedback_text{*used, held_back == nullptr ? std::span<const std::int32_t>() : *held_back, file.chunk_size};
}

encoding choose_encoding(const importance_options& options, const loaded_importances* importances) {
    const bool has_text = importances != nullptr && importances->text();
    if (options.encoder == encoder_kind::feedback && !has_text)
        tessera::fail("--encoder feedback: wanted texts (--text) or an importance matrix of tessera calibrate, which holds "
                      "its text (--imatrix FILE.gguf), got ", importances == nullptr ? "neither" : importances->path.string());
    const encoder_kind encoder = options.encoder.value_or(has_text ? encoder_kind::feedback : encoder_kind::weighted);
    if (options.inputs && encoder != encoder_kind::feedback)
        tessera::fail("--feedback-inputs: wanted the encoder feedback, which needs a text (--text, or --imatrix with a file of "
                      "tessera calibrate), got another");
    return {encoder, importances, options.inputs.value_or(feedback_inputs::quantized)};
}

std::optional<loaded_importances> load_importances(const importance_options& options, const tessera::any_model& model,
                                                   const tessera::metadata& properties, int threads) {
    if (options.file.empty() && options.texts.empty()) return std::nullopt;
    loaded_importances loaded{options.file, {}};
    if (options.texts.empty()) {
        loaded.file = tessera::read_imatrix(options.file);
    } else {
        calibrate_options calibration;
        calibration.texts.texts = options.texts;
        const calibration_text text = read_calibration_text(properties, calibration);
        std::cout << "text: " << text.framing << '\n';
        loaded.path = options.texts.front();
        loaded.file = make_imatrix(run_calibration(model, text, threads), text);
    }
    tessera::importance_table& importances = loaded.file.importances;
    about(loaded.path, [&] { importances.require_fit(model.tensors()); });
    print_blended(tessera::blend_rare_matrices(importances, options.enough_tokens), options.enough_tokens);
    return loaded;
}

void print_gaps(const tessera::select::plan& plan, const tessera::metadata& properties,
                const loaded_importances* importances) {
    const auto further = tessera::model::find_next_token_layers(properties);
    if (importances == nullptr) return print_missing(plan, {}, false, further);
    print_missing(plan, importances->file.importances, true, further);
    print_unreached(plan, importances->file.importances);
}

tessera::metadata noted_metadata(const tessera::metadata& source, const loaded_importances* importances) {
    tessera::metadata properties = source;
    if (importances != nullptr) tessera::note_importances(properties, importances->path.string(), importances->file);
    return properties;
}

}  // namespace cli
