// What schedules feed while damage is measured: tensors are tried, encoded and measured in the place of being written.
#pragma once

#include <algorithm>
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

#include "tessera/config.hpp"
#include "tessera/core/progress.hpp"
#include "tessera/core/stage_meter.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/core/token_windows.hpp"
#include "tessera/damage/borrowed_curve.hpp"
#include "tessera/damage/curve_points.hpp"
#include "tessera/damage/damage_meter.hpp"
#include "tessera/damage/depth_curves.hpp"
#include "tessera/damage/encoding_trial.hpp"
#include "tessera/damage/fit_damages.hpp"
#include "tessera/damage/kept_damage.hpp"
#include "tessera/damage/measured_tensor.hpp"
#include "tessera/damage/measuring_design.hpp"
#include "tessera/damage/row_edits.hpp"
#include "tessera/decoder/model_metadata.hpp"
#include "tessera/decoder/model_spec.hpp"
#include "tessera/decoder/token_work.hpp"
#include "tessera/encode/knowledge.hpp"
#include "tessera/measure/compare.hpp"
#include "tessera/measure/kl_divergence.hpp"
#include "tessera/measure/statistics.hpp"
#include "tessera/quantize/encoding_job.hpp"
#include "tessera/quantize/tensor_encoding.hpp"
#include "tessera/select/damage_curve.hpp"
#include "tessera/select/damage_table.hpp"
#include "tessera/select/menu.hpp"
#include "tessera/select/plan.hpp"
#include "tessera/select/rules.hpp"
#include "tessera/tensor/concepts.hpp"

namespace tessera {

struct measure_damage_options {
    evaluate_options evaluate = {};
    std::uint64_t sample_weights = std::uint64_t{1} << 16;  ///< of each tensor, for the errors of formats
    std::size_t sample_tiles = 2;  ///< of each tensor whose inputs are known, of as many rows as the encoder takes
    /// What measuring may take, in passes of the whole model; infinite: every tensor is measured whole on all windows.
    double passes = measuring_limits::default_passes;
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
          groups_(measuring_groups(source.tensors(), decoder::make_model_spec(source.metadata()))),
          design_(design_measuring(
              groups_, measuring_limits::on(windows.size(), windows.length(), points.count(), options.passes))),
          progress_(report, {"measure", "tokens",
                             static_cast<std::uint64_t>(passes_of(groups_, design_) *
                                                        static_cast<double>(windows.tokens().size())),
                             passes_of(groups_, design_) * work_of_all(source, windows)}),
          meter_(source, windows, options.evaluate, options.kept),
          windows_(windows.size()),
          subjects_(meter_.subjects()),
          measured_(subjects_.size()) {
        for (const damage_subject& subject : subjects_) {
            work_.emplace_back().done.resize(matrix_count(*subject.info));
            select::choice choice{.target = *subject.info, .source = subject.info->layout};
            plan_.choices.push_back(std::move(choice));
            const bool is_first = places_.empty() || subjects_[places_.back().first].role != subject.role ||
                                  subjects_[places_.back().first].layer != subject.layer;
            if (is_first) places_.push_back({.first = group_of_.size()});
            places_.back().count += 1;
            group_of_.push_back(places_.size() - 1);
        }
        TESSERA_ASSERT(places_.size() == groups_.size(), "a design for the tensors that are measured");
        const std::vector<double> work = meter_.work();
        double all = decoder::work_of_layers(work);
        for (std::size_t g = 0; g < places_.size(); ++g) {
            const std::size_t layer = subjects_[places_[g].first].layer;
            const double rest = std::accumulate(work.begin() + static_cast<std::ptrdiff_t>(layer), work.end(), 0.0);
            places_[g].work = static_cast<double>(design_[g].runs) * rest;
            all += places_[g].work;
        }
        progress_.expect(all - passes_of(groups_, design_) * work_of_all(source, windows));
        if (options.kept == nullptr) return;
        auto kept = options.kept->read(subjects_.size(), windows_, Formats::layouts);
        for (place& p : places_) {
            const auto first = kept.begin() + static_cast<std::ptrdiff_t>(p.first);
            if (!std::all_of(first, first + static_cast<std::ptrdiff_t>(p.count),
                             [](const auto& k) { return k.has_value(); }))
                continue;
            for (std::size_t t = p.first; t < p.first + p.count; ++t) {
                measured_[t] = std::move(*kept[t]);
                std::ranges::fill(work_[t].done, char{1});
            }
            p.is_complete = true;
            ++complete_places_;
            progress_.expect(-p.work);
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
        complete_below(layer);
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
            complete_below(subjects_[m->at.tensor].layer);  // experts that no token reached
            take(*m);
        }
    }
    void encode(const known_matrix& matrix) { encode({&matrix, 1}); }

    [[nodiscard]] select::damage_table finish() {
        for (std::size_t g = 0; g < places_.size(); ++g) complete(g);
        select::damage_table table;
        table.encoder = Encoder::name;
        std::vector<tensor_curve> curves;
        const std::vector<completed_curve> completed = complete_curves(points_of_curves());
        for (std::size_t t = 0; t < subjects_.size(); ++t) {
            const auto& [curve, between, relative_error] = completed[t];
            curves.push_back({subjects_[t].info->name, curve});
            select::tensor_damage entry = entry_of(*subjects_[t].info, measured_[t].errors, curve);
            for (const std::size_t other : between) entry.between.push_back(subjects_[other].info->name);
            if (!between.empty()) entry.sensitivity_error = relative_error * entry.sensitivity;
            table.tensors.push_back(std::move(entry));
        }
        for (const tensor_info& info : source_.tensors()) {
            if (select::stays_full_precision(info) || table.find(info.name) != nullptr) continue;
            const tensor_curve borrowed = borrowed_curve(info.name, curves);
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
        bool is_encoded = false;
    };

    // Tensors that are measured together (see measuring_group).
    struct place {
        std::size_t first, count = 0;  // subjects
        double work = 0;
        bool is_complete = false;
    };

    [[nodiscard]] static double work_of_all(const Source& source, const token_windows& windows) {
        return static_cast<double>(weights_of(source.tensors())) * static_cast<double>(windows.tokens().size());
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
            if (work.encodings.empty()) begin_encodings(m.at.tensor, work.tried->errors(layouts_of(info)));
            for (auto& one : work.encodings) one->encode(m.at.matrix, m.known);
        }
        const auto is_known = [](const tensor_work& w) { return std::ranges::find(w.done, 0) == w.done.end(); };
        if (is_known(work)) finish_encodings(work);
        const place& p = places_[group_of_[m.at.tensor]];
        const auto first = work_.begin() + static_cast<std::ptrdiff_t>(p.first);
        if (std::all_of(first, first + static_cast<std::ptrdiff_t>(p.count), is_known))
            complete(group_of_[m.at.tensor]);
    }

    // Those of `all` that the tensor is measured at.
    template <class T>
    [[nodiscard]] std::vector<T> points_of(std::size_t tensor, std::vector<T> all) const {
        const std::size_t points = design_[group_of_[tensor]].points;
        if (points >= all.size()) return all;
        if (points == 0) return {};
        return {all[all.size() / 2]};
    }

    void begin_encodings(std::size_t tensor, std::span<const format_error> errors) {
        const tensor_info& info = target(tensor);
        for (const type_layout& layout : points_of(tensor, curve_points_.formats(lossy(errors))))
            work_[tensor].encodings.push_back(
                std::make_unique<encoding>(source_, stored(info), with_layout(info, layout), encoder_,
                                           options_.evaluate.threads, options_.evaluate.memory));
    }

    [[nodiscard]] static std::vector<format_error> lossy(std::span<const format_error> errors) {
        std::vector<format_error> some;
        std::ranges::copy_if(errors, std::back_inserter(some), [](const auto& f) { return f.relative_error > 0.0; });
        return some;
    }

    void complete_below(std::size_t layer) {
        for (std::size_t g = 0; g < places_.size(); ++g)
            if (subjects_[places_[g].first].layer < layer) complete(g);
    }

    // Measures the tensors of a group with what is known by now.
    void complete(std::size_t group) {
        place& here = places_[group];
        if (std::exchange(here.is_complete, true)) return;
        progress_.begin({"group", complete_places_ + 1, places_.size(), here.work, subjects_[here.first].info->name});
        std::vector<windowed_edit> edits;
        std::vector<measured_edit*> results;
        for (std::size_t t = here.first; t < here.first + here.count; ++t) prepare(t);
        for (std::size_t t = here.first; t < here.first + here.count; ++t) {
            std::size_t next = 0;
            const auto add = [&](auto edit) {
                edits.push_back({&subjects_[t], std::move(edit)});
                results.push_back(&measured_[t].edits[next++]);
            };
            for (const auto& one : work_[t].encodings) add(stored_rows<encoding>{*one});
            if (!lossy(measured_[t].errors).empty())
                for (const double size : points_of(t, curve_points_.noises())) add(noise{size});
        }
        const std::size_t runs = std::min(design_[group].runs, edits.size());
        for (std::size_t run = 0; run < runs; ++run) measure_run(group, run, runs, edits, results);
        for (std::size_t t = here.first; t < here.first + here.count; ++t) {
            work_[t].encodings.clear();
            work_[t].tried.reset();
            if (options_.kept != nullptr) options_.kept->add(t, measured_[t]);
        }
        if (++complete_places_ == places_.size()) progress_.finish();
    }

    // From here on they are wherever there is room.
    static void finish_encodings(tensor_work& work) {
        if (work.encodings.empty() || std::exchange(work.is_encoded, true)) return;
        for (auto& one : work.encodings) one->finish();
    }

    // Finds the errors of a tensor, and encodes it where it is to be measured.
    void prepare(std::size_t tensor) {
        tensor_work& work = work_[tensor];
        const tensor_info& info = target(tensor);
        std::ranges::fill(work.done, char{1});
        if (!work.tried) work.tried.emplace(source_, stored(info), info, encoder_, sampling());
        measured_tensor& measured = measured_[tensor];
        measured = {.name = info.name, .errors = work.tried->errors(layouts_of(info))};
        if (work.encodings.empty()) {
            begin_encodings(tensor, measured.errors);
            for (auto& one : work.encodings) work.tried->encode_known(*one);
        }
        finish_encodings(work);
        std::erase_if(work.encodings, [&](auto& one) {
            const auto found = std::ranges::find(measured.errors, one->target().type(),
                                                 [](const format_error& f) { return f.layout.id; });
            if (found == measured.errors.end()) return true;
            measured.edits.push_back({.relative_error = found->relative_error});
            return false;
        });
        if (lossy(measured.errors).empty()) return;
        for (const double size : points_of(tensor, curve_points_.noises()))
            measured.edits.push_back({.relative_error = work.tried->error_of(noise{size})});
    }

    void measure_run(std::size_t group, std::size_t run, std::size_t runs, std::vector<windowed_edit>& edits,
                     std::span<measured_edit* const> results) {
        std::vector<std::size_t> edit_of(windows_);
        for (windowed_edit& e : edits) e.windows.clear();
        for (std::size_t w = 0; w < windows_; ++w) {
            edit_of[w] = edit_in_window(group, w, windows_, run, runs, edits.size());
            edits[edit_of[w]].windows.push_back(w);
        }
        std::vector<windowed_edit> used;
        for (const windowed_edit& e : edits)
            if (!e.windows.empty()) used.push_back(e);
        const kl_divergence divergence = meter_(used);
        const std::span<const float> tokens = divergence.per_token();
        const std::size_t count = tokens.size() / windows_;
        for (std::size_t w = 0; w < windows_; ++w) {
            const auto of_window = tokens.subspan(w * count, count);
            const double sum = std::accumulate(of_window.begin(), of_window.end(), 0.0);
            results[edit_of[w]]->windows.push_back({w, sum / static_cast<double>(count)});
        }
    }

    // What was measured of each subject.
    [[nodiscard]] std::vector<depth_curve> points_of_curves() const {
        std::vector<const measured_edit*> edits;
        for (const measured_tensor& m : measured_)
            for (const measured_edit& e : m.edits) edits.push_back(&e);
        const std::vector<estimate> damages = fit_damages(edits, windows_);
        std::vector<depth_curve> curves;
        std::size_t next = 0;
        for (std::size_t t = 0; t < subjects_.size(); ++t) {
            const std::string& name = subjects_[t].info->name;
            const std::string_view part = part_of_layer(name);
            curves.push_back({std::string(part.empty() ? std::string_view(name) : part), subjects_[t].layer});
            for (const measured_edit& e : measured_[t].edits) {
                const estimate& damage = damages[next++];
                if (!e.windows.empty()) curves.back().points.push_back({e.relative_error, damage.value, damage.error});
            }
        }
        return curves;
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
    std::vector<measuring_group> groups_;
    std::vector<group_design> design_;
    stage_meter progress_;
    damage_meter<Source> meter_;
    std::size_t windows_;
    std::vector<damage_subject> subjects_;
    std::vector<measured_tensor> measured_;  // by subject, as what follows
    select::plan plan_;
    std::deque<tensor_work> work_;
    std::vector<std::size_t> group_of_;
    std::vector<place> places_;  // by group
    std::size_t complete_places_ = 0;
};

}  // namespace detail

}  // namespace tessera
