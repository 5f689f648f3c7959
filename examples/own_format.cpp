// A format of one's own, from 30 lines to a GGUF file and back:  own_format MODEL TENSOR OUT.gguf
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "measure_formats.hpp"
#include "tessera/core/printable.hpp"
#include "tessera/format.hpp"
#include "tessera/gguf.hpp"
#include "tessera/kernels/rounding.hpp"
#include "tessera/quantize/quantize.hpp"
#include "tessera/select.hpp"
#include "tessera/tensor.hpp"
#include "tessera/testing.hpp"

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
        out.scale = fit(in, in);
        for (std::size_t i = 0; i < 64; ++i) out.codes[i] = round(out.scale, i, in[i]);
    }

    // In two stages: a scale first, then codes under that scale.
    using scales = tessera::half;
    using code_array = std::array<std::int8_t, 64>;
    static constexpr std::size_t group = 1;  // every weight has a code of its own

    static scales fit(std::span<const float, 64> x, std::span<const float, 64> /*importance*/) noexcept {
        float largest = 0.0f;
        for (const float weight : x)
            if (std::isfinite(weight)) largest = std::max(largest, std::abs(weight));
        return scales(std::min(largest / 127.0f, 65504.0f));
    }
    static std::int8_t round(scales s, std::size_t, float x) noexcept {
        const float level = x * tessera::kernels::reciprocal_or_zero(static_cast<float>(s));
        return static_cast<std::int8_t>(std::lround(tessera::kernels::clamp(level, -127.0f, 127.0f)));
    }
    static float value(scales s, std::size_t, std::int8_t code) noexcept {
        return static_cast<float>(s) * static_cast<float>(code);
    }
    static void store(scales s, const code_array& codes, block& out) noexcept { out = {s, codes}; }
};
static_assert(tessera::check_gguf_format<q8_64>());
static_assert(tessera::check_two_stage_format<q8_64>());

using formats = tessera::format_list<tessera::f32, q8_64>;

int main(int argc, char** argv) try {
    if (argc != 4) {
        std::fprintf(stderr, "usage: own_format MODEL TENSOR OUT.gguf\n");
        return 2;
    }
    // What a format has to keep.
    for (const std::string& failure : tessera::testing::check_formats<formats>()) std::puts(failure.c_str());

    const named_matrix weights(argv[1], argv[2]);
    print_errors<q8_64, tessera::q8_0>(weights.view());

    // Because it has an id, it can be chosen, written and read like any other.
    tessera::memory_source model;
    model.add(argv[2], {weights.columns, weights.view().rows()}, weights.values);
    const tessera::select::uniform rule{*formats::find("q8_64")};
    const auto plan = tessera::select::make_plan(model.tensors(), rule, formats::fallbacks::layouts);
    tessera::gguf::writer file(argv[3], {.existing = tessera::existing_file::replace});
    tessera::quantize<formats>(model, plan, tessera::weighted{}, tessera::from_importances{}, file, model.metadata());

    const tessera::gguf::basic_reader<formats> written{argv[3]};
    const tessera::tensor_info& info = written.tensors().front();
    std::vector<float> decoded(weights.values.size());
    written.read(info, 0, info.rows(), decoded);
    tessera::weight_error error;
    error.add_row(weights.values, decoded);
    std::printf("%s: %s, error %.2f %%\n", argv[3], info.layout.name.data(), 100 * error.relative());

    // For programs that do not know the format: its values, as F16.
    tessera::memory_sink values;  // or a gguf::writer
    auto simulated = tessera::simulate<formats, tessera::f16>(values);
    tessera::quantize<formats>(model, plan, tessera::weighted{}, tessera::from_importances{}, simulated,
                               model.metadata());
    std::printf("simulated: %s\n", values.tensors().front().layout.name.data());
    return error.relative() < 0.01 ? 0 : 1;
} catch (const std::exception& e) {
    std::fprintf(stderr, "own_format: %s\n", tessera::printable(e.what()).c_str());
    return 1;
}
