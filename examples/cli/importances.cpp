#include "importances.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iostream>
#include <span>
#include <string>
#include <vector>

#include "about.hpp"
#include "calibrating.hpp"
#include "terminal.hpp"
#include "tessera/calibrate/imatrix.hpp"
#include "tessera/core/printable.hpp"
#include "tessera/decoder/mtp_layers.hpp"
#include "tessera/quantize/output_metadata.hpp"
#include "tessera/select/rules.hpp"

namespace cli {

namespace {

using tessera::select::choice;

// Tensors whose columns will all count alike, and among them those whose format asks for more.
void print_missing(const tessera::select::plan& plan, const tessera::importance_table& importances, bool has_file,
                   const tessera::decoder::mtp_layers& further) {
    std::vector<std::string> missing, not_run, needed;
    for (const choice& c : plan.choices) {
        if (!c.is_encoded() || importances.find(c.target.name) != nullptr) continue;
        (further.contains(c.target.name) ? not_run : missing).push_back(c.target.name);
        if (tessera::select::needs_importances(c.target)) needed.push_back(c.target.name);
    }
    if (has_file && !missing.empty())
        std::cout << "note: no importances for " << some_of(missing) << ": encoded with all columns alike\n";
    if (has_file && !not_run.empty())
        std::cout << "note: the forward pass does not run the layers for multi-token prediction: no statistics for "
                  << some_of(not_run) << "; rounded without (--without-mtp leaves them out)\n";
    if (!needed.empty())
        std::cout << "warning: formats of so few bits need importances (--imatrix), or much more is lost: "
                  << some_of(needed) << '\n';
}

void print_rare(const tessera::select::plan& plan, const loaded_importances& importances) {
    for (const choice& c : plan.choices) {
        std::vector<std::string> experts;
        for (const tessera::rare_matrix& r : importances.rare)
            if (r.tensor == c.target.name && c.is_encoded())
                experts.push_back(std::to_string(r.matrix) + " (" + std::to_string(r.tokens) + ")");
        if (experts.empty()) continue;
        std::cout << "note: " << tessera::printable(c.target.name) << ": fewer than " << importances.enough_tokens
                  << " tokens reached experts (tokens) " << some_of(experts) << ": blended with the average of all\n";
    }
}

void print_unreached(const tessera::select::plan& plan, const tessera::importance_table& importances,
                     encoder_kind encoder) {
    for (const choice& c : plan.choices) {
        const auto* entry = importances.find(c.target.name);
        if (entry == nullptr || entry->unreached() == 0 || !c.is_encoded()) continue;
        const bool has_others = encoder == encoder_kind::feedback && entry->unreached() < entry->tokens.size();
        std::cout << "note: " << tessera::printable(c.target.name) << ": no token reached " << entry->unreached()
                  << " of " << entry->tokens.size() << " matrices: encoded with "
                  << (has_others ? "the importances of the others\n" : "all columns alike\n");
    }
}

[[noreturn]] void fail_without_feedback() {
    tessera::fail(
        "--feedback-inputs: wanted the encoder feedback, which needs a text (--text, or --imatrix with a file of "
        "tessera calibrate), got another");
}

// Made from the texts, or by a run before this one that did not get further.
tessera::imatrix_file calibrate_at_once(const importance_options& options, const tessera::any_model& model,
                                        const tessera::metadata& properties, const command_files& files, int threads) {
    constexpr const char* origin_key = "tessera.calibration.origin";
    calibrate_options calibration;
    calibration.texts.texts = options.texts;
    const calibration_text text = read_calibration_text(properties, calibration);
    std::cout << "text: " << tessera::printable(text.framing) << '\n';
    const std::filesystem::path& kept = files.kept_importances();
    if (kept.empty()) return make_imatrix(run_calibration(model, text, threads), text);

    const std::string made_from =
        origin(model)
            .add(text.windows.used.length())
            .add(text.windows.used.tokens())
            .add(text.windows.held_out ? text.windows.held_out->tokens() : std::span<const std::int32_t>())
            .text();
    const auto found = resume(kept, files.rule(), "--imatrix", [&] {
        tessera::imatrix_file file = tessera::read_imatrix(kept);
        if (file.properties.get_or(origin_key, std::string()) != made_from)
            tessera::fail(kept.string(), ": wanted importances of this model and text, got others");
        return file;
    });
    if (found) return *found;
    tessera::imatrix_file made = make_imatrix(run_calibration(model, text, threads), text);
    made.properties.set(origin_key, made_from);
    tessera::write_imatrix(kept, made, {.inputs = files.rule().inputs, .existing = tessera::existing_file::replace});
    tell_kept("importances", kept);
    return tessera::read_imatrix(kept);  // rounded as for a run that goes on from there
}

}  // namespace

std::optional<tessera::divided_windows> loaded_importances::text() const {
    const auto windows = [&](std::string_view key) { return file.properties.get<std::vector<std::int32_t>>(key); };
    const std::vector<std::int32_t>* used = windows(tessera::used_windows_key);
    const std::vector<std::int32_t>* held_out = windows(tessera::held_out_windows_key);
    if (used == nullptr || used->empty()) return std::nullopt;
    return about(path, [&] {
        tessera::divided_windows text{{*used, file.chunk_size}};
        if (held_out != nullptr && !held_out->empty()) text.held_out.emplace(*held_out, file.chunk_size);
        return std::optional(std::move(text));
    });
}

encoding choose_encoding(const importance_options& options, const loaded_importances* importances) {
    const bool has_text = importances != nullptr && importances->text();
    if (options.encoder == encoder_kind::feedback && !has_text)
        tessera::fail(
            "--encoder feedback: wanted texts (--text) or an importance matrix of tessera calibrate, which holds "
            "its text (--imatrix FILE.gguf), got ",
            importances == nullptr ? "neither" : importances->path.string());
    const encoder_kind encoder = options.encoder.value_or(has_text ? encoder_kind::feedback : encoder_kind::weighted);
    if (options.inputs && encoder != encoder_kind::feedback) fail_without_feedback();
    return {encoder, importances, options.inputs.value_or(feedback_inputs::quantized)};
}

std::optional<loaded_importances> load_importances(const importance_options& options, const tessera::any_model& model,
                                                   const tessera::metadata& properties, const command_files& files,
                                                   int threads) {
    if (options.inputs && options.encoder.value_or(encoder_kind::feedback) != encoder_kind::feedback)
        fail_without_feedback();
    if (options.file.empty() && options.texts.empty()) return std::nullopt;
    loaded_importances loaded;
    loaded.enough_tokens = options.enough_tokens;
    if (options.texts.empty()) {
        loaded.path = options.file;
        loaded.file = tessera::read_imatrix(options.file);
    } else {
        loaded.path = options.texts.front();
        loaded.file = calibrate_at_once(options, model, properties, files, threads);
    }
    tessera::importance_table& importances = loaded.file.importances;
    about(loaded.path, [&] { importances.require_fit(model.tensors()); });
    loaded.rare = tessera::blend_rare_matrices(importances, options.enough_tokens);
    return loaded;
}

void print_gaps(const tessera::select::plan& plan, const tessera::metadata& properties, const encoding& encoding) {
    const auto further = tessera::decoder::find_mtp_layers(properties);
    const loaded_importances* importances = encoding.encoder == encoder_kind::nearest ? nullptr : encoding.importances;
    if (importances == nullptr) return print_missing(plan, {}, false, further);
    print_missing(plan, importances->file.importances, true, further);
    print_rare(plan, *importances);
    print_unreached(plan, importances->file.importances, encoding.encoder);
}

tessera::metadata noted_metadata(const tessera::metadata& source, const loaded_importances* importances) {
    tessera::metadata properties = source;
    if (importances != nullptr) tessera::note_importances(properties, importances->path.string(), importances->file);
    return properties;
}

}  // namespace cli
