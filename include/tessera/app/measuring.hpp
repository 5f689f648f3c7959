// What needs the model to run: damage tables, refined plans.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/app/about.hpp"
#include "tessera/app/encoding.hpp"
#include "tessera/app/importances.hpp"
#include "tessera/app/listener.hpp"
#include "tessera/app/open_model.hpp"
#include "tessera/app/options.hpp"
#include "tessera/app/stages.hpp"
#include "tessera/app/texts.hpp"
#include "tessera/app/work_files.hpp"
#include "tessera/calibrate/imatrix_file.hpp"
#include "tessera/calibrate/importance_table.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/printable.hpp"
#include "tessera/core/stage_meter.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/core/token_windows.hpp"
#include "tessera/damage/measure_damage.hpp"
#include "tessera/files/damage_file.hpp"
#include "tessera/measure/scored_model.hpp"
#include "tessera/select/budget.hpp"
#include "tessera/select/damage_table.hpp"
#include "tessera/select/menu.hpp"
#include "tessera/select/plan.hpp"
#include "tessera/select/refined.hpp"
#include "tessera/tensor/overlay_source.hpp"
#include "tessera/tensor/untied_source.hpp"

namespace tessera::app {

/// What a command still has to do.
struct stages_ahead {
    enum class calibration { ahead, done };
    enum class writing { ahead, none };
    calibration importances;
    writing output;
};

/// The stages of a command with a text of `tokens` tokens.
[[nodiscard]] inline std::vector<planned_stage> stages_of(std::span<const tensor_info> tensors,
                                                          const metadata& properties, const target_options& target,
                                                          const encoding& encoding, std::uint64_t tokens,
                                                          const stages_ahead& ahead) {
    const model_work model(tensors, properties);
    std::vector<planned_stage> stages;
    if (ahead.importances == stages_ahead::calibration::ahead) stages.push_back({"calibrate", model.pass(tokens)});
    if (target.is_given()) {
        const std::size_t points =
            target.measuring.measure == damage_measuring::noise ? perturbation{}.sizes.size() : direct{}.errors.size();
        const std::size_t passes = measure_passes(tensors, points);
        const auto measured = [&](std::size_t times) {
            const std::uint64_t each =
                target.measuring.tokens > 0 ? target.measuring.tokens : default_measure_tokens(tensors, times);
            return static_cast<double>(times) * model.pass(each);
        };
        if (target.damage.empty() || !std::filesystem::exists(target.damage))
            stages.push_back({"measure", measured(passes)});
        if (target.refine > 0) stages.push_back({"refine", measured(2 * target.refine + 2)});
    }
    if (ahead.output == stages_ahead::writing::ahead) {
        const bool is_feedback = encoding.encoder == encoder_kind::feedback;
        const int passes = encoding.inputs == feedback_inputs::quantized ? 2 : 1;
        stages.push_back({"quantize", writing_work(tensors, model, is_feedback ? tokens : 0, passes)});
    }
    return stages;
}

/// The same before there are importances: tells the listener as soon as the text has been counted.
struct tells_stages {
    const any_model& model;
    const target_options& target;
    const importance_options& importances;
    stages_ahead::writing output;
    const app::listener& listener;

    void operator()(std::uint64_t tokens) const {
        const encoding expected{importances.encoder.value_or(encoder_kind::feedback), nullptr,
                                importances.inputs.value_or(feedback_inputs::quantized)};
        tell(expected, tokens, stages_ahead::calibration::ahead);
    }
    void tell(const encoding& encoding, std::uint64_t tokens, stages_ahead::calibration calibration) const {
        listener.plan(stages_of(model.tensors(), model.metadata(), target, encoding, tokens, {calibration, output}));
    }
    void tell(const encoding& encoding) const {
        const auto text = encoding.importances == nullptr ? std::nullopt : encoding.importances->text();
        tell(encoding, text ? text->all().tokens().size() : 0, stages_ahead::calibration::done);
    }
};

/// The windows to measure on: those of the options' text, or else those that the calibration held out. Throws when
/// there are neither.
[[nodiscard]] inline token_windows measuring_windows(const metadata& properties, const measure_options& options,
                                                     const loaded_importances* importances, const listener& listener) {
    if (!options.text.empty()) {
        const scored_text scored = read_scored_text(properties, {options.text}, default_window(properties), 0);
        listener.say("text: ", printable(scored.framing));
        return scored.windows;
    }
    if (importances != nullptr)
        if (const auto* held_out = importances->file.properties.get<std::vector<std::int32_t>>(held_out_windows_key))
            return about(importances->path, [&] { return token_windows(*held_out, importances->file.chunk_size); });
    fail(
        "measuring: wanted a text (--measure-text FILE) or an importance matrix of tessera calibrate with held-out "
        "windows, got neither");
}

/// As many of the windows as the options want for so many passes through the model: by tokens, by the time that the
/// first one takes, or by default.
template <class Model>
[[nodiscard]] token_windows first_windows(const Model& model, const token_windows& all, const measure_options& options,
                                          std::size_t passes, int threads) {
    std::uint64_t tokens = options.tokens;
    if (tokens == 0) tokens = default_measure_tokens(model.tensors(), passes);
    if (options.minutes > 0) {
        using shown_source = untied_source<Model>;
        const shown_source shown(model);
        const overlay_source<shown_source> untouched(shown);  // as plans are measured: compiled once
        scored_model<overlay_source<shown_source>> one("model", untouched, threads);
        const token_windows first = all.first(1);
        const auto started = std::chrono::steady_clock::now();
        one.run(first);
        const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
        tokens = static_cast<std::uint64_t>(60.0 * options.minutes / (static_cast<double>(passes) * seconds) *
                                            static_cast<double>(all.length()));
    }
    return all.first(std::clamp<std::size_t>(tokens / all.length(), 1, all.size()));
}

namespace detail {

// What a damage table is measured with. The windows are all that there are, of which the options take some.
template <class Model>
[[nodiscard]] std::string damage_origin(const Model& model, const measure_options& options, const encoding& encoding,
                                        const token_windows& windows) {
    origin from(model);
    from.add(options.measure == damage_measuring::noise ? "noise" : "direct")
        .add(options.tokens)
        .add(options.minutes)
        .add(windows.length())
        .add(windows.tokens());
    from.add(static_cast<int>(encoding.encoder == encoder_kind::feedback));
    if (encoding.importances == nullptr) return from.text();
    from.add(encoding.importances->enough_tokens);
    for (const auto& [name, entry] : encoding.importances->file.importances)
        from.add(name)
            .add(std::span<const float>(entry.mean_squares))
            .add(std::span<const std::uint64_t>(entry.tokens));
    if (const auto text = encoding.importances->text(); text && encoding.encoder == encoder_kind::feedback)
        from.add(text->used.tokens()).add(text->held_out ? text->held_out->tokens() : std::span<const std::int32_t>());
    return from.text();
}

}  // namespace detail

/// Reads the damage file if there is one; else measures, and writes it if it has a name. Without a name it is kept as
/// `files` says. What is measured is every format of the list: the table serves every menu, and what takes time is
/// running the model.
template <class Model>
[[nodiscard]] select::damage_table obtain_damage(const Model& model, const target_options& options,
                                                 const encoding& encoding, const work_files& files, int threads,
                                                 const listener& listener, const any_encoders& formats) {
    const std::string_view encoder = encoding.encoder == encoder_kind::feedback ? "feedback" : "weighted";
    if (!options.damage.empty() && std::filesystem::exists(options.damage)) {
        select::damage_table table = load_damage(options.damage, model.stored_tensors(), formats.stored);
        if (table.encoder != encoder)
            listener.say("note: ", printable(options.damage.string()), " is for the encoder ",
                         printable(table.encoder));
        return table;
    }
    const measure_options& measuring = options.measuring;
    const select::menu menu = select::parse_menu("newest", formats.layouts, formats.portable());
    const auto windows = measuring_windows(model.metadata(), measuring, encoding.importances, listener);
    const std::string made_from = detail::damage_origin(model, measuring, encoding, windows);
    const std::filesystem::path& kept = files.kept_damage();
    const auto found = resume(kept, files.rule(), "--damage", listener, [&] {
        select::damage_table table = load_damage(kept, model.stored_tensors(), formats.stored);
        if (table.origin != made_from)
            fail(kept.string(), ": wanted damages measured with this model, text and encoder, got others");
        return table;
    });
    if (found) return *found;
    const std::size_t points =
        measuring.measure == damage_measuring::noise ? perturbation{}.sizes.size() : direct{}.errors.size();
    const auto used = first_windows(model, windows, measuring, measure_passes(model.tensors(), points), threads);
    listener.say("measuring damage on ", used.size(), " windows of ", used.length(), " tokens");
    select::damage_table table =
        formats.damage(model, encoding, used, menu, formats.fallback, measuring.measure, threads, listener.progress);
    table.origin = made_from;
    if (!options.damage.empty()) {
        save_damage(options.damage, table, model.stored_tensors(), files.rule());
        listener.say("wrote ", printable(options.damage.string()));
    } else if (!kept.empty()) {
        save_damage(kept, table, model.stored_tensors(), {files.rule().inputs, existing_file::replace});
        tell_kept(listener, "what was measured is", kept);
    }
    return table;
}

/// The budget's plan, improved by measured swaps.
template <class Model>
[[nodiscard]] select::plan refine(const Model& model, const select::plan& draft, const select::budget& budget,
                                  const target_options& options, const loaded_importances* importances, int threads,
                                  const listener& listener, const any_encoders& formats) {
    const auto windows = measuring_windows(model.metadata(), options.measuring, importances, listener);
    const auto used = first_windows(model, windows, options.measuring, 2 * options.refine, threads);
    const importance_table none;
    const std::size_t tokens = used.tokens().size(), passes = 2 * options.refine + 2;
    const model_work one(model.tensors(), model.metadata());
    double all = static_cast<double>(passes) * one.pass(tokens);
    for (const tensor_info& info : model.tensors()) all += search_work(info);
    stage_meter progress(listener.progress, {"refine", "tokens", passes * tokens, all});
    any_plan_meter meter =
        formats.meter(model, importances == nullptr ? none : importances->file.importances, used, threads);
    select::refine_report report;
    select::plan plan = draft;
    const select::refined<any_plan_meter> strategy{budget, &meter, {.trials = options.refine}, &report};
    strategy.settle(plan, formats.fallback);
    progress.finish();
    listener.say("refined on ", used.size(), " windows: ", report.taken, " of ", report.tried,
                 " swaps of bytes helped");
    return plan;
}

}  // namespace tessera::app
