// Which matrices of a layer get the same input.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/core/block_index.hpp"
#include "tessera/core/tensor_info.hpp"

namespace tessera::decoder {

/// An input of matrices of a layer.
struct matrix_input {
    std::size_t layer;
    std::uint64_t columns;
    std::uint64_t matrices;  ///< 1, or the experts that each have one of their own
};

namespace detail {

// Tensors of a layer with one key and as many columns get the same input.
[[nodiscard]] inline std::string input_of(std::string_view name) {
    const auto has = [&](std::string_view part) { return name.find(part) != std::string_view::npos; };
    if (has("ffn_down")) return has("exps") ? "down of experts" : "down";
    if (has("ffn_")) return has("exps") ? "experts" : "network";
    return has("_out") || has("attn_kv_b") || has("attn_q_b") ? std::string(name.substr(name.find('.', 4))) : "mixer";
}

}  // namespace detail

/// The inputs of all matrices of layers but routers, each once however many share it. They are told by the tensors'
/// names: for estimates of work.
[[nodiscard]] inline std::vector<matrix_input> matrix_inputs(std::span<const tensor_info> tensors) {
    std::map<std::pair<std::size_t, std::string>, matrix_input> inputs;  // by layer and what shares an input
    for (const tensor_info& info : tensors) {
        const auto layer = block_index(info.name);
        if (!layer || info.rank < 2 || info.name.find("ffn_gate_inp") != std::string::npos) continue;
        const std::string key = detail::input_of(info.name) + std::to_string(info.columns());
        inputs[{*layer, key}] = {*layer, info.columns(), matrix_count(info)};
    }
    std::vector<matrix_input> all;
    for (const auto& [key, input] : inputs) all.push_back(input);
    return all;
}

}  // namespace tessera::decoder
