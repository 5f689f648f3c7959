// How far models are from a reference, on texts.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/app/about.hpp"
#include "tessera/app/amounts.hpp"
#include "tessera/app/any_formats.hpp"
#include "tessera/app/disk_space.hpp"
#include "tessera/app/forecast.hpp"
#include "tessera/app/kept_evaluation.hpp"
#include "tessera/app/kept_number.hpp"
#include "tessera/app/listener.hpp"
#include "tessera/app/memory.hpp"
#include "tessera/app/model_summary.hpp"
#include "tessera/app/open_model.hpp"
#include "tessera/app/options.hpp"
#include "tessera/app/texts.hpp"
#include "tessera/app/work_cost.hpp"
#include "tessera/app/work_estimate.hpp"
#include "tessera/app/work_files.hpp"
#include "tessera/calibrate/kept_states.hpp"
#include "tessera/core/duration.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/journal.hpp"
#include "tessera/core/output_rule.hpp"
#include "tessera/core/printable.hpp"
#include "tessera/core/token_windows.hpp"
#include "tessera/damage/measure_damage.hpp"
#include "tessera/decoder/activations.hpp"
#include "tessera/decoder/tile_memory.hpp"
#include "tessera/files/work_folder.hpp"
#include "tessera/gguf/model_fingerprint.hpp"
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
    double seconds = 0;                ///< that it may take, by shortening the text; 0: no limit
    comparing compare = comparing::each;
    std::filesystem::path kept_beside{};  ///< unfinished work is kept beside this; empty: nowhere
    work_options work{};
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
    work_files files;  ///< done() once the result is where it is wanted
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

// Names the files. Without a folder that the options name, work of other evaluations is not in the way: it is replaced,
// and where another process is at it, nothing is kept.
[[nodiscard]] inline work_files files_of(const evaluate_options& options, const listener& listener) {
    const auto named = [&](const std::filesystem::path& kept_beside) {
        work_files files(options.work.folder.empty() ? existing_file::replace : existing_file::refuse);
        files.read_model(options.reference);
        for (const auto& path : options.candidates) files.read_model(path);
        files.read_texts(options.texts);
        files.keep(options.work, kept_beside);
        files.check();
        return files;
    };
    try {
        work_files files = named(options.kept_beside);
        (void)files.folder().file(work_folder::evaluation);
        return files;
    } catch (const folder_in_use& problem) {
        if (!options.work.folder.empty()) throw;
        listener.note("note: ", printable(problem.what()), "; nothing is kept of this evaluation");
        return named({});
    }
}

// Runs a model, from where `states` have it, if they are kept.
template <class Model>
void run_kept(Model& model, const token_windows& windows, const std::optional<kept_states>& states,
              const listener& listener, decoder::tile_memory& memory) {
    if (!states) return model.run(windows, listener.progress, &memory);
    const auto load = [&](decoder::activations& state) -> std::size_t {
        const auto found = states->load(0, std::array{&state});
        if (!found) return 0;
        listener.say("note: going on with the ", model.role(), ", of which ", found->layer, " layers were done");
        return found->layer;
    };
    const auto save = [&](std::size_t layers, const decoder::activations& state) {
        states->save(layers, 0, std::array{&state}, {});
    };
    model.run(windows, listener.progress, &memory, {.load = load, .save = save});
}

// What tells candidates from others.
[[nodiscard]] inline digest digest_of(const std::vector<any_model>& candidates) {
    digest all;
    for (const any_model& candidate : candidates) {
        all.add(model_fingerprint(candidate));
        for (const auto& file : candidate.files()) {  // what was encoded again may differ in few rows
            const auto written = std::filesystem::last_write_time(file).time_since_epoch();
            all.add(std::filesystem::file_size(file)).add(static_cast<std::int64_t>(written.count()));
        }
    }
    return all;
}

// The stages of an evaluation.
[[nodiscard]] inline stage_cost running(std::string_view role, const model_work& model, double tokens, double window) {
    stage_cost run = calibrating(model, tokens, window);
    run.name = role;
    run.floats_at_rest *= 1.5;  // the scored half of the reference stays
    return run;
}
[[nodiscard]] inline stage_cost comparing_with(const model_work& model, double tokens) {
    return {.name = "compare", .cost = model.comparison(tokens)};
}

// As many windows, up to so many, as a reference and so many candidates are compared on in time.
[[nodiscard]] inline std::size_t windows_within(double seconds, std::size_t most, std::size_t window,
                                                std::size_t candidates, const model_work& model,
                                                const machine_speed& speed) {
    const std::uint64_t all = std::uint64_t{most} * window;
    const std::uint64_t least = std::min(std::max<std::uint64_t>(least_tokens_of_plans, window), all);
    const auto length = static_cast<double>(window), models = static_cast<double>(candidates);
    const auto seconds_of = [&](const amounts& chosen) {
        const auto tokens = static_cast<double>(chosen.measuring);
        return (1 + models) * speed.seconds(running({}, model, tokens, length).cost) +
               models * speed.seconds(comparing_with(model, tokens).cost);
    };
    return static_cast<std::size_t>(
        amounts_within(seconds, {.measuring = least}, {.measuring = all}, seconds_of).measuring / window);
}

// Takes as much of the text as there is time for, or as a run took that this one goes on from.
inline void shorten(evaluation& all, const evaluate_options& options, const std::vector<any_model>& candidates,
                    const model_work& model, const listener& listener) {
    if (options.seconds <= 0) return;
    token_windows& windows = all.text.windows;
    const std::string condition = concat("--time ", options.seconds, " s, a text of ", windows.size(),
                                         " windows, and the models ", digest_of(candidates).value());
    const std::uint64_t chosen = go_on(all.files, work_folder::evaluation, [&] {
        return kept_number(all.files, concat(work_folder::evaluation, ".windows"), condition, windows.size(), [&] {
            return windows_within(options.seconds, windows.size(), windows.length(), candidates.size(), model,
                                  speed_here(options.threads));
        });
    });
    listener.say("time ", duration_text(options.seconds), ": comparing on ", chosen, " of ", windows.size(),
                 " windows");
    windows = windows.first(static_cast<std::size_t>(chosen));
}

// All before a model runs; then(foretold, run) goes on, where foretold(speed) is the forecast and run() does the work.
template <class Then>
auto begin(const evaluate_options& options, const listener& listener, const any_formats& formats, Then&& then) {
    work_files files = files_of(options, listener);
    const any_model reference = open({.path = options.reference}, formats, listener);
    scored_model<any_model> original =
        about(options.reference, [&] { return scored_model<any_model>("reference", reference, options.threads); });
    std::vector<any_model> candidates;  // all of them before the long work, so that a wrong name is told at once
    for (const auto& path : options.candidates) {
        candidates.push_back(open({.path = path}, formats, listener));
        about(path, [&] {
            detail::require_same_tokens(reference.metadata(), candidates.back().metadata());
            require_same_vocabulary(original, scored_model<any_model>("candidate", candidates.back(), options.threads));
        });
    }
    const std::size_t length = window_length(options.window, reference.metadata());
    evaluation all{
        read_scored_text(reference.metadata(), options.texts, length, options.window_limit), {}, std::move(files)};
    const model_work each(reference.tensors(), reference.metadata());
    shorten(all, options, candidates, each, listener);
    const token_windows& windows = all.text.windows;
    require_scratch(options.memory.scratch);
    decoder::tile_memory memory = about(options.reference, [&] {
        return decoder::tile_memory(tile_memory_of(
            options.memory,
            needs_of(memory_stage::running, reference.metadata(), reference.tensors(), length, options.threads)));
    });

    std::optional<kept_evaluation> kept;
    const work_identity identity =
        work_on(reference).add("text", digest().add(windows).value()).add("candidates", digest_of(candidates).value());
    if (!all.files.folder().path().empty()) {
        go_on(all.files, work_folder::evaluation, [&] {
            kept.emplace(all.files.folder().file(concat(work_folder::evaluation, ".journal")), identity,
                         candidates.size());
        });
        if (kept->size() > 0)
            listener.say("note: going on from ", printable(all.files.folder().path().string()), ", where ",
                         kept->size(), " models were compared");
    }
    const kept_evaluation::left left =
        kept_evaluation::look(all.files.left(concat(work_folder::evaluation, ".journal")), identity, candidates.size());
    const bool is_compared = left.is_all_compared();

    std::vector<stage_cost> stages;
    const auto add = [&](stage_cost stage, double done) {
        stage.done = done;
        stages.push_back(stage);
    };
    const auto done = [&](std::size_t layers) { return share_done(each.share_of(layers), 1); };
    const auto tokens = static_cast<double>(windows.tokens().size());
    const auto window = static_cast<double>(length);
    add(running("reference", each, tokens, window), is_compared ? 1.0 : done(left.reference_layers));
    for (std::size_t c = 0; c < candidates.size(); ++c) {
        add(running("candidate", each, tokens, window), left.is_compared[c] ? 1.0 : done(left.candidate_layers[c]));
        add(comparing_with(each, tokens), left.is_compared[c] ? 1.0 : 0.0);
    }
    const auto foretold = [&](const machine_speed& speed) {
        return forecast_of(stages, reference.tensors(), reference.metadata(), options.memory, length, options.threads,
                           {all.files.work_place(), {}}, speed);
    };
    announce(stages, foretold, options.threads, listener);
    return then(foretold, [&]() -> evaluation {
        const auto states_of = [&](auto which) { return kept ? std::optional(which(*kept)) : std::nullopt; };
        if (!is_compared)
            about(options.reference, [&] {
                const auto states = states_of([](const kept_evaluation& all) { return all.reference(); });
                detail::run_kept(original, windows, states, listener, memory);
            });
        std::vector<float> first_of_pair;
        for (std::size_t c = 0; c < candidates.size(); ++c) {
            const kl_divergence measured = about(options.candidates[c], [&] {
                if (kept && kept->find(c)) return *kept->find(c);
                scored_model<any_model> candidate("candidate", candidates[c], options.threads);
                const auto states = states_of([c](const kept_evaluation& all) { return all.candidate(c); });
                detail::run_kept(candidate, windows, states, listener, memory);
                kl_divergence one = compare(original, candidate, {.threads = options.threads}, listener.progress);
                if (kept) kept->add(c, one);
                return one;
            });
            const model_summary summary(candidates[c].tensors());
            all.candidates.push_back({options.candidates[c], std::string(summary.main_format()),
                                      summary.bits_per_weight(), size_on_disk(candidates[c].files()),
                                      measured.result()});
            if (options.compare == comparing::each) continue;
            const auto divergences = measured.per_token();
            if (c % 2 == 0)
                first_of_pair.assign(divergences.begin(), divergences.end());
            else
                all.candidates.back().ratio = mean_ratio(first_of_pair, divergences);
        }
        return std::move(all);
    });
}

}  // namespace detail

/// Runs the reference and then every candidate over the texts. What the models have computed is kept layer by layer,
/// and what they are compared by candidate by candidate, where the options name a folder for it; the same call goes on
/// from there.
template <class Formats = builtin_formats>
[[nodiscard]] evaluation evaluate(const evaluate_options& options, const listener& listener = {},
                                  const any_formats& formats = any_formats(Formats{})) {
    return detail::begin(options, listener, formats, [](const auto&, const auto& run) { return run(); });
}

/// What an evaluation with these options would take. Does and writes nothing.
template <class Formats = builtin_formats>
[[nodiscard]] forecast foretell(evaluate_options options, const listener& listener = {},
                                const any_formats& formats = any_formats(Formats{})) {
    options.work.nowhere = true;
    return detail::begin(options, listener.without_stages(), formats, [&](const auto& foretold, const auto&) {
        return forecast(foretold(speed_here(options.threads)));
    });
}

}  // namespace tessera::app
