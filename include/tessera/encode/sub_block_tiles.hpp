// The weights of a few blocks, transposed so that every SIMD lane works on a sub-block of its own.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>

#include "tessera/encode/importance.hpp"
#include "tessera/kernels/simd.hpp"

namespace tessera {

/// As many blocks of F as fit a register with their sub-blocks, or one block in several tiles of `lanes` sub-blocks.
/// Sub-blocks of all blocks have slots: slot s is lane s % lanes of tile s / lanes. Lanes that are left over, where the
/// number of sub-blocks is no power of two, are slots of zeros after the last block.
template <class F, class Arch>
class sub_block_tiles {
    using batch = kernels::float_batch<Arch>;

public:
    static constexpr std::size_t lanes = kernels::lanes<Arch>;
    static constexpr std::size_t sub_blocks = F::scaling::sub_blocks;
    static constexpr std::size_t sub_size = F::sub_block_size;
    static constexpr std::size_t blocks = std::max<std::size_t>(1, lanes / sub_blocks);
    static constexpr std::size_t tiles = (blocks * sub_blocks + lanes - 1) / lanes;
    static constexpr std::size_t slots = tiles * lanes;

    /// One number for each slot, 0 at first.
    struct alignas(kernels::simd_alignment<Arch>) slot_array : std::array<float, slots> {
        slot_array() noexcept : std::array<float, slots>{} {}
        [[nodiscard]] batch tile(std::size_t t) const noexcept { return batch::load_aligned(this->data() + t * lanes); }
        void set_tile(std::size_t t, batch values) noexcept { values.store_aligned(this->data() + t * lanes); }
        [[nodiscard]] std::span<const float, sub_blocks> of_block(std::size_t b) const noexcept {
            return std::span<const float, sub_blocks>(this->data() + b * sub_blocks, sub_blocks);
        }
    };

    /// Takes x.size() / F::block_size blocks, at most `blocks`; the others become zeros. Importances, as many as
    /// weights or none, are scaled to a mean of 1 over the block; a sub-block without any counts evenly. Weights of
    /// importance 0 become 0.
    void load(std::span<const float> x, std::span<const float> importance) noexcept {
        const std::size_t count = x.size() / F::block_size;
        if (count * sub_blocks < slots) {
            x_.fill(0.0f);
            w_.fill(1.0f);
        }
        alignas(kernels::simd_alignment<Arch>) std::array<float, F::block_size> weights;
        for (std::size_t b = 0; b < count; ++b) {
            const std::size_t first = b * F::block_size;
            normalize_importance<Arch>(importance.empty() ? importance : importance.subspan(first, F::block_size),
                                       weights);
            for (std::size_t g = 0; g < sub_blocks; ++g) {
                const std::size_t row = position(b * sub_blocks + g, 0);
                for (std::size_t i = 0; i < sub_size; ++i) x_[row + i * lanes] = x[first + g * sub_size + i];
                for (std::size_t i = 0; i < sub_size; ++i) w_[row + i * lanes] = weights[g * sub_size + i];
            }
        }
        for (std::size_t t = 0; t < tiles; ++t) prepare_tile(t);
    }

    /// Weights and importances of a tile: `sub_size` rows of `lanes`.
    [[nodiscard]] const float* x(std::size_t t) const noexcept { return x_.data() + t * sub_size * lanes; }
    [[nodiscard]] const float* w(std::size_t t) const noexcept { return w_.data() + t * sub_size * lanes; }
    /// The sum of a slot's importances.
    [[nodiscard]] const slot_array& weight() const noexcept { return weight_; }

    /// True when all weights of a block are finite and the squares of the larger ones neither overflow nor vanish.
    [[nodiscard]] bool squares_are_safe(std::size_t b) const noexcept {
        float largest = 0.0f;
        for (const float magnitude : largest_.of_block(b)) {
            if (!(magnitude < 0x1p50f)) return false;
            largest = std::max(largest, magnitude);
        }
        return largest > 0x1p-50f;
    }

    /// A block's weights in their own order again.
    [[nodiscard]] std::array<float, F::block_size> block(std::size_t b) const noexcept {
        std::array<float, F::block_size> values;
        for (std::size_t i = 0; i < F::block_size; ++i)
            values[i] = x_[position(b * sub_blocks + i / sub_size, i % sub_size)];
        return values;
    }

private:
    [[nodiscard]] static constexpr std::size_t position(std::size_t slot, std::size_t i) noexcept {
        return (slot / lanes * sub_size + i) * lanes + slot % lanes;
    }

    void prepare_tile(std::size_t t) noexcept {
        float* values = x_.data() + t * sub_size * lanes;
        float* weights = w_.data() + t * sub_size * lanes;
        const batch zero(0.0f), one(1.0f);
        batch total = zero;
        for (std::size_t i = 0; i < sub_size; ++i) total += batch::load_aligned(weights + i * lanes);
        const auto none = total == zero;
        weight_.set_tile(t, xsimd::select(none, batch(static_cast<float>(sub_size)), total));
        batch largest = zero, poison = zero;
        for (std::size_t i = 0; i < sub_size; ++i) {
            const batch weight = xsimd::select(none, one, batch::load_aligned(weights + i * lanes));
            weight.store_aligned(weights + i * lanes);
            const batch value = xsimd::select(weight == zero, zero, batch::load_aligned(values + i * lanes));
            value.store_aligned(values + i * lanes);
            largest = xsimd::max(largest, xsimd::abs(value));
            poison += value * zero;  // NaN when one of them is not finite
        }
        largest_.set_tile(t, largest + poison);
    }

    alignas(kernels::simd_alignment<Arch>) std::array<float, slots * sub_size> x_, w_;
    slot_array weight_, largest_;
};

}  // namespace tessera
