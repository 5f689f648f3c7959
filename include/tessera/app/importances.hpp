// Importances from a file or from texts, and what will be done where they lack something.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tessera/app/about.hpp"
#include "tessera/app/calibrate.hpp"
#include "tessera/app/listener.hpp"
#include "tessera/app/loaded_importances.hpp"
#include "tessera/app/memory.hpp"
#include "tessera/app/open_model.hpp"
#include "tessera/app/options.hpp"
#include "tessera/app/texts.hpp"
#include "tessera/app/work_cost.hpp"
#include "tessera/app/work_estimate.hpp"
#include "tessera/app/work_files.hpp"
#include "tessera/calibrate/calibrate.hpp"
#include "tessera/calibrate/imatrix.hpp"
#include "tessera/calibrate/imatrix_file.hpp"
#include "tessera/calibrate/rare_matrices.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/function_ref.hpp"
#include "tessera/core/journal.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/core/printable.hpp"
#include "tessera/core/token_windows.hpp"
#include "tessera/decoder/mtp_layers.hpp"
#include "tessera/files/work_folder.hpp"
#include "tessera/quantize/output_metadata.hpp"
#include "tessera/select/plan.hpp"
#include "tessera/select/rules.hpp"

namespace tessera::app {

/// The encoding that options name, or the best where there is a text or none; without importances.
[[nodiscard]] inline encoding expected_encoding(const importance_options& options, bool has_text) {
    return {options.encoder.value_or(has_text ? encoder_kind::feedback : encoder_kind::weighted), nullptr,
            options.inputs.value_or(feedback_inputs::quantized), options.memory};
}

namespace detail {

[[noreturn]] inline void fail_without_feedback() {
    fail(
        "--feedback-inputs: wanted the encoder feedback, which needs a text (--text, or --imatrix with a file of "
        "tessera calibrate), got another");
}

// Made from the text, or by a run before this one that did not get further.
template <class Model>
[[nodiscard]] imatrix_file calibrate_at_once(const importance_options& options, const Model& model,
                                             const calibration_text& text, work_files& files, int threads,
                                             const listener& listener) {
    constexpr const char* origin_key = "tessera.calibration.origin";
    const token_windows& windows = text.windows.used;
    const auto run = [&](const std::filesystem::path& checkpoint) {
        decoder::tile_memory memory(tile_memory_of(
            options.memory,
            needs_of(memory_stage::running, model.metadata(), model.tensors(), windows.length(), threads)));
        const calibration result = tessera::calibrate(
            model, windows, {.threads = threads, .checkpoint = checkpoint, .memory = &memory}, listener.progress);
        if (result.resumed > 0) tell_resumed(listener, checkpoint, result.resumed);
        return make_imatrix(result, text);
    };
    work_folder& folder = files.folder();
    if (folder.path().empty()) return run({});

    const work_identity identity = work_on(model).add("text", digest().add(text.windows).value());
    return go_on(files, work_folder::importances, [&] {
        const std::filesystem::path kept = folder.path() / concat(work_folder::importances, ".gguf");
        const auto found = resume(kept, listener, [&](const std::filesystem::path& path) {
            imatrix_file file;
            try {
                file = read_imatrix(path);
            } catch (const error& e) {
                throw unfit_work(e.what());
            }
            if (const auto from = file.properties.get_or(origin_key, std::string()); from != identity.text())
                throw unfit_work(concat(path.string(),
                                        ": wanted importances of this model and text, got some that differ in ",
                                        identity.difference(from)));
            return file;
        });
        if (found) return *found;
        imatrix_file made = go_on(files, work_folder::calibration,
                                  [&] { return run(folder.file(concat(work_folder::calibration, ".journal"))); });
        made.properties.set(origin_key, identity.text());
        write_imatrix(folder.file(concat(work_folder::importances, ".gguf")), made, files.kept_rule());
        folder.forget(work_folder::calibration);
        tell_kept(listener, "importances", kept);
        return read_imatrix(kept);  // rounded as for a run that goes on from there
    });
}

// How much of that is done by a run before this one.
template <class Model>
[[nodiscard]] double calibrated_share(const work_files& files, const Model& model, const token_windows& windows,
                                      const model_work& work) {
    if (!files.left(concat(work_folder::importances, ".gguf")).empty()) return 1;
    const auto checkpoint = files.left(concat(work_folder::calibration, ".journal"));
    return share_done(work.share_of(layers_done(model, windows, checkpoint)), 1);
}

}  // namespace detail

/// What importances come from, before the model has run: an importance matrix, or a text. Neither: there are none.
struct importance_basis {
    std::optional<loaded_importances> loaded{};
    std::optional<calibration_text> text{};

    /// Whether encoders can learn from a text.
    [[nodiscard]] bool has_text() const { return text || (loaded && loaded->text()); }
    /// Windows for decisions, if some were or will be held out.
    [[nodiscard]] std::optional<token_windows> held_out() const {
        return text ? text->windows.held_out : loaded ? loaded->held_out() : std::nullopt;
    }
};

namespace detail {

// Throws when the encoder that is wanted lacks its text.
inline void require_encoder(const importance_options& options, bool has_text, const std::filesystem::path& from) {
    if (options.encoder == encoder_kind::feedback && !has_text)
        fail(
            "--encoder feedback: wanted texts (--text) or an importance matrix of tessera calibrate, which holds "
            "its text (--imatrix FILE.gguf), got ",
            from.empty() ? "neither" : from.string());
    if (options.inputs && expected_encoding(options, has_text).encoder != encoder_kind::feedback)
        fail_without_feedback();
}

}  // namespace detail

/// Reads the importance matrix and blends experts that few tokens reached; or reads the texts, of which the model's
/// tokenizer and chat template as `properties` describe them make tokens. Of so many tokens in the texts
/// tokens_of(count) says how many to work on. Throws when the file is another model's, a text is too short, and at once
/// when the options contradict each other.
template <class Model>
[[nodiscard]] importance_basis read_importances(const importance_options& options, const Model& model,
                                                const metadata& properties, const listener& listener,
                                                function_ref<std::uint64_t(std::uint64_t)> tokens_of) {
    if (options.inputs && options.encoder.value_or(encoder_kind::feedback) != encoder_kind::feedback)
        detail::fail_without_feedback();
    importance_basis basis;
    if (!options.texts.empty()) {
        const text_sources texts = read_text_sources(properties, {.texts = options.texts});
        const std::uint64_t tokens = tokens_of(texts.tokens());
        basis.text = cut_calibration_text(texts, properties, {.tokens = tokens}, listener);
    } else if (!options.file.empty()) {
        loaded_importances& loaded = basis.loaded.emplace();
        loaded.path = options.file;
        loaded.enough_tokens = options.enough_tokens;
        loaded.file = read_imatrix(options.file);
        about(loaded.path, [&] { loaded.file.importances.require_fit(model.tensors()); });
        loaded.rare = blend_rare_matrices(loaded.file.importances, options.enough_tokens);
    }
    detail::require_encoder(options, basis.has_text(), options.file);
    return basis;
}

/// Importances from what they come from: runs the model over the text, if it is one. What was made is kept as `files`
/// says. Nothing when they come from nothing.
template <class Model>
[[nodiscard]] std::optional<loaded_importances> obtain_importances(importance_basis basis,
                                                                   const importance_options& options,
                                                                   const Model& model, work_files& files, int threads,
                                                                   const listener& listener) {
    if (!basis.text) return std::move(basis.loaded);
    loaded_importances made;
    made.enough_tokens = options.enough_tokens;
    made.path = options.texts.front();
    made.file = detail::calibrate_at_once(options, model, *basis.text, files, threads, listener);
    about(made.path, [&] { made.file.importances.require_fit(model.tensors()); });
    made.rare = blend_rare_matrices(made.file.importances, options.enough_tokens);
    return made;
}

/// What obtain_importances would return, but without its numbers where the model has to run for them: what plans by
/// name and the file's metadata need is there.
[[nodiscard]] inline std::optional<loaded_importances> expected_importances(importance_basis basis,
                                                                            const importance_options& options) {
    if (!basis.text) return std::move(basis.loaded);
    const token_windows& used = basis.text->windows.used;
    loaded_importances expected;
    expected.enough_tokens = options.enough_tokens;
    expected.path = options.texts.front();
    expected.file = make_imatrix({.windows = used.size(), .window = used.length(), .inputs = {}}, *basis.text);
    return expected;
}

/// The encoder the options name, or the best that there is text for. Throws when they name one that lacks its text.
[[nodiscard]] inline encoding choose_encoding(const importance_options& options,
                                              const loaded_importances* importances) {
    const bool has_text = importances != nullptr && importances->text();
    detail::require_encoder(options, has_text, importances == nullptr ? "" : importances->path);
    encoding chosen = expected_encoding(options, has_text);
    chosen.importances = importances;
    return chosen;
}

/// What importances lack for the tensors that a plan encodes.
struct importance_gaps {
    std::vector<std::string> missing;  ///< tensors without: all their columns count alike
    std::vector<std::string> not_run;  ///< the same, because the forward pass does not run their layers
    std::vector<std::string> needed;   ///< of both those whose format asks for importances
    std::vector<rare_matrix> rare;     ///< blended with the average of their tensors, in the order of the plan
    struct unreached_tensor {
        std::string name;
        std::uint64_t unreached;  ///< matrices that no token reached,
        std::size_t matrices;     ///< of so many
    };
    std::vector<unreached_tensor> unreached;
};

/// `properties` are the model's.
[[nodiscard]] inline importance_gaps find_gaps(const select::plan& plan, const metadata& properties,
                                               const loaded_importances* importances) {
    const auto further = decoder::find_mtp_layers(properties);
    importance_gaps gaps;
    for (const select::choice& c : plan.choices) {
        if (!c.is_encoded()) continue;
        const std::string& name = c.target.name;
        const tensor_importance* entry = importances == nullptr ? nullptr : importances->file.importances.find(name);
        if (entry == nullptr) {
            (further.contains(name) ? gaps.not_run : gaps.missing).push_back(name);
            if (select::needs_importances(c.target)) gaps.needed.push_back(name);
            continue;
        }
        for (const rare_matrix& r : importances->rare)
            if (r.tensor == name) gaps.rare.push_back(r);
        if (entry->unreached() > 0) gaps.unreached.push_back({name, entry->unreached(), entry->tokens.size()});
    }
    return gaps;
}

/// The source's metadata and, where there are importances, the keys that tell of them.
[[nodiscard]] inline metadata noted_metadata(const metadata& source, const loaded_importances* importances) {
    metadata properties = source;
    if (importances != nullptr) note_importances(properties, importances->path.string(), importances->file);
    return properties;
}

}  // namespace tessera::app
