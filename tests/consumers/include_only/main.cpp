// Packs a row with the light umbrellas only, and tests a format of its own: no other library, no definitions, no flags.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/format.hpp"
#include "tessera/select.hpp"
#include "tessera/tensor.hpp"
#include "tessera/testing.hpp"

// Eight weights of four levels each way, and a scale.
struct tiny {
    static constexpr std::string_view name = "tiny";
    static constexpr tessera::type_id type = tessera::type_id::first_private;
    static constexpr std::size_t block_size = 8;

    struct block {
        tessera::bfloat16 scale;
        std::array<std::uint8_t, 4> codes;
    };

    static void decode(const block& in, std::span<float, 8> x) noexcept {
        for (std::size_t i = 0; i < 8; ++i)
            x[i] = static_cast<float>(in.scale) * static_cast<float>((in.codes[i / 2] >> (i % 2 * 4) & 15) - 8);
    }
    static void encode(std::span<const float, 8> x, block& out) noexcept {
        float largest = 0.0f;
        for (const float value : x)
            if (std::isfinite(value)) largest = std::max(largest, std::fabs(value));
        out = {tessera::bfloat16(std::min(largest, 1e30f) / 7.0f), {}};
        const float scale = static_cast<float>(out.scale);
        for (std::size_t i = 0; i < 8; ++i) {
            const float level =
                scale > 0.0f && std::isfinite(x[i]) ? std::min(std::max(x[i] / scale, -8.0f), 7.0f) : 0.0f;
            const int code = static_cast<int>(std::lround(level)) + 8;
            out.codes[i / 2] = static_cast<std::uint8_t>(out.codes[i / 2] | code << (i % 2 * 4));
        }
    }
};

int main() {
    const auto failures = tessera::testing::check_formats<tessera::format_list<tessera::f32, tessera::q4_k, tiny>>();
    for (const std::string& failure : failures) std::puts(failure.c_str());
    if (!failures.empty()) return 1;

    using format = tessera::q8_0;
    std::vector<float> row(4 * format::block_size);
    for (std::size_t i = 0; i < row.size(); ++i) row[i] = std::sin(static_cast<float>(i));

    tessera::packed_matrix<format> packed(1, row.size());
    for (std::size_t b = 0; b < packed.blocks_per_row(); ++b)
        format::encode(
            std::span<const float, format::block_size>(row.data() + b * format::block_size, format::block_size),
            packed.row(0)[b]);
    std::vector<float> decoded(row.size());
    packed.decode_row(0, decoded);

    float worst = 0.0f;
    for (std::size_t i = 0; i < row.size(); ++i) worst = std::max(worst, std::abs(decoded[i] - row[i]));
    return worst > 0.0f && worst < 0.01f ? 0 : 1;
}
