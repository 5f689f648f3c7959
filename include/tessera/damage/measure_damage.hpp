// The damage table: what every format on every tensor is predicted to cost, from a few measurements per tensor.
#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <iterator>
#include <memory>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "tessera/core/parallel.hpp"
#include "tessera/core/progress.hpp"
#include "tessera/core/stage_meter.hpp"
#include "tessera/core/token_windows.hpp"
#include "tessera/damage/borrowed_curve.hpp"
#include "tessera/damage/damage_meter.hpp"
#include "tessera/damage/encoding_trial.hpp"
#include "tessera/damage/kept_damage.hpp"
#include "tessera/damage/row_edits.hpp"
#include "tessera/decoder/token_work.hpp"
#include "tessera/encode/knowledge.hpp"
#include "tessera/format/builtin.hpp"
#include "tessera/measure/compare.hpp"
#include "tessera/quantize/encoding_job.hpp"
#include "tessera/quantize/tensor_encoding.hpp"
#include "tessera/select/damage_curve.hpp"
#include "tessera/select/damage_table.hpp"
#include "tessera/select/menu.hpp"
#include "tessera/select/plan.hpp"
#include "tessera/select/rules.hpp"
#include "tessera/tensor/concepts.hpp"

namespace tessera {

/// The points at which a tensor's damage curve is measured: p.formats(errors) are those of the formats, p.noises()
/// sizes of random errors.
template <class P>
concept curve_points = requires(const P& p, std::span<const format_error> errors) {
    { p.formats(errors) } -> std::same_as<std::vector<type_layout>>;
    { p.noises() } -> std::same_as<std::vector<double>>;
};

/// Random errors of known sizes. Independent of formats and encoders, and precise: divergence follows the square of the
/// size closely. Leaves out what encoders do to a tensor beside adding noise, which matters from about 15 % error on.
struct perturbation {
    std::vector<double> sizes{0.05, 0.15};

    [[nodiscard]] std::vector<type_layout> formats(std::span<const format_error>) const { return {}; }
    [[nodiscard]] std::vector<double> noises() const { return sizes; }
};

/// The tensor in real formats: those whose errors come nearest to the given ones.
struct direct {
    std::vector<double> errors{0.07, 0.15, 0.3};

    [[nodiscard]] std::vector<type_layout> formats(std::span<const format_error> formats) const {
        std::vector<type_layout> taken;
        for (const double wanted : errors) {
            const auto distance = [&](const format_error& f) { return std::abs(std::log(f.relative_error / wanted)); };
            const auto nearest = std::ranges::min_element(formats, {}, distance);
            if (nearest == formats.end() ||
                std::ranges::find(taken, nearest->layout.id, &type_layout::id) != taken.end())
                continue;
            taken.push_back(nearest->layout);
        }
        return taken;
    }
    [[nodiscard]] std::vector<double> noises() const { return {}; }
};

/// Passes through a whole model that take as long as measuring `points` points of every tensor's curve: an edit costs
/// the layers from its tensor on, half of them in the mean.
[[nodiscard]] inline std::size_t measure_passes(std::span<const tensor_info> tensors, std::size_t points) {
    const auto quantized =
        std::ranges::count_if(tensors, [](const auto& t) { return !select::stays_full_precision(t); });
    return static_cast<std::size_t>(quantized) * points / 2 + 2;
}

/// Figures of fewer tokens are too uncertain; those of more hardly change a plan.
inline constexpr std::uint64_t least_measure_tokens = 1024, most_measure_tokens = 16384;

/// The default number of tokens for so many passes: about 5e13 floating-point operations, minutes on two cores, within
/// these bounds.
[[nodiscard]] inline std::uint64_t default_measure_tokens(std::span<const tensor_info> tensors, std::size_t passes) {
    double weights = 0;
    for (const tensor_info& info : tensors) weights += static_cast<double>(info.weights());
    return static_cast<std::uint64_t>(std::clamp(5e13 / (2.0 * weights * static_cast<double>(passes)),
                                                 static_cast<double>(least_measure_tokens),
                                                 static_cast<double>(most_measure_tokens)));
}

struct measure_damage_options {
    evaluate_options evaluate = {};
    std::uint64_t sample_weights = std::uint64_t{1} << 16;  ///< of each tensor, for the errors of formats
    std::size_t sample_tiles = 2;  ///< of each tensor whose inputs are known, of as many rows as the encoder takes
    /// Where every tensor is noted as soon as it is measured, and gone on from; null: nowhere.
    kept_damage* kept = nullptr;
};

namespace detail {

// A job as schedules see one (see encoding_job) that measures in the place of writing: every tensor once all that is
// known of its matrices was there.
template <class Formats, tensor_source Source, class Encoder, curve_points Points>
class measuring_job {
public:
    using source_type = Source;
    using formats = Formats;

    measuring_job(const Source& source, const token_windows& windows, const select::menu& menu,
                  std::span<const type_layout> fallback, const Points& points, const Encoder& encoder,
                  const measure_damage_options& options, progress_callback report)
        : source_(source),
          menu_(menu),
          fallback_(fallback),
          curve_points_(points),
          encoder_(encoder),
          options_(options),
          progress_(report, {"measure", "tokens", passes(source) * windows.tokens().size(),
                             static_cast<double>(passes(source)) * work_of_all(source, windows)}),
          meter_(source, windows, options.evaluate, options.kept),
          subjects_(meter_.subjects()),
          entries_(subjects_.size()),
          curves_(subjects_.size()) {
        for (const damage_subject& subject : subjects_) {
            work_.emplace_back().done.resize(matrix_count(*subject.info));
            select::choice choice{.target = *subject.info, .source = subject.info->layout};
            plan_.choices.push_back(std::move(choice));
        }
        const std::vector<double> work = meter_.work();
        double all = decoder::work_of_layers(work);
        for (const damage_subject& subject : subjects_) {
            const double rest =
                std::accumulate(work.begin() + static_cast<std::ptrdiff_t>(subject.layer), work.end(), 0.0);
            subject_work_.push_back(static_cast<double>(curve_size()) * rest);
            all += subject_work_.back();
        }
        progress_.expect(all - static_cast<double>(passes(source)) * work_of_all(source, windows));
        if (options.kept == nullptr) return;
        auto measured = options.kept->read(subjects_.size(), Formats::layouts);
        for (std::size_t t = 0; t < measured.size(); ++t) {
            if (!measured[t]) continue;
            entries_[t] = std::move(measured[t]->entry);
            curves_[t] = {subjects_[t].info->name, select::damage_curve(std::move(measured[t]->points))};
            std::ranges::fill(work_[t].done, char{1});
            work_[t].is_complete = true;
            ++measured_;
            progress_.expect(-subject_work_[t]);
        }
    }

    // Places in this plan are those of subjects.
    [[nodiscard]] const Source& source() const noexcept { return source_; }
    [[nodiscard]] const select::plan& plan() const noexcept { return plan_; }
    [[nodiscard]] const tensor_info& target(std::size_t tensor) const { return *subjects_[tensor].info; }
    [[nodiscard]] static constexpr encoder_needs needs() noexcept { return Encoder::needs; }
    [[nodiscard]] int threads() const noexcept { return options_.evaluate.threads; }
    void expect(double) const noexcept {}  // a schedule's passes go along with the tensors it brings
    [[nodiscard]] bool is_done(const plan_matrix& m) const { return work_[m.tensor].done[m.matrix]; }

    [[nodiscard]] bool is_kept() const noexcept { return options_.kept != nullptr; }
    [[nodiscard]] std::optional<kept_states::loaded> load(kept_states::mutable_states states) const {
        return is_kept() ? options_.kept->pass().load(states) : std::nullopt;
    }
    // What was learned of layers is gone when a later process begins behind them: they are measured first.
    void save(std::size_t layer, kept_states::states states, byte_view more = {}) {
        for (std::size_t t = 0; t < subjects_.size(); ++t)
            if (subjects_[t].layer < layer) complete(t);
        options_.kept->pass().save(layer, states, more);
    }
    // Tensors that are measured are done from the start.
    template <class Wanted>
    static bool resume(const Wanted&, lost_tensors) {
        return true;
    }

    [[nodiscard]] std::vector<plan_matrix> waiting_for(std::string_view tensor, std::size_t matrix) const {
        const auto found =
            std::ranges::find(subjects_, tensor, [](const auto& s) { return std::string_view(s.info->name); });
        if (found == subjects_.end()) return {};
        const plan_matrix m{static_cast<std::size_t>(found - subjects_.begin()), matrix};
        return is_done(m) ? std::vector<plan_matrix>() : std::vector{m};
    }

    void encode(std::span<const known_matrix> matrices) {
        std::vector<const known_matrix*> sorted;
        for (const known_matrix& m : matrices) sorted.push_back(&m);
        std::ranges::stable_sort(sorted, {}, [](const known_matrix* m) { return m->at.tensor; });
        for (const known_matrix* m : sorted) {
            for (std::size_t t = 0; t < m->at.tensor; ++t)  // experts of layers before that no token reached
                if (subjects_[t].layer < subjects_[m->at.tensor].layer) complete(t);
            take(*m);
        }
    }
    void encode(const known_matrix& matrix) { encode({&matrix, 1}); }

    [[nodiscard]] select::damage_table finish() {
        for (std::size_t t = 0; t < subjects_.size(); ++t) complete(t);
        select::damage_table table;
        table.encoder = Encoder::name;
        table.tensors = std::move(entries_);
        for (const tensor_info& info : source_.tensors()) {
            if (select::stays_full_precision(info) || table.find(info.name) != nullptr) continue;
            const tensor_curve borrowed = borrowed_curve(info.name, curves_);
            encoding_trial<Formats, Source, Encoder> trial(source_, info, info, encoder_, sampling());
            table.tensors.push_back(entry_of(info, trial.errors(layouts_of(info)), borrowed.curve));
            table.tensors.back().priced_as = borrowed.name;
        }
        return table;
    }

private:
    using trial = encoding_trial<Formats, Source, Encoder>;
    using encoding = tensor_encoding<Formats, Source, Encoder>;

    // What is at hand of a tensor whose matrices are coming in.
    struct tensor_work {
        std::vector<char> done;  // by matrix
        std::optional<trial> tried{};
        std::vector<std::unique_ptr<encoding>> encodings{};  // in the formats to be measured
        bool is_complete = false;
    };

    // The points of a curve, about.
    [[nodiscard]] std::size_t curve_size() const {
        const std::size_t noises = curve_points_.noises().size();
        return noises > 0 ? noises : direct{}.errors.size();
    }
    // What is known before the model is: passes through it, and the work of one.
    [[nodiscard]] std::size_t passes(const Source& source) const {
        return measure_passes(source.tensors(), curve_size());
    }
    [[nodiscard]] static double work_of_all(const Source& source, const token_windows& windows) {
        double weights = 0;
        for (const tensor_info& info : source.tensors()) weights += static_cast<double>(info.weights());
        return weights * static_cast<double>(windows.tokens().size());
    }

    [[nodiscard]] trial_options sampling() const {
        return {options_.sample_weights, options_.sample_tiles, options_.evaluate.threads};
    }
    [[nodiscard]] const tensor_info& stored(const tensor_info& info) const { return meter_.shown().stored(info); }

    // The types of the menu that a tensor is not stored in.
    [[nodiscard]] std::vector<type_layout> layouts_of(const tensor_info& info) const {
        std::vector<type_layout> layouts = menu_.of(info, fallback_);
        std::erase_if(layouts, [&](const type_layout& layout) { return layout.id == info.type(); });
        return layouts;
    }

    void take(const known_matrix& m) {
        const tensor_info& info = target(m.at.tensor);
        tensor_work& work = work_[m.at.tensor];
        if (work.done[m.at.matrix]) return;
        work.done[m.at.matrix] = true;
        if (!work.tried) work.tried.emplace(source_, stored(info), info, encoder_, sampling());
        work.tried->add(m.at.matrix, m.known, layouts_of(info));
        if (m.known.judge().rows() > 0) {  // the knowledge will be gone when all errors are known
            if (work.encodings.empty()) begin_encodings(work, info, work.tried->errors(layouts_of(info)));
            for (auto& one : work.encodings) one->encode(m.at.matrix, m.known);
        }
        if (std::ranges::find(work.done, 0) == work.done.end()) complete(m.at.tensor);
    }

    void begin_encodings(tensor_work& work, const tensor_info& info, std::span<const format_error> errors) {
        for (const type_layout& layout : curve_points_.formats(lossy(errors)))
            work.encodings.push_back(std::make_unique<encoding>(source_, stored(info), with_layout(info, layout),
                                                                encoder_, options_.evaluate.threads,
                                                                options_.evaluate.memory));
    }

    [[nodiscard]] static std::vector<format_error> lossy(std::span<const format_error> errors) {
        std::vector<format_error> some;
        std::ranges::copy_if(errors, std::back_inserter(some), [](const auto& f) { return f.relative_error > 0.0; });
        return some;
    }

    // Measures the tensor with what is known by now.
    void complete(std::size_t tensor) {
        tensor_work& work = work_[tensor];
        if (std::exchange(work.is_complete, true)) return;
        const damage_subject& subject = subjects_[tensor];
        const tensor_info& info = *subject.info;
        std::ranges::fill(work.done, char{1});
        progress_.begin({"tensor", measured_ + 1, subjects_.size(), subject_work_[tensor], info.name});
        if (!work.tried) work.tried.emplace(source_, stored(info), info, encoder_, sampling());
        const std::vector<format_error> errors = work.tried->errors(layouts_of(info));
        if (work.encodings.empty()) {
            begin_encodings(work, info, errors);
            for (auto& one : work.encodings) work.tried->encode_known(*one);
        }
        std::vector<select::damage_point> points;
        const auto measure = [&](const auto& edit, double relative_error) {
            const estimate mean = meter_(subject, edit).result().mean;
            points.push_back({relative_error, mean.value, mean.error});
        };
        for (auto& one : work.encodings) {
            one->finish();
            const auto found =
                std::ranges::find(errors, one->target().type(), [](const format_error& f) { return f.layout.id; });
            if (found != errors.end()) measure(stored_rows<encoding>{*one}, found->relative_error);
            one.reset();
        }
        if (!lossy(errors).empty())
            for (const double size : curve_points_.noises()) measure(noise{size}, work.tried->error_of(noise{size}));
        curves_[tensor] = {info.name, select::damage_curve(std::move(points))};
        entries_[tensor] = entry_of(info, errors, curves_[tensor].curve);
        if (options_.kept != nullptr) options_.kept->add(tensor, {entries_[tensor], curves_[tensor].curve.points()});
        work.tried.reset();
        ++measured_;
        if (measured_ == subjects_.size()) progress_.finish();
    }

    [[nodiscard]] static select::tensor_damage entry_of(const tensor_info& info, std::span<const format_error> errors,
                                                        const select::damage_curve& curve) {
        select::tensor_damage entry{.name = info.name};
        std::tie(entry.sensitivity, entry.sensitivity_error) = curve.sensitivity();
        for (const format_error& f : errors) entry.options.push_back({f.layout, curve(f.relative_error)});
        return entry;
    }

    const Source& source_;
    const select::menu& menu_;
    std::span<const type_layout> fallback_;
    const Points& curve_points_;
    const Encoder& encoder_;
    const measure_damage_options& options_;
    stage_meter progress_;
    damage_meter<Source> meter_;
    std::vector<damage_subject> subjects_;
    std::vector<double> subject_work_;
    select::plan plan_;
    std::deque<tensor_work> work_;  // by subject, as what follows
    std::vector<select::tensor_damage> entries_;
    std::vector<tensor_curve> curves_;
    std::size_t measured_ = 0;
};

}  // namespace detail

/// Measures what the tensors of a model cost, in nats of mean KL divergence on windows of tokens, and predicts the
/// damage of every format of the menu: the measured curve of damage over error, at the error that `encoder`, with what
/// `schedule` lets it know, makes in sampled rows. The schedule is from_importances or from_text. Work grows with
/// tensors times measured points, hardly with formats. `fallback` has the types for rows that no format of the menu
/// takes. Formats that cannot hold the sampled weights are left out.
///
/// Tensors that the forward pass does not reach, such as those of layers for multi-token prediction, borrow another
/// tensor's curve, or a typical one, at the errors that formats make of themselves; their entries come last.
///
/// Memory is that of the schedule, the activations of the windows, and the layer at work in the formats it is measured
/// in. Throws as decoders, encoders and the schedule do.
template <class Formats = builtin_formats, tensor_source Source, class Encoder, class Schedule,
          curve_points Points = direct>
[[nodiscard]] select::damage_table measure_damage(const Source& source, const Encoder& encoder,
                                                  const Schedule& schedule, const token_windows& windows,
                                                  const select::menu& menu, std::span<const type_layout> fallback,
                                                  const Points& points = {}, const measure_damage_options& options = {},
                                                  progress_callback report = {}) {
    detail::measuring_job<Formats, Source, Encoder, Points> job(source, windows, menu, fallback, points, encoder,
                                                                options, report);
    schedule.run(job);
    return job.finish();
}

}  // namespace tessera
