// What every strategy must respect: tensors that stay in full precision, and rows that a type cannot take.
#pragma once

#include <array>
#include <span>
#include <string_view>

#include "tessera/core/tensor_info.hpp"
#include "tessera/core/type_id.hpp"

namespace tessera::select {

/// True for the tensors that are never quantized: vectors, norms, routers, and the small tensors of recurrent layers.
/// Readers want them in F32. Source: llama-quantize's own list.
[[nodiscard]] inline bool stays_full_precision(const tensor_info& info) noexcept {
    const std::string_view name = info.name;
    if (info.effective_rank() < 2 || !name.ends_with("weight")) return true;
    constexpr std::array<std::string_view, 15> parts{"_norm.weight",
                                                     "ffn_gate_inp.weight",
                                                     "ffn_gate_tid2eid.weight",
                                                     "altup",
                                                     "laurel",
                                                     "per_layer_model_proj",
                                                     "ssm_conv1d",
                                                     "shortconv.conv.weight",
                                                     "indexer.k_proj.weight",
                                                     "indexer.q_proj.weight",
                                                     "attn_rel_b.weight",
                                                     "position_embd.weight",
                                                     "token_types.weight",
                                                     "time_mix_first.weight",
                                                     "time_mix_lerp_fused.weight"};
    for (const std::string_view part : parts)
        if (name.find(part) != std::string_view::npos) return true;
    return false;
}

/// True where stock tools refuse to encode a tensor without importances: types of so few bits that plain rounding
/// ruins the matrices of a layer. Source: llama-quantize.
[[nodiscard]] inline bool needs_importances(const tensor_info& target) noexcept {
    for (const std::string_view name : {"token_embd.weight", "per_layer_token_embd.weight", "output.weight"})
        if (target.name == name) return false;
    switch (target.type()) {
        case type_id::iq1_s:
        case type_id::iq1_m:
        case type_id::iq2_xxs:
        case type_id::iq2_xs:
        case type_id::iq2_s:
        case type_id::iq3_xxs: return true;
        default: return false;
    }
}

/// `wanted` where the tensor's rows are whole blocks of it. Where they are not: of the types in `available` that take
/// the rows and use more bits than `wanted` (so that nothing is lost against it), the smallest; between equals the type
/// the tensor is stored in, then the first. A type of block size 1 must be among them.
[[nodiscard]] inline const type_layout& fitting(const tensor_info& info, const type_layout& wanted,
                                                std::span<const type_layout> available) {
    if (info.columns() % wanted.block_size == 0) return wanted;
    const type_layout* best = nullptr;
    for (const type_layout& layout : available) {
        if (info.columns() % layout.block_size != 0 || layout.bits_per_weight() <= wanted.bits_per_weight()) continue;
        const double bits = layout.bits_per_weight(), least = best == nullptr ? bits : best->bits_per_weight();
        const bool better = best == nullptr || bits < least || (bits == least && layout.id == info.type());
        if (better) best = &layout;
    }
    if (best == nullptr)
        fail("tensor ", info.name, ": rows of ", info.columns(), " weights: wanted a type of more bits than ",
             wanted.name, " that takes them, got none");
    return *best;
}

}  // namespace tessera::select
