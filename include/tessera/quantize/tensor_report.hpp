// How a tensor was encoded.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <vector>

#include "tessera/measure/weight_error.hpp"

namespace tessera {

/// What became of a tensor of the plan.
struct tensor_report {
    /// An encoder's share in it.
    struct share {
        std::string_view encoder;  ///< its name
        std::size_t matrices = 0;  ///< that it encoded
        /// Sum of the squared errors that it makes, or would have made, in the outputs of sampled rows for the held-out
        /// text; 0 where it was not tried.
        double held_out_error = 0;
    };

    encoding_error error;           ///< against the rows that were to be encoded; weighted by the inputs' mean squares
    std::vector<share> encoders{};  ///< of a tensor that is encoded, in the order of first use
    double most_damping = 0;        ///< of the factors that were used
    double least_coupling = 1;      ///< of the same: below 1 where a Gram matrix was not positive definite

    [[nodiscard]] share& of(std::string_view encoder) {
        const auto found = std::ranges::find(encoders, encoder, &share::encoder);
        return found != encoders.end() ? *found : encoders.emplace_back(share{encoder});
    }
    /// The matrices that an encoder made.
    [[nodiscard]] std::size_t matrices(std::string_view encoder) const {
        const auto found = std::ranges::find(encoders, encoder, &share::encoder);
        return found == encoders.end() ? 0 : found->matrices;
    }
    [[nodiscard]] double held_out_error(std::string_view encoder) const {
        const auto found = std::ranges::find(encoders, encoder, &share::encoder);
        return found == encoders.end() ? 0.0 : found->held_out_error;
    }
};

}  // namespace tessera
