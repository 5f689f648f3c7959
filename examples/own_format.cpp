// A format of one's own, from 30 lines to a GGUF file and back:  own_format OUT.gguf
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <span>
#include <string_view>
#include <vector>

#include "tessera/encode.hpp"
#include "tessera/format.hpp"
#include "tessera/gguf.hpp"
#include "tessera/pipeline/quantize.hpp"
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
        const auto scale = static_cast<float>(out.scale);
        for (std::size_t i = 0; i < 64; ++i)
            out.codes[i] = scale > 0.0f ? static_cast<std::int8_t>(std::lround(std::clamp(in[i] / scale, -127.0f, 127.0f))) : 0;
    }
};
static_assert(tessera::gguf_format<q8_64>);

using formats = tessera::builtin_formats::extend<q8_64>;

int main(int argc, char** argv) try {
    if (argc != 2) {
        std::fprintf(stderr, "usage: own_format OUT.gguf\n");
        return 2;
    }
    std::vector<float> weights(64 * 256);
    for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = std::sin(0.1f * static_cast<float>(i));
    tessera::memory_source model;
    model.add("wave.weight", {256, 64}, weights);

    const tessera::select::uniform rule{*formats::find("q8_64")};
    const auto plan = tessera::select::make_plan(model.tensors(), rule, formats::layouts);
    tessera::gguf::writer file(argv[1], {.existing = tessera::gguf::existing_file::replace});
    tessera::quantize_model<formats>(model, plan, model.metadata(), tessera::weighted{}, file);

    const tessera::gguf::basic_reader<formats> written{argv[1]};
    const tessera::tensor_info& info = written.tensors().front();
    std::vector<float> decoded(weights.size());
    written.read(info, 0, info.rows(), decoded);
    float worst = 0.0f;
    for (std::size_t i = 0; i < weights.size(); ++i) worst = std::max(worst, std::abs(decoded[i] - weights[i]));
    std::printf("%s: %s, largest error %g\n", argv[1], info.layout.name.data(), worst);
    return worst < 0.005f ? 0 : 1;
} catch (const std::exception& e) {
    std::fprintf(stderr, "own_format: %s\n", e.what());
    return 1;
}
