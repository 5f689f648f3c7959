// A plan: which type every tensor gets, and why.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "tessera/core/tensor_info.hpp"

namespace tessera::select {

/// Why a tensor has the type it has.
enum class reason {
    requested,   ///< the strategy's choice
    kept,        ///< a tensor that is never quantized (norms, biases, routers)
    row_length,  ///< the rows are no whole number of the wanted type's blocks
};

/// One tensor's entry.
struct choice {
    tensor_info target;                    ///< the tensor as it will be written
    type_layout source = type_layouts[0];  ///< as it is stored now
    type_layout wanted = type_layouts[0];  ///< what was asked for; differs from the target's for reason::row_length
    reason why = reason::requested;
};

/// Choices in the order of the source's tensors.
struct plan {
    std::vector<choice> choices;

    [[nodiscard]] std::vector<tensor_info> targets() const {
        std::vector<tensor_info> infos;
        infos.reserve(choices.size());
        for (const choice& c : choices) infos.push_back(c.target);
        return infos;
    }
    [[nodiscard]] std::uint64_t bytes() const noexcept {
        std::uint64_t sum = 0;
        for (const choice& c : choices) sum += c.target.bytes();
        return sum;
    }
    [[nodiscard]] std::uint64_t weights() const noexcept {
        std::uint64_t sum = 0;
        for (const choice& c : choices) sum += c.target.weights();
        return sum;
    }
    /// Bits of tensor data per weight, over all tensors.
    [[nodiscard]] double bits_per_weight() const noexcept {
        return weights() == 0 ? 0.0 : 8.0 * static_cast<double>(bytes()) / static_cast<double>(weights());
    }
};

}  // namespace tessera::select
