// The damage table: what every format on every tensor is predicted to cost, from a few measurements per tensor.
#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "tessera/calibrate/importance_table.hpp"
#include "tessera/core/block_index.hpp"
#include "tessera/core/parallel.hpp"
#include "tessera/core/progress.hpp"
#include "tessera/damage/damage_meter.hpp"
#include "tessera/damage/feedback_gains.hpp"
#include "tessera/damage/row_edits.hpp"
#include "tessera/encode/encoders.hpp"
#include "tessera/format/builtin.hpp"
#include "tessera/measure/evaluate.hpp"
#include "tessera/select/damage_curve.hpp"
#include "tessera/select/damage_table.hpp"
#include "tessera/select/menu.hpp"
#include "tessera/select/rules.hpp"
#include "tessera/select/tied_table.hpp"
#include "tessera/tensor/concepts.hpp"

namespace tessera {

/// What the real encoder makes of a tensor in one format: the root of its relative squared error, columns weighed by
/// importance.
struct format_error {
    type_layout layout;
    double relative_error;
};

/// Measures a few points of a tensor's damage curve: m.edits(errors) is how many points there will be,
/// m(errors, measure_noise, measure_format) takes them. measure_noise(size) and measure_format(layout) edit the tensor,
/// run the model and return a select::damage_point.
template <class M>
concept damage_measure = requires(const M& m, std::span<const format_error> errors,
                                  select::damage_point (*noise)(double), select::damage_point (*format)(type_layout)) {
    { m(errors, noise, format) } -> std::same_as<std::vector<select::damage_point>>;
};

/// Random errors of known sizes. Independent of formats and encoders, and precise: divergence follows the square of the
/// size closely. Blind to what encoders do to a tensor beside adding noise, which matters from about 15 % error on.
struct perturbation {
    std::vector<double> sizes{0.05, 0.15};

    std::vector<select::damage_point> operator()(std::span<const format_error>, auto&& measure_noise, auto&&) const {
        std::vector<select::damage_point> points;
        for (const double size : sizes) points.push_back(measure_noise(size));
        return points;
    }
};

/// The tensor in real formats: those whose errors come nearest to the given ones.
struct direct {
    std::vector<double> errors{0.07, 0.15, 0.3};

    std::vector<select::damage_point> operator()(std::span<const format_error> formats, auto&&,
                                                 auto&& measure_format) const {
        std::vector<type_id> taken;
        std::vector<select::damage_point> points;
        for (const double wanted : errors) {
            const auto distance = [&](const format_error& f) { return std::abs(std::log(f.relative_error / wanted)); };
            const format_error& nearest = *std::ranges::min_element(formats, {}, distance);
            if (std::ranges::find(taken, nearest.layout.id) != taken.end()) continue;
            taken.push_back(nearest.layout.id);
            points.push_back(measure_format(nearest.layout));
        }
        return points;
    }
};

namespace detail {

// What a tensor's errors cost, and how it came to be known.
struct tensor_curve {
    std::string name;
    select::damage_curve curve;
};

// What stands behind "blk.N." in the name of a layer's tensor; nothing for other tensors.
[[nodiscard]] inline std::string_view part_of_layer(std::string_view name) {
    return block_index(name) ? name.substr(name.find('.', 4) + 1) : std::string_view();
}

// The curve that a tensor borrows when the forward pass does not reach it: that of the same part in the last layer that
// has it, of the embeddings and the output for those that layers for multi-token prediction have of their own, else one
// with the median of all sensitivities. `measured` are in the order of the forward pass.
[[nodiscard]] inline tensor_curve borrowed_curve(std::string_view name, std::span<const tensor_curve> measured) {
    const std::string_view part = part_of_layer(name);
    const auto is_lender = [&](const tensor_curve& other) {
        if (part.ends_with("nextn.embed_tokens.weight")) return other.name == select::embedding_name;
        if (part.ends_with("nextn.shared_head_head.weight")) return other.name == select::output_name;
        return !part.empty() && part_of_layer(other.name) == part;
    };
    const auto lender = std::find_if(measured.rbegin(), measured.rend(), is_lender);
    if (lender != measured.rend()) return *lender;
    std::vector<double> sensitivities;
    for (const tensor_curve& other : measured) sensitivities.push_back(other.curve.sensitivity().first);
    const auto middle = sensitivities.begin() + static_cast<std::ptrdiff_t>(sensitivities.size() / 2);
    std::ranges::nth_element(sensitivities, middle);
    constexpr double error = 0.1;  // any small one: damage follows the square
    return {std::string(select::tensor_damage::typical),
            select::damage_curve({{.relative_error = error, .damage = *middle * error * error}})};
}

}  // namespace detail

/// Passes through a whole model that measuring `points` points of every tensor's curve is worth: an edit costs the
/// layers from its tensor on, half of them in the mean.
[[nodiscard]] inline std::size_t measure_passes(std::span<const tensor_info> tensors, std::size_t points) {
    const auto quantized =
        std::ranges::count_if(tensors, [](const auto& t) { return !select::stays_full_precision(t); });
    return static_cast<std::size_t>(quantized) * points / 2 + 2;
}

/// Tokens for so many passes, when nobody says: about 5e13 floating-point operations, minutes on two cores; at least
/// 1024 tokens, below which figures are too vague, and at most 16384, beyond which they hardly change a plan.
[[nodiscard]] inline std::uint64_t default_measure_tokens(std::span<const tensor_info> tensors, std::size_t passes) {
    double weights = 0;
    for (const tensor_info& info : tensors) weights += static_cast<double>(info.weights());
    return static_cast<std::uint64_t>(
        std::clamp(5e13 / (2.0 * weights * static_cast<double>(passes)), 1024.0, 16384.0));
}

struct measure_damage_options {
    evaluate_options evaluate = {};
    std::uint64_t sample_weights = std::uint64_t{1} << 16;  ///< of each tensor, for the errors of formats
    /// By what part errors will shrink in the end, where that is by error feedback; null: they stay.
    const feedback_gains* gains = nullptr;
};

/// Measures what the tensors of a model cost, in nats of mean KL divergence on whole windows of `window` tokens, and
/// predicts the damage of every format of the menu: the measured curve of damage over error, at the error that
/// `encoder` makes in sampled rows. Work grows with tensors times measured points, hardly with formats. `fallback`
/// has the types for rows that no format of the menu takes. Formats that cannot hold the sampled weights are left out.
///
/// Tensors that the forward pass does not reach, such as those of layers for multi-token prediction, borrow another
/// tensor's curve, or a typical one, at the errors that formats make of themselves; their entries come last.
///
/// Throws as decoders and encoders do, and when importances are those of another model.
template <class Formats = builtin_formats, class Encoder = weighted, damage_measure Measure = direct,
          tensor_source Source>
[[nodiscard]] select::damage_table measure_damage(const Source& source, const importance_table& importances,
                                                  std::span<const std::int32_t> tokens, std::size_t window,
                                                  const select::menu& menu, std::span<const type_layout> fallback,
                                                  const Measure& measure = {}, const Encoder& encoder = {},
                                                  const measure_damage_options& options = {},
                                                  progress_callback report = {}) {
    importances.require_fit(source.tensors());
    damage_meter meter(source, tokens, window, options.evaluate);
    select::damage_table table;
    if (options.gains != nullptr) table.encoder = "feedback";
    const std::size_t total = meter.subjects().size();
    const auto stored = [&](const type_layout& layout) {
        return stored_in<Encoder, Formats>{layout, importances, encoder};
    };
    const auto error_of = [&](const tensor_info& in_source, const tensor_info& info, const auto& edit) {
        const std::uint64_t rows = std::max<std::uint64_t>(8, options.sample_weights / info.columns());
        return sampled_error(source, in_source, info, importances, edit, rows).relative();
    };
    // What the formats of the menu that a tensor is not stored in make of it.
    const auto errors_of = [&](const tensor_info& in_source, const tensor_info& info) {
        std::vector<format_error> errors;
        for (const type_layout& layout : menu.of(info, fallback))
            if (layout.id != info.type()) errors.push_back({layout, 0.0});
        parallel_for(errors.size(), options.evaluate.threads, [&](std::size_t f) {
            errors[f].relative_error = error_of(in_source, info, stored(errors[f].layout));
        });
        std::erase_if(errors, [](const format_error& f) { return !std::isfinite(f.relative_error); });
        return errors;
    };
    const auto add_entry = [&](const tensor_info& info, std::span<const format_error> errors,
                               const select::damage_curve& curve, std::string_view priced_as) {
        select::tensor_damage entry{.name = info.name};
        entry.priced_as = priced_as;
        std::tie(entry.sensitivity, entry.sensitivity_error) = curve.sensitivity();
        for (const format_error& f : errors) {
            const double gain = options.gains == nullptr ? 1.0 : options.gains->factor(info.name, f.layout.id);
            entry.options.push_back({f.layout, curve(gain * f.relative_error)});
        }
        table.tensors.push_back(std::move(entry));
    };

    std::vector<detail::tensor_curve> curves;
    meter.for_each_subject([&](const damage_subject& subject, auto&& divergence_of) {
        const tensor_info& info = subject.info;
        const auto point_of = [&](const auto& edit, double relative_error) {
            const estimate mean = divergence_of(edit).result().mean;
            return select::damage_point{relative_error, mean.value, mean.error};
        };
        const std::vector<format_error> errors = errors_of(*subject.stored, info);
        std::vector<format_error> lossy;
        std::ranges::copy_if(errors, std::back_inserter(lossy), [](const auto& f) { return f.relative_error > 0.0; });
        std::vector<select::damage_point> points;
        if (!lossy.empty()) {
            const auto measure_noise = [&](double size) {
                const noise edit{size};
                return point_of(edit, error_of(*subject.stored, info, edit));
            };
            const auto measure_format = [&](const type_layout& layout) {
                const auto found = std::ranges::find(lossy, layout.id, [](const auto& f) { return f.layout.id; });
                return point_of(stored(layout), found->relative_error);
            };
            points = measure(std::span<const format_error>(lossy), measure_noise, measure_format);
        }
        curves.push_back({info.name, select::damage_curve(std::move(points))});
        add_entry(info, errors, curves.back().curve, {});
        if (report) report({.stage = "measure", .unit = "tensors", .done = table.tensors.size(), .total = total});
    });
    for (const tensor_info& info : source.tensors()) {
        if (select::stays_full_precision(info) || table.find(info.name) != nullptr) continue;
        const detail::tensor_curve borrowed = detail::borrowed_curve(info.name, curves);
        add_entry(info, errors_of(info, info), borrowed.curve, borrowed.name);
    }
    return table;
}

}  // namespace tessera
