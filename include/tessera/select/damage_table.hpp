// The damage of each tensor in each format, in nats of KL divergence: measured elsewhere, read by the strategies.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/core/type_id.hpp"

namespace tessera::select {

/// A format a tensor may be stored in, and the predicted mean KL divergence in nats when only this tensor is stored so.
struct damage_option {
    type_layout layout;
    double damage = 0.0;
};

/// The damage of one tensor in each format.
struct tensor_damage {
    std::string name;
    std::vector<damage_option> options{};  ///< each format at most once, in any order
    double sensitivity = 0.0;              ///< nats per unit of the tensor's relative squared error
    double sensitivity_error = 0.0;        ///< standard error of the sensitivity
    /// Whose curve this is, where nothing could be measured because the forward pass does not reach the tensor: another
    /// tensor's, or that of no single one (`typical`). Empty: its own.
    std::string priced_as{};
    static constexpr std::string_view typical = "typical";
    /// Between whose sensitivities this one was interpolated, over depth, where it was not measured itself: tensors of
    /// the same kind in the nearest layers that were, one or two. Empty: it was measured, or is priced as another.
    std::vector<std::string> between{};

    /// The damage of a format, or nothing when it was not measured.
    [[nodiscard]] std::optional<double> damage(type_id type) const noexcept {
        for (const damage_option& option : options)
            if (option.layout.id == type) return option.damage;
        return std::nullopt;
    }
};

/// The damage of every tensor of a model that may be quantized. Damages of different tensors add up.
///
/// A model without output.weight uses its embedding table in two roles, and the table has two entries for it:
/// token_embd.weight is the damage through the embeddings, output.weight the damage through the logits. Where the
/// second is missing, the first stands for both.
struct damage_table {
    std::vector<tensor_damage> tensors{};
    std::string encoder = "weighted";  ///< that is to encode
    std::string origin{};              ///< a fingerprint of what it was measured with; empty: unknown

    /// The entry of this name, or null.
    [[nodiscard]] const tensor_damage* find(std::string_view name) const noexcept {
        const auto found =
            std::find_if(tensors.begin(), tensors.end(), [&](const tensor_damage& t) { return t.name == name; });
        return found == tensors.end() ? nullptr : &*found;
    }
};

}  // namespace tessera::select
