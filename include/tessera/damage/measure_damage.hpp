// The damage table: what every format on every tensor is predicted to cost, from a few measurements per tensor.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "tessera/core/progress.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/core/token_windows.hpp"
#include "tessera/core/type_id.hpp"
#include "tessera/damage/curve_points.hpp"
#include "tessera/damage/measuring_job.hpp"
#include "tessera/format/builtin.hpp"
#include "tessera/select/damage_table.hpp"
#include "tessera/select/menu.hpp"
#include "tessera/tensor/concepts.hpp"

namespace tessera {

/// Below so many tokens figures of a model are too uncertain, and those of tensors that share the tokens.
inline constexpr std::uint64_t least_tokens_of_plans = 1024, least_tokens_of_damage = 4096;
/// More hardly change a plan.
inline constexpr std::uint64_t most_measure_tokens = 16384;

/// The default number of tokens for so many passes: about 5e13 floating-point operations, minutes on two cores,
/// within these bounds.
[[nodiscard]] inline std::uint64_t default_measure_tokens(std::span<const tensor_info> tensors, double passes,
                                                          std::uint64_t least = least_tokens_of_plans) {
    const auto weights = static_cast<double>(weights_of(tensors));
    return static_cast<std::uint64_t>(std::clamp(5e13 / (2.0 * weights * passes), static_cast<double>(least),
                                                 static_cast<double>(most_measure_tokens)));
}

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
