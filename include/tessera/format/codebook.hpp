// What a code stands for, before scales: its level. A codebook offers
//   low, high            the range of the levels that encoders use
//   steps                how many steps between neighbouring levels that range has
//   level(code)          the level of a code
//   code(x)              the code whose level is nearest to x
//   levels<Arch, Part>(sixteen)  a register of levels: those of the Part-th lanes<Arch> codes of sixteen
//   nearest(batch)       the levels nearest to a register of values
//   codes(batch)         their codes, as floats
#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>

#include "tessera/kernels/rounding.hpp"
#include "tessera/kernels/simd.hpp"

namespace tessera {

/// Evenly spaced integers: code c stands for level Low + c * Step; `Low` to `High` are the levels an encoder may use.
template <int Low, int High, int Step = 1>
struct linear {
    static_assert((High - Low) % Step == 0);
    static constexpr float low = static_cast<float>(Low);
    static constexpr float high = static_cast<float>(High);
    static constexpr int steps = (High - Low) / Step;

    [[nodiscard]] static float level(std::uint8_t code) noexcept { return static_cast<float>(Low + code * Step); }
    /// Ties go to even codes or levels, NaN to the lowest.
    [[nodiscard]] static std::uint8_t code(float x) noexcept {
        x = kernels::clamp(x, low, high);
        if constexpr (Step != 1) return static_cast<std::uint8_t>(kernels::round_to_even((x - low) / Step));
        return static_cast<std::uint8_t>(static_cast<int>(kernels::round_to_even(x)) - Low);
    }

    template <class Arch, std::size_t Part>
    [[nodiscard]] static kernels::float_batch<Arch> levels(kernels::byte_vector codes) noexcept {
        using batch = kernels::float_batch<Arch>;
        batch level = kernels::widen_part<Arch, std::uint8_t, Part>(codes);
        if constexpr (Step != 1) level = level * batch(static_cast<float>(Step));
        if constexpr (Low != 0) level = level + batch(low);
        return level;
    }
    template <class Batch>
    [[nodiscard]] static Batch nearest(Batch x) noexcept {
        x = min(max(x, Batch(low)), Batch(high));
        if constexpr (Step == 1) return kernels::round_to_even(x);
        return kernels::round_to_even((x - Batch(low)) * Batch(1.0f / Step)) * Batch(static_cast<float>(Step)) +
               Batch(low);
    }
    template <class Batch>
    [[nodiscard]] static Batch codes(Batch x) noexcept {
        return (nearest(x) - Batch(low)) * Batch(1.0f / Step);
    }
};

/// A signed byte in two's complement. `Low` to `High` are the levels an encoder may use; every byte decodes.
template <int Low, int High>
struct signed_byte : linear<Low, High> {
    [[nodiscard]] static float level(std::uint8_t code) noexcept {
        return static_cast<float>(static_cast<std::int8_t>(code));
    }
    [[nodiscard]] static std::uint8_t code(float x) noexcept {
        return static_cast<std::uint8_t>(linear<Low, High>::code(x) + Low);
    }
    template <class Arch, std::size_t Part>
    [[nodiscard]] static kernels::float_batch<Arch> levels(kernels::byte_vector codes) noexcept {
        return kernels::widen_part<Arch, std::int8_t, Part>(codes);
    }
    template <class Batch>
    [[nodiscard]] static Batch codes(Batch x) noexcept {
        return linear<Low, High>::nearest(x);
    }
};

/// Levels from a table: code c stands for Table::levels[c], an array of std::int8_t (16 of them) or float (up to 256),
/// in any order. Of codes with the same level only the first is used.
template <class Table>
struct level_table {
private:
    using entry = typename decltype(Table::levels)::value_type;
    static constexpr std::size_t size = Table::levels.size();
    static_assert(std::same_as<entry, float> || (std::same_as<entry, std::int8_t> && size == 16));

    // The levels in ascending order without repetition, with their codes, and the middles between neighbours.
    struct sorted_levels {
        std::array<float, size> level{}, code{}, middle{};
        std::size_t count = 0;
    };
    static constexpr sorted_levels sorted = [] {
        sorted_levels s;
        std::array<std::size_t, size> order{};
        for (std::size_t i = 0; i < size; ++i) order[i] = i;
        std::sort(order.begin(), order.end(), [](std::size_t a, std::size_t b) {
            return Table::levels[a] < Table::levels[b] || (Table::levels[a] == Table::levels[b] && a < b);
        });
        for (const std::size_t i : order) {
            const auto level = static_cast<float>(Table::levels[i]);
            if (s.count > 0 && s.level[s.count - 1] == level) continue;
            if (s.count > 0) s.middle[s.count - 1] = (s.level[s.count - 1] + level) / 2;
            s.level[s.count] = level;
            s.code[s.count++] = static_cast<float>(i);
        }
        return s;
    }();

    static constexpr bool mirrored = [] {
        for (std::size_t k = 0; k < sorted.count; ++k)
            if (sorted.level[k] != -sorted.level[sorted.count - 1 - k]) return false;
        return sorted.count % 2 == 1;
    }();

    // The entry of `values` that belongs to the level nearest to x, from level number First up; the higher one of a tie
    // is not taken.
    template <std::size_t First, class Batch>
    [[nodiscard]] static Batch pick(Batch x, const std::array<float, size>& values) noexcept {
        Batch found(values[First]);
        for (std::size_t k = First + 1; k < sorted.count; ++k)
            found = xsimd::select(x > Batch(sorted.middle[k - 1]), Batch(values[k]), found);
        return found;
    }

public:
    static constexpr float low = sorted.level[0];
    static constexpr float high = sorted.level[sorted.count - 1];
    static constexpr int steps = static_cast<int>(sorted.count) - 1;

    [[nodiscard]] static float level(std::uint8_t code) noexcept { return static_cast<float>(Table::levels[code]); }
    [[nodiscard]] static std::uint8_t code(float x) noexcept {
        std::size_t k = 0;
        while (k + 1 < sorted.count && x > sorted.middle[k]) ++k;
        return static_cast<std::uint8_t>(sorted.code[k]);
    }

    template <class Arch, std::size_t Part>
    [[nodiscard]] static kernels::float_batch<Arch> levels(kernels::byte_vector codes) noexcept {
        if constexpr (std::same_as<entry, std::int8_t>) {
            const kernels::byte_vector table = kernels::load_bytes(Table::levels.data());
            return kernels::widen_part<Arch, std::int8_t, Part>(kernels::permute<Arch>(table, codes));
        } else {
            std::array<std::uint8_t, 16> each;
            kernels::store_bytes(codes, each.data());
            return kernels::look_up<Arch>(Table::levels.data(), each.data() + Part * kernels::lanes<Arch>);
        }
    }
    template <class Batch>
    [[nodiscard]] static Batch nearest(Batch x) noexcept {
        if constexpr (mirrored) {
            const Batch magnitude = pick<sorted.count / 2>(xsimd::abs(x), sorted.level);
            return xsimd::select(x < Batch(0.0f), -magnitude, magnitude);
        } else {
            return pick<0>(x, sorted.level);
        }
    }
    template <class Batch>
    [[nodiscard]] static Batch codes(Batch x) noexcept {
        return pick<0>(x, sorted.code);
    }
};

}  // namespace tessera
