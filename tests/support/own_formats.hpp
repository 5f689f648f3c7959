// Formats as a user writes them: nothing from the library's stock parts.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "tessera/core/half.hpp"
#include "tessera/core/type_id.hpp"
#include "tessera/format/check.hpp"
#include "tessera/kernels/rounding.hpp"

namespace support {

/// An id from the private range.
constexpr tessera::type_id own_id(std::uint32_t number) {
    return tessera::type_id{static_cast<std::uint32_t>(tessera::type_id::first_private) + number};
}

inline float largest_magnitude(std::span<const float> x) noexcept {
    float largest = 0.0f;
    for (const float value : x)
        if (std::isfinite(value)) largest = std::max(largest, std::fabs(value));
    return std::min(largest, 60000.0f);
}

/// Two nibbles a byte, the even weight in the low one; -7 to 7 times one scale.
struct own_nibbles {
    static constexpr std::string_view name = "own_nibbles";
    static constexpr tessera::type_id type = own_id(1);
    static constexpr std::size_t block_size = 32;

    struct block {
        tessera::half scale;
        std::array<std::uint8_t, 16> codes;
    };

    static void decode(const block& in, std::span<float, 32> x) noexcept {
        const scales s{in.scale};
        for (std::size_t i = 0; i < 32; ++i)
            x[i] = value(s, i, static_cast<std::int8_t>((in.codes[i / 2] >> (i % 2 * 4) & 15) - 8));
    }
    static void encode(std::span<const float, 32> x, block& out) noexcept {
        const scales s = fit(x, x);
        code_array codes;
        for (std::size_t i = 0; i < 32; ++i) codes[i] = round(s, i, x[i]);
        store(s, codes, out);
    }

    struct scales {
        tessera::half scale;
    };
    static constexpr std::size_t group = 1;
    using code_array = std::array<std::int8_t, 32>;

    static scales fit(std::span<const float, 32> x, std::span<const float, 32>) noexcept {
        return {tessera::half(largest_magnitude(x) / 7.0f)};
    }
    static std::int8_t round(const scales& s, std::size_t, float x) noexcept {
        const float level = x * tessera::kernels::reciprocal_or_zero(static_cast<float>(s.scale));
        return static_cast<std::int8_t>(tessera::kernels::round_to_even(tessera::kernels::clamp(level, -7.0f, 7.0f)));
    }
    static float value(const scales& s, std::size_t, std::int8_t code) noexcept {
        return static_cast<float>(s.scale) * static_cast<float>(code);
    }
    static void store(const scales& s, const code_array& codes, block& out) noexcept {
        out.scale = s.scale;
        for (std::size_t b = 0; b < 16; ++b)
            out.codes[b] = static_cast<std::uint8_t>((codes[2 * b] + 8) | (codes[2 * b + 1] + 8) << 4);
    }
};
static_assert(tessera::check_two_stage_format<own_nibbles>());

/// Five bits for two weights: one of 32 points of the plane, those of a checkerboard that are nearest to 0.
struct own_pairs {
    static constexpr std::string_view name = "own_pairs";
    static constexpr tessera::type_id type = own_id(2);
    static constexpr std::size_t block_size = 64;

    struct block {
        tessera::half scale;
        std::array<std::uint8_t, 20> codes;  // five bits each, from the low bits up
    };

    using point = std::array<float, 2>;
    static constexpr std::array<point, 32> points = [] {
        std::array<point, 32> all{};
        std::size_t count = 0;
        for (int limit = 0; count < 32; ++limit)  // the squared distance from 0
            for (int a = -6; a <= 6; ++a)
                for (int b = -6; b <= 6; ++b)
                    if (count < 32 && (a + b) % 2 == 0 && a * a + b * b == limit)
                        all[count++] = {static_cast<float>(a), static_cast<float>(b)};
        return all;
    }();

    static void decode(const block& in, std::span<float, 64> x) noexcept {
        for (std::size_t g = 0; g < 32; ++g) {
            const std::size_t bit = 5 * g;
            const unsigned two = in.codes[bit / 8] | (bit / 8 + 1 < 20 ? in.codes[bit / 8 + 1] : 0u) << 8;
            const std::array<float, 2> pair = value({in.scale}, 2 * g, static_cast<std::uint8_t>(two >> bit % 8 & 31));
            std::copy(pair.begin(), pair.end(), x.begin() + static_cast<std::ptrdiff_t>(2 * g));
        }
    }
    static void encode(std::span<const float, 64> x, block& out) noexcept {
        const scales s = fit(x, x);
        constexpr std::array even{1.0f, 1.0f};
        code_array codes;
        for (std::size_t g = 0; g < 32; ++g)
            codes[g] = round(s, 2 * g, std::span<const float, 2>(x.data() + 2 * g, 2), even);
        store(s, codes, out);
    }

    struct scales {
        tessera::half scale;
    };
    static constexpr std::size_t group = 2;
    using code_array = std::array<std::uint8_t, 32>;

    static scales fit(std::span<const float, 64> x, std::span<const float, 64>) noexcept {
        return {tessera::half(largest_magnitude(x) / 5.0f)};
    }
    static std::uint8_t round(const scales& s, std::size_t, std::span<const float, 2> x,
                              std::span<const float, 2> importance) noexcept {
        const float scale = static_cast<float>(s.scale);
        std::size_t best = 0;
        float least = 0;
        for (std::size_t p = 0; p < points.size(); ++p) {
            const float a = x[0] - scale * points[p][0], b = x[1] - scale * points[p][1];
            const float error = importance[0] * a * a + importance[1] * b * b;
            if (p > 0 && !(error < least)) continue;
            least = error;
            best = p;
        }
        return static_cast<std::uint8_t>(best);
    }
    static std::array<float, 2> value(const scales& s, std::size_t, std::uint8_t code) noexcept {
        const auto scale = static_cast<float>(s.scale);
        return {scale * points[code][0], scale * points[code][1]};
    }
    static void store(const scales& s, const code_array& codes, block& out) noexcept {
        out = {s.scale, {}};
        for (std::size_t g = 0; g < 32; ++g) {
            const std::size_t bit = 5 * g;
            const unsigned two = static_cast<unsigned>(codes[g]) << bit % 8;
            out.codes[bit / 8] = static_cast<std::uint8_t>(out.codes[bit / 8] | (two & 255));
            if (bit / 8 + 1 < 20) out.codes[bit / 8 + 1] = static_cast<std::uint8_t>(out.codes[bit / 8 + 1] | two >> 8);
        }
    }
};
static_assert(tessera::check_two_stage_format<own_pairs>());

}  // namespace support
