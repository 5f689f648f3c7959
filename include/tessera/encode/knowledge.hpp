// What encoders may know of a matrix, and how they say what they need.
#pragma once

#include <cstdint>
#include <span>

#include "tessera/core/view.hpp"

namespace tessera {

class gram_factor;

/// What an encoder cannot do without, beside rows and the importances that there are. Schedules bring it: see
/// quantize/schedule.hpp.
struct encoder_needs {
    bool gram = false;    ///< the Gram matrix of the inputs
    bool factor = false;  ///< and its factor
    /// What outputs are judged by, the Gram matrix of held-out text or, where there is none, of the text calibrated on;
    /// asks for a text, too.
    bool held_out = false;

    /// Whether a text has to go through the model for it.
    [[nodiscard]] constexpr bool any() const noexcept { return gram || factor || held_out; }
    friend constexpr encoder_needs operator|(const encoder_needs& a, const encoder_needs& b) noexcept {
        return {a.gram || b.gram, a.factor || b.factor, a.held_out || b.held_out};
    }
};

/// What is known of one matrix W (rows x columns, y = W x) when its rows are encoded. Everything may be missing but
/// what the encoder needs; what it does not need may be missing although it is known elsewhere.
struct matrix_knowledge {
    /// Mean squares of the inputs, one per column, not negative; empty: all columns count alike.
    std::span<const float> importance{};
    /// H = sum of x x' over the inputs x that were calibrated on, the Gram matrix of the inputs (the Hessian of the
    /// layer's squared error up to a factor): columns x columns, symmetric.
    matrix_view gram{};
    std::uint64_t tokens = 0;             ///< inputs in the sum
    const gram_factor* factor = nullptr;  ///< of H, damped
    /// The same sum over inputs of held-out text: for judging what was made with H.
    matrix_view held_out{};
    /// M, which compensates the error of inputs that come from quantized layers: the rows to encode are those of
    /// W + W M. Columns x columns; empty: the rows are W's own. See calibrate/compensation.hpp.
    matrix_view correction{};

    /// Whether an encoder of these needs can work with it.
    [[nodiscard]] constexpr bool meets(const encoder_needs& needs) const noexcept {
        return (!needs.gram || gram.rows() > 0) && (!needs.factor || factor != nullptr);
    }
    /// What outputs are judged by: H of the held-out text, or else of the text calibrated on; may be empty.
    [[nodiscard]] constexpr matrix_view judge() const noexcept { return held_out.rows() > 0 ? held_out : gram; }
};

}  // namespace tessera
