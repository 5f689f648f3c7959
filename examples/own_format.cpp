// A format of one's own, from 30 lines to a GGUF file and back:  own_format MODEL TENSOR OUT.gguf
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <span>
#include <string_view>
#include <vector>

#include "measure_formats.hpp"
#include "tessera/core/printable.hpp"
#include "tessera/format.hpp"
#include "tessera/gguf.hpp"
#include "tessera/kernels/rounding.hpp"
#include "tessera/select.hpp"
#include "tessera/tensor.hpp"

// 64 signed bytes that share one scale: 8.25 bits per weight.
struct q8_64 {
    static constexpr std::string_view name = "q8_64";
    static constexpr tessera::type_id type = tessera::type_id::first_private;
    static constexpr std::size_t block_size = 64;

    struct block {
        tessera::half scale;
        std::array<std::int8_t, 64> codes;
    };

    static void decode(const block& in, std::span<float, 64> out) noexcept {
        const auto scale = static_cast<float>(in.scale);
        for (std::size_t i = 0; i < 64; ++i) out[i] = scale * static_cast<float>(in.codes[i]);
    }
    static void encode(std::span<const float, 64> in, block& out) noexcept {
        float largest = 0.0f;
        for (const float x : in) largest = std::max(largest, std::abs(x));
        out.scale = tessera::half(largest / 127.0f);
        const float inverse = tessera::kernels::reciprocal_or_zero(static_cast<float>(out.scale));
        for (std::size_t i = 0; i < 64; ++i)
            out.codes[i] = static_cast<std::int8_t>(std::lround(std::clamp(in[i] * inverse, -127.0f, 127.0f)));
    }
};
static_assert(tessera::check_block_format<q8_64>());

using formats = tessera::format_list<tessera::f32, q8_64>;

int main(int argc, char** argv) try {
    if (argc != 4) {
        std::fprintf(stderr, "usage: own_format MODEL TENSOR OUT.gguf\n");
        return 2;
    }
    const named_matrix weights(argv[1], argv[2]);
    print_errors<q8_64, tessera::q8_0>(weights.view());

    // Because it has an id, it can be chosen, written and read like any other.
    tessera::memory_source model;
    model.add(argv[2], {weights.columns, weights.view().rows()}, weights.values);
    const tessera::select::uniform rule{*formats::find("q8_64")};
    const auto plan = tessera::select::make_plan(model.tensors(), rule, tessera::fallback_formats::layouts);
    tessera::gguf::writer file(argv[3], {.existing = tessera::existing_file::replace});
    tessera::quantize<formats>(model, plan, tessera::weighted{}, tessera::from_importances{}, file, model.metadata());

    const tessera::gguf::basic_reader<formats> written{argv[3]};
    const tessera::tensor_info& info = written.tensors().front();
    std::vector<float> decoded(weights.values.size());
    written.read(info, 0, info.rows(), decoded);
    tessera::weight_error error;
    error.add_row(weights.values, decoded);
    std::printf("%s: %s, error %.2f %%\n", argv[3], info.layout.name.data(), 100 * error.relative());
    return error.relative() < 0.01 ? 0 : 1;
} catch (const std::exception& e) {
    std::fprintf(stderr, "own_format: %s\n", tessera::printable(e.what()).c_str());
    return 1;
}
