// What a verb is going to do, and what it will take.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "tessera/core/block_index.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/decoder/token_work.hpp"
#include "tessera/quantize/encoding_work.hpp"

namespace tessera::app {

/// A model as far as work goes: multiply-adds of a token.
struct model_work {
    double layers = 0, output = 0;
    double used = 1;  ///< the share of a stack's matrices (experts) that a token meets

    model_work(std::span<const tensor_info> tensors, const metadata& properties) {
        const std::string prefix = properties.get_or<std::string>("general.architecture", "") + '.';
        const auto* experts = properties.get<std::uint32_t>(prefix + "expert_count");
        const auto* chosen = properties.get<std::uint32_t>(prefix + "expert_used_count");
        if (experts != nullptr && chosen != nullptr && *experts > 0 && *chosen <= *experts)
            used = static_cast<double>(*chosen) / static_cast<double>(*experts);
        std::size_t count = 0;
        for (const tensor_info& info : tensors)
            if (const auto block = block_index(info.name)) count = std::max<std::size_t>(count, *block + 1);
        const auto work = decoder::token_work(tensors, count, used);
        layers = decoder::work_of_layers(work);
        output = work.back();
    }

    /// Of running so many tokens through all layers.
    [[nodiscard]] double pass(std::uint64_t tokens) const noexcept { return layers * static_cast<double>(tokens); }
    /// Of predicting what follows so many.
    [[nodiscard]] double predict(std::uint64_t tokens) const noexcept { return output * static_cast<double>(tokens); }
};

/// Of writing all of a model: with error feedback from a text of `tokens` tokens, which runs `passes` times, or by a
/// search for scales, when there is none.
[[nodiscard]] inline double writing_work(std::span<const tensor_info> tensors, const model_work& model,
                                         std::uint64_t tokens, int passes) {
    double work = 0;
    for (const tensor_info& info : tensors) {
        if (info.rows() == 1) continue;
        work += tokens > 0 ? feedback_work(info) : search_work(info);
    }
    if (tokens > 0) work += passes * (model.pass(tokens) + learning_work(tensors, tokens, model.used));
    return work;
}

}  // namespace tessera::app
