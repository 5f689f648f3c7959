// A plan: which type every tensor gets, and why.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/core/tensor_info.hpp"

namespace tessera::select {

/// Why a tensor has the type it has.
enum class reason {
    unchanged,   ///< no rule or strategy chose: it keeps its type
    requested,   ///< a rule's choice
    kept,        ///< a tensor that is never quantized (norms, biases, routers, whole numbers)
    row_length,  ///< the rows are no whole number of the wanted type's blocks
    budget,      ///< chosen together with the others, for the least damage within a limit
    unpriced,    ///< left as it is because the damage of all other types is unknown
};

/// One tensor's entry.
struct choice {
    tensor_info target;               ///< the tensor as it will be written
    type_layout source = f32_layout;  ///< as it is stored now
    type_layout wanted = f32_layout;  ///< what was asked for; differs from the target's for reason::row_length
    reason why = reason::requested;
    std::optional<double> damage = {};  ///< predicted mean KL divergence in nats, where it is known
    std::string made_from = {};         ///< the source's tensor, where it has another name: a table written twice

    [[nodiscard]] std::string_view source_name() const noexcept { return made_from.empty() ? target.name : made_from; }
    /// Whether the tensor is made anew, in a type of blocks.
    [[nodiscard]] bool is_encoded() const noexcept {
        return target.layout.block_size > 1 && target.type() != source.id;
    }
};

/// Choices in the order of the source's tensors; what is written a second time comes last.
struct plan {
    std::vector<choice> choices;
    std::optional<std::uint32_t> file_type = {};  ///< llama.cpp's number of the mix, where the plan is one
    std::optional<double> gap = {};  ///< proven: the least value of what was minimised is at most this share lower

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
    /// The model's weights; those of a table that is written twice count once.
    [[nodiscard]] std::uint64_t weights() const noexcept {
        std::uint64_t sum = 0;
        for (const choice& c : choices)
            if (c.made_from.empty()) sum += c.target.weights();
        return sum;
    }
    /// Bits of tensor data per weight, over all tensors.
    [[nodiscard]] double bits_per_weight() const noexcept {
        return weights() == 0 ? 0.0 : 8.0 * static_cast<double>(bytes()) / static_cast<double>(weights());
    }
    /// The sum of the predicted damages, or nothing where one of them is not known.
    [[nodiscard]] std::optional<double> damage() const noexcept {
        double sum = 0.0;
        for (const choice& c : choices) {
            if (!c.damage) return std::nullopt;
            sum += *c.damage;
        }
        return sum;
    }
};

}  // namespace tessera::select
