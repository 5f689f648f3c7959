// Letting others see what matrices are multiplied with.
#pragma once

#include <cstddef>
#include <span>

#include "tessera/core/function_ref.hpp"
#include "tessera/decoder/linear.hpp"
#include "tessera/decoder/matrix.hpp"
#include "tessera/decoder/routing.hpp"

namespace tessera::decoder {

/// What some linear layers are about to be multiplied with. All windows come at once, each token that the layers see as
/// a row; an expert's tokens in ascending order.
struct linear_input {
    std::size_t layer;                                       ///< of the decoder; one past the last for the output
    std::span<const linear* const> shared;                   ///< the linear layers that get these very rows
    Eigen::Ref<const matrix, 0, Eigen::OuterStride<>> rows;  ///< tokens x inputs
    std::span<const routed_token> routed;  ///< an expert's: the token of each row; else empty: all tokens in order
};

/// Called on the thread that runs the decoder, before the product, never for experts without tokens. May be empty.
using input_observer = function_ref<void(const linear_input&)>;

}  // namespace tessera::decoder
