// What error feedback did to a tensor.
#pragma once

#include <cstddef>

#include "tessera/measure/weight_error.hpp"

namespace tessera {

/// How the matrices of a tensor were encoded.
struct feedback_report {
    encoding_error error;           ///< weighed by the mean squares of the inputs
    std::size_t with_feedback = 0;  ///< matrices
    std::size_t weighted = 0;       ///< matrices for which plain weighting was better, or that no token reached
    /// Sums of the squared errors of sampled rows' outputs over the tokens held back, by encoder.
    double held_back_weighted = 0, held_back_feedback = 0;
    double most_damping = 0;    ///< of the matrices' factors: more than the options' where tokens were few
    double least_coupling = 1;  ///< below 1 where a Gram matrix was not positive definite
};

}  // namespace tessera
