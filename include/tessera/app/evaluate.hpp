// How far models are from a reference, on texts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/app/about.hpp"
#include "tessera/app/any_formats.hpp"
#include "tessera/app/listener.hpp"
#include "tessera/app/memory.hpp"
#include "tessera/app/model_summary.hpp"
#include "tessera/app/open_model.hpp"
#include "tessera/app/texts.hpp"
#include "tessera/app/work_cost.hpp"
#include "tessera/app/work_estimate.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/token_windows.hpp"
#include "tessera/decoder/tile_memory.hpp"
#include "tessera/measure/compare.hpp"
#include "tessera/measure/kl_divergence.hpp"
#include "tessera/measure/scored_model.hpp"
#include "tessera/measure/statistics.hpp"

namespace tessera::app {

/// Whether candidates are compared with the reference alone, or every second one with the one before it, too.
enum class comparing { each, pairs };

struct evaluate_options {
    std::filesystem::path reference{};
    std::vector<std::filesystem::path> candidates{};
    std::vector<std::string> texts{};  ///< as in text_options
    std::size_t window = 0;            ///< tokens in a window; 0: 512 or the context the model was trained for
    std::size_t window_limit = 0;      ///< 0: all the text has
    comparing compare = comparing::each;
    int threads = 0;
    memory_options memory{};
};

/// A candidate and how far it is from the reference.
struct evaluated {
    std::filesystem::path path;
    std::string format;  ///< that holds the most weights
    double bits_per_weight;
    std::uint64_t file_bytes;
    kl_divergence_result result;
    std::optional<estimate> ratio{};  ///< of the mean divergence to that of the candidate before it, in pairs
};

struct evaluation {
    scored_text text;
    std::vector<evaluated> candidates;
};

namespace detail {

// Divergences between predictions of different tokens would mean nothing.
inline void require_same_tokens(const metadata& reference, const metadata& candidate) {
    constexpr std::string_view key = "tokenizer.ggml.tokens";
    const auto* wanted = reference.find(key);
    const auto* got = candidate.find(key);
    if (wanted != nullptr && got != nullptr && *wanted != *got)
        fail(key, ": wanted the reference's vocabulary, got another one");
}

}  // namespace detail

/// Runs the reference and then every candidate over the texts.
template <class Formats = builtin_formats>
[[nodiscard]] evaluation evaluate(const evaluate_options& options, const listener& listener = {},
                                  const any_formats& formats = any_formats(Formats{})) {
    const any_model reference = open({.path = options.reference}, formats, listener);
    std::vector<any_model> candidates;  // all of them before the long work, so that a wrong name is told at once
    for (const auto& path : options.candidates) {
        candidates.push_back(open({.path = path}, formats, listener));
        about(path, [&] { detail::require_same_tokens(reference.metadata(), candidates.back().metadata()); });
    }
    const std::size_t length = options.window > 0 ? options.window : default_window(reference.metadata());
    evaluation all{read_scored_text(reference.metadata(), options.texts, length, options.window_limit), {}};
    const token_windows& windows = all.text.windows;
    decoder::tile_memory memory = about(options.reference, [&] {
        return decoder::tile_memory(tile_memory_of(
            options.memory,
            needs_of(memory_stage::running, reference.metadata(), reference.tensors(), length, options.threads)));
    });

    const model_work each(reference.tensors(), reference.metadata());
    std::vector<stage_cost> stages{{"reference", each.forward(windows)}};
    for (std::size_t c = 0; c < candidates.size(); ++c) {
        stages.push_back({"candidate", each.forward(windows)});
        stages.push_back({"compare", each.comparison(windows)});
    }
    plan_stages(listener, options.threads, stages);

    scored_model<any_model> original("reference", reference, options.threads);
    about(options.reference, [&] { original.run(windows, listener.progress, &memory); });
    std::vector<float> first_of_pair;
    for (std::size_t c = 0; c < candidates.size(); ++c) {
        const kl_divergence measured = about(options.candidates[c], [&] {
            scored_model<any_model> candidate("candidate", candidates[c], options.threads);
            candidate.run(windows, listener.progress, &memory);
            return compare(original, candidate, {.threads = options.threads}, listener.progress);
        });
        const model_summary summary(candidates[c].tensors());
        all.candidates.push_back({options.candidates[c], std::string(summary.main_format()), summary.bits_per_weight(),
                                  size_on_disk(candidates[c].files()), measured.result()});
        if (options.compare == comparing::each) continue;
        const auto divergences = measured.per_token();
        if (c % 2 == 0)
            first_of_pair.assign(divergences.begin(), divergences.end());
        else
            all.candidates.back().ratio = mean_ratio(first_of_pair, divergences);
    }
    return all;
}

}  // namespace tessera::app
