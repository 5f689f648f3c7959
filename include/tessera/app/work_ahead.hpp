// What a command will do: its stages, how much of the texts it works on, and whether there is memory for it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/app/amounts.hpp"
#include "tessera/app/any_model.hpp"
#include "tessera/app/disk_space.hpp"
#include "tessera/app/encoding.hpp"
#include "tessera/app/forecast.hpp"
#include "tessera/app/importances.hpp"
#include "tessera/app/kept_number.hpp"
#include "tessera/app/listener.hpp"
#include "tessera/app/measuring.hpp"
#include "tessera/app/memory.hpp"
#include "tessera/app/options.hpp"
#include "tessera/app/texts.hpp"
#include "tessera/app/work_cost.hpp"
#include "tessera/app/work_estimate.hpp"
#include "tessera/app/work_files.hpp"
#include "tessera/core/duration.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/journal.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/core/token_windows.hpp"
#include "tessera/damage/kept_damage.hpp"
#include "tessera/damage/measure_damage.hpp"
#include "tessera/files/damage_file.hpp"
#include "tessera/files/work_folder.hpp"
#include "tessera/quantize/kept_encoding.hpp"

namespace tessera::app {

/// What an interrupted run has left of the stages.
struct left_stages {
    double calibration = 0;            ///< share
    bool has_damage = false;           ///< the whole table
    std::size_t measured_tensors = 0;  ///< of a table
    std::size_t measured_plans = 0;
    kept_encoding::left output{};
};

/// What a command still has to do.
struct stages_ahead {
    enum class calibration { ahead, done };
    enum class writing { ahead, none };
    calibration importances;
    writing output;
    left_stages left{};
};

/// Whether damage will have to be measured.
[[nodiscard]] inline bool is_to_be_measured(const target_options& target) {
    return target.needs_damage() && (target.damage.empty() || !std::filesystem::exists(target.damage));
}

/// Whether plans will be measured.
[[nodiscard]] inline bool refines(const target_options& target) { return target.is_given() && target.refine > 0; }

namespace detail {

// The weights of tensors that are in an output; plans have the model's order.
[[nodiscard]] inline double weights_at(std::span<const tensor_info> tensors, const kept_encoding::left& output) {
    double weights = 0;
    for (const std::size_t t : output.tensors)
        if (t < tensors.size()) weights += static_cast<double>(tensors[t].weights());
    return weights;
}

// What is in the folder for unfinished work on this model and, where it has yet to be calibrated on, this text. Of
// importances, plan and options the work may differ: then it will be refused, or begun anew.
template <class = void>
[[nodiscard]] left_stages find_left(const work_files& files, const any_model& model, const token_windows* text) {
    const auto journal_of = [&](std::string_view word) { return files.left(concat(word, ".journal")); };
    if (files.work_place().empty()) return {};
    const work_identity part = work_on(model);
    const bool has_output = !files.left(concat(work_folder::output, "-0.gguf")).empty();
    return {.calibration = text == nullptr
                               ? 0.0
                               : calibrated_share(files, model, *text, model_work(model.tensors(), model.metadata())),
            .has_damage = !files.left(concat(work_folder::damage, ".json")).empty(),
            .measured_tensors = kept_damage::tensors_in(journal_of(work_folder::damage), part),
            .measured_plans =
                journal::look(journal_of(work_folder::measured_plans), measured_plans_kind, part).records().size(),
            .output = has_output ? kept_encoding::look(journal_of(work_folder::output), part) : kept_encoding::left{}};
}

}  // namespace detail

/// The stages of a command that works on so many tokens; the target's own number of tokens, if it has one, comes first.
template <class = void>
[[nodiscard]] std::vector<stage_cost> stages_of(std::span<const tensor_info> tensors, const metadata& properties,
                                                const target_options& target, const encoding& encoding,
                                                const amounts& tokens, const stages_ahead& ahead) {
    const bool learns = encoding.encoder == encoder_kind::feedback;
    const bool measures = is_to_be_measured(target);
    std::vector<stage_cost> stages;
    if (ahead.importances == stages_ahead::calibration::done && !learns && !measures && !refines(target)) {
        // The model does not run: it may be one that the decoder does not know.
        if (ahead.output == stages_ahead::writing::ahead)
            stages.push_back({.name = "quantize",
                              .cost = {.searched = static_cast<double>(weights_of(tensors))},
                              .done = share_done(detail::weights_at(tensors, ahead.left.output),
                                                 static_cast<double>(weights_of(tensors)))});
        return stages;
    }
    const model_work model(tensors, properties);
    const auto window = static_cast<double>(default_window(properties));
    const auto calibrated = static_cast<double>(tokens.calibration);
    if (ahead.importances == stages_ahead::calibration::ahead) {
        stages.push_back(calibrating(model, calibrated, window));
        stages.back().done = ahead.left.calibration;
    }
    if (target.needs_damage()) {
        const auto measured = [&](double passes, std::uint64_t least) {
            const std::uint64_t wanted = target.measuring.tokens > 0 ? target.measuring.tokens : tokens.measuring;
            return static_cast<double>(wanted > 0 ? wanted : default_measure_tokens(tensors, passes, least));
        };
        const std::uint64_t trial = detail::bytes_of_trial(tensors);
        if (measures) {
            const double measured_tokens = measured(model.measuring_passes(target.measuring), least_tokens_of_damage);
            stages.push_back(
                {.name = "measure",
                 .cost = model.damage(measured_tokens, window, target.measuring, learns ? calibrated : 0.0),
                 .runs = memory_stage::measuring,
                 .encoded_bytes = trial,
                 .floats_at_rest =
                     3 * measured_tokens * model.width() + (learns ? calibrated * model.state_and_input() : 0.0),
                 .done = ahead.left.has_damage ? 1.0
                                               : share_done(static_cast<double>(ahead.left.measured_tensors),
                                                            static_cast<double>(model.subjects()))});
        }
        const std::size_t passes = 2 * target.refine + 2;
        if (refines(target)) {
            stages.push_back(measuring_plans(
                "refine", model, measured(static_cast<double>(passes), least_tokens_of_plans), window, passes, trial));
            stages.back().done =
                share_done(static_cast<double>(ahead.left.measured_plans), static_cast<double>(passes));
        }
    }
    if (ahead.output == stages_ahead::writing::ahead) {
        const bool is_quantized = encoding.inputs == feedback_inputs::quantized;
        const double states = model.width() * calibrated * (is_quantized ? 2 : 1);
        if (learns)
            stages.push_back(
                {.name = "quantize",
                 .cost =
                     is_quantized ? model.quantized_feedback(calibrated, window) : model.feedback(calibrated, window),
                 .runs = memory_stage::learning,
                 .floats_at_rest = calibrated * (is_quantized ? model.states_and_inputs() : model.state_and_input()),
                 .kept_bytes = 2 * sizeof(float) * states,
                 .done = share_done(model.share_of(ahead.left.output.layer), 1)});
        else
            stages.push_back({.name = "quantize",
                              .cost = model.search(),
                              .done = share_done(detail::weights_at(tensors, ahead.left.output),
                                                 static_cast<double>(weights_of(tensors)))});
    }
    return stages;
}

/// The stages of a command with a target or texts: chooses how much of the texts it works on, and tells the listener.
class work_ahead {
public:
    /// `seconds` are for all that the command does; 0: no limit. `written` is the output and its bytes. All arguments
    /// outlive this.
    work_ahead(const any_model& model, const target_options& target, const importance_options& importances,
               stages_ahead::writing output, const disk_need& written, double seconds, int threads, work_files& files,
               const listener& listener)
        : model_(&model),
          target_(target),
          importances_(&importances),
          output_(output),
          written_(written),
          seconds_(seconds),
          threads_(threads),
          files_(&files),
          listener_(&listener) {
        if (seconds > 0 && target.measuring.minutes > 0)
            fail("--time: wanted no limit for measuring (--measure-time) beside that for all, got both");
    }

    /// The target, with the number of tokens to measure on where that was chosen.
    [[nodiscard]] const target_options& target() const noexcept { return target_; }

    /// How many of the tokens that the texts have to calibrate on. For texts that have been read.
    [[nodiscard]] std::uint64_t calibrate_on(std::uint64_t text_tokens) {
        using enum stages_ahead::calibration;
        const encoding expected = expected_encoding(*importances_, true);
        std::uint64_t tokens = std::min(calibration_tokens(importances_->tokens, *model_), text_tokens);
        if (seconds_ > 0) {
            const std::uint64_t most = importances_->tokens > 0 ? tokens : text_tokens;
            tokens = choose(expected, ahead, {std::min(least_calibration_tokens, most), least_measuring()},
                            {most, most_measuring()})
                         .calibration;
        }
        return tokens;
    }

    /// With what importances will come from: all is known that the work follows from. Tells the listener, and throws
    /// when there is not enough room on the disks.
    void begin(const importance_basis& basis) {
        using enum stages_ahead::calibration;
        const encoding expected = expected_encoding(*importances_, basis.has_text());
        const auto text = basis.text     ? std::optional(basis.text->windows)
                          : basis.loaded ? basis.loaded->text()
                                         : std::nullopt;
        const std::uint64_t tokens = !text ? 0 : basis.text ? text->used.tokens().size() : text->all().tokens().size();
        if (seconds_ > 0 && !basis.text)
            (void)choose(expected, done, {tokens, least_measuring()}, {tokens, most_measuring()});
        left_ = detail::find_left(*files_, *model_, basis.text ? &basis.text->windows.used : nullptr);
        stages_ = stages_of(model_->tensors(), model_->metadata(), target_, expected, {tokens, 0},
                            {basis.text ? ahead : done, output_, left_});
        if (output_ == stages_ahead::writing::ahead && !stages_.empty()) {
            stages_.back().written_bytes = written_.bytes;
            stages_.back().written = written_.bound;
        }
        announce(stages_, [&](const machine_speed& speed) { return forecast_at(speed); }, threads_, *listener_);
    }

    /// All that begin() found, at this machine's speed.
    [[nodiscard]] forecast foretold() const { return forecast_at(speed_here(threads_)); }

    /// With what encodes, once there are importances: what lies ahead is less.
    void encode_with(const encoding& encoding) {
        if (!listener_->planned) return;
        const auto text = encoding.importances == nullptr ? std::nullopt : encoding.importances->text();
        const std::uint64_t tokens = text ? text->all().tokens().size() : 0;
        stages_ = stages_of(model_->tensors(), model_->metadata(), target_, encoding, {tokens, 0},
                            {stages_ahead::calibration::done, output_, left_});
        listener_->plan(forecast_at(speed_for(stages_, threads_)).stages);
    }

private:
    [[nodiscard]] std::uint64_t least_measuring() const {
        return target_.measuring.tokens > 0 ? target_.measuring.tokens : least_tokens_of_damage;
    }
    [[nodiscard]] std::uint64_t most_measuring() const {
        return target_.measuring.tokens > 0 ? target_.measuring.tokens : most_measure_tokens;
    }

    // The amounts for which there is time, or those of the run that this one goes on from.
    amounts choose(const encoding& encoding, stages_ahead::calibration calibration, const amounts& least,
                   const amounts& most) {
        const auto chosen = [&] {
            const machine_speed& speed = speed_here(threads_);
            return amounts_within(seconds_, least, most, [&](const amounts& tokens) {
                double sum = 0;
                for (const stage_cost& stage : stages_of(model_->tensors(), model_->metadata(), target_, encoding,
                                                         tokens, {calibration, output_, {}}))
                    sum += speed.seconds(stage.cost);
                return sum;
            });
        };
        const std::string condition = concat("--time ", seconds_, " s and a text of ", most.calibration, " tokens");
        const auto kept = [&](std::string_view word, std::uint64_t limit, std::uint64_t amounts::* one) {
            return go_on(*files_, word, [&] {
                return kept_number(*files_, concat(word, ".tokens"), condition, limit, [&] { return chosen().*one; });
            });
        };
        amounts tokens;
        if (most.calibration > 0)
            tokens.calibration = kept(work_folder::importances, most.calibration, &amounts::calibration);
        const bool runs = is_to_be_measured(target_) || refines(target_);
        if (runs) tokens.measuring = kept(work_folder::damage, most.measuring, &amounts::measuring);
        listener_->say("time ", duration_text(seconds_), ": calibrating on ", tokens.calibration, " tokens",
                       runs ? concat(", measuring on ", tokens.measuring) : "");
        target_.measuring.tokens = static_cast<std::size_t>(tokens.measuring);
        return tokens;
    }

    [[nodiscard]] forecast forecast_at(const machine_speed& speed) const {
        return forecast_of(stages_, model_->tensors(), model_->metadata(), importances_->memory, 0, threads_,
                           {files_->work_place(), written_.folder}, speed);
    }

    const any_model* model_;
    target_options target_;
    const importance_options* importances_;
    stages_ahead::writing output_;
    disk_need written_;  // the file
    double seconds_;
    int threads_;
    work_files* files_;
    const listener* listener_;
    left_stages left_;
    std::vector<stage_cost> stages_;
};

/// Throws at what is known to fail in a command with a target or importances, before its first long step: a damage file
/// that does not fit, no text to measure on or one that is too short, too little memory. What needs no text is checked
/// by require_plannable.
inline void require_possible(const any_model& model, const target_options& target,
                             const importance_options& importances, const importance_basis& basis, int threads,
                             const any_encoders& formats) {
    const bool measures = is_to_be_measured(target), measures_plans = refines(target);
    if (!target.damage.empty() && !measures) (void)load_damage(target.damage, model.stored_tensors(), formats.stored);
    if (measures || measures_plans) (void)measuring_windows(model.metadata(), target.measuring, basis.held_out(), {});
    const auto require = [&](memory_stage stage, std::uint64_t encoded) {
        (void)tile_memory_of(importances.memory, needs_of(stage, model.metadata(), model.tensors(),
                                                          default_window(model.metadata()), threads, encoded));
    };
    if (measures || measures_plans) require(memory_stage::measuring, detail::bytes_of_trial(model.tensors()));
    const bool learns = expected_encoding(importances, basis.has_text()).encoder == encoder_kind::feedback;
    if (learns || basis.text) require(learns ? memory_stage::learning : memory_stage::running, 0);
    require_scratch(importances.memory.scratch);
}

}  // namespace tessera::app
