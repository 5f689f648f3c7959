// What every strategy must respect: tensors that stay in full precision, and rows that a type cannot take.
#pragma once

#include <array>
#include <span>
#include <string_view>

#include "tessera/core/tensor_info.hpp"
#include "tessera/core/type_id.hpp"

namespace tessera::select {

/// True for the tensors that are never quantized: vectors, norms, routers, the small tensors of recurrent layers,
/// positions and patches of pictures, and whole numbers. Source: llama-quantize's own list.
[[nodiscard]] inline bool stays_full_precision(const tensor_info& info) noexcept {
    const std::string_view name = info.name;
    if (info.effective_rank() < 2 || !name.ends_with("weight") || is_integer(info.type())) return true;
    constexpr auto parts = std::to_array<std::string_view>({
        "_norm.weight",
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
        "time_mix_w0.weight",
        "time_mix_w1.weight",
        "time_mix_w2.weight",
        "time_mix_v0.weight",
        "time_mix_v1.weight",
        "time_mix_v2.weight",
        "time_mix_a0.weight",
        "time_mix_a1.weight",
        "time_mix_a2.weight",
        "time_mix_g1.weight",
        "time_mix_g2.weight",
        "time_mix_decay_w1.weight",
        "time_mix_decay_w2.weight",
        "time_mix_lerp_fused.weight",
        ".position_embd",
        "sam.pos_embd",
        "sam.neck.",
        "sam.net_",
        ".rel_pos",
        ".patch_embd",
        ".patch_merger",
        "a.rvq.codebook",
        "mm.a.code_embd",
    });
    for (const std::string_view part : parts)
        if (name.find(part) != std::string_view::npos) return true;
    return false;
}

/// The type of a tensor that stays in full precision: F32, which readers want and which holds exactly what 16 bits and
/// blocks hold. Whole numbers and F64, which it does not hold, stay what they are.
[[nodiscard]] inline const type_layout& full_precision_layout(const tensor_info& info) noexcept {
    const bool is_wider = is_integer(info.type()) || info.type() == type_id::f64;
    return is_wider ? info.layout : f32_layout;
}

/// True where stock tools refuse to encode a tensor without importances: types of so few bits that plain rounding
/// ruins the matrices of a layer. Source: llama-quantize.
[[nodiscard]] inline bool needs_importances(const tensor_info& target) noexcept {
    for (const std::string_view name : {"token_embd.weight", "per_layer_token_embd.weight", "output.weight"})
        if (target.name == name) return false;
    return target.layout.stock.needs_importances;
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
