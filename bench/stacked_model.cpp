// Makes a deep model of a small one, for measuring what depth costs: every layer is repeated, and what a copy adds to
// the residual stream is scaled at random, so that neighbours differ in how much their errors cost:
//   stacked_model MODEL.gguf OUT.gguf COPIES [SPREAD] [SEED]
// The scales of a layer's copies have the mean 1 / COPIES, so that all of them together add about what the layer did;
// their logarithms have the standard deviation SPREAD (0.5).
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <map>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/core/block_index.hpp"
#include "tessera/core/bytes.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/half.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/core/printable.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/gguf.hpp"

namespace {

using namespace tessera;

// What a tensor of the stack is made of.
struct layer_copy {
    const tensor_info* from;
    float scale;
};

// Scales of one layer's copies.
std::vector<float> scales_of(std::size_t copies, double spread, std::mt19937& random) {
    std::normal_distribution<double> gauss(0.0, spread);
    std::vector<float> scales(copies);
    double sum = 0;
    for (float& scale : scales) sum += scale = static_cast<float>(std::exp(gauss(random)));
    for (float& scale : scales) scale = static_cast<float>(scale / sum);
    return scales;
}

void stack(const char* from, const char* to, std::size_t copies, double spread, unsigned seed) {
    const gguf::reader model(from);
    const auto architecture = model.metadata().require<std::string>("general.architecture");
    const auto layers = model.metadata().require<std::uint32_t>(architecture + ".block_count");
    metadata properties = model.metadata();
    properties.set(architecture + ".block_count", static_cast<std::uint32_t>(layers * copies));
    std::mt19937 random(seed);
    std::vector<std::vector<float>> mixers, networks;  // scales, by layer
    for (std::uint32_t layer = 0; layer < layers; ++layer) {
        mixers.push_back(scales_of(copies, spread, random));
        networks.push_back(scales_of(copies, spread, random));
    }

    std::vector<tensor_info> tensors;
    std::vector<layer_copy> sources;
    for (const tensor_info& info : model.tensors()) {
        const auto layer = block_index(info.name);
        const std::string part = layer ? info.name.substr(info.name.find('.', 4)) : info.name;
        for (std::size_t copy = 0; copy < (layer ? copies : 1); ++copy) {
            tensor_info made = info;
            if (layer) made.name = concat("blk.", *layer * copies + copy, part);
            made.layout = *find_type(made.rows() == 1 ? type_id::f32 : type_id::bf16);
            tensors.push_back(made);
            const float scale = part == ".attn_output.weight" ? mixers[*layer][copy]
                                : part == ".ffn_down.weight"  ? networks[*layer][copy]
                                                              : 1.0f;
            sources.push_back({&info, scale});
        }
    }
    gguf::writer file(to, {.inputs = model.files()});
    file.begin(tensors, properties);
    for (std::size_t t = 0; t < tensors.size(); ++t) {
        std::vector<float> values(tensors[t].weights());
        model.read(*sources[t].from, 0, tensors[t].rows(), values);
        for (float& value : values) value *= sources[t].scale;
        if (tensors[t].rows() == 1) {
            file.write(tensors[t], 0, std::as_bytes(std::span(values)));
            continue;
        }
        const std::vector<bfloat16> stored(values.begin(), values.end());
        file.write(tensors[t], 0, std::as_bytes(std::span(stored)));
    }
    file.finish();
}

}  // namespace

int main(int argc, char** argv) {
    try {
        if (argc < 4 || argc > 6)
            fail("wanted MODEL.gguf OUT.gguf COPIES [SPREAD] [SEED], got ", argc - 1, " arguments");
        const long copies = std::atol(argv[3]);
        const double spread = argc > 4 ? std::atof(argv[4]) : 0.5;
        if (copies < 1 || copies > 64) fail("COPIES: wanted 1 to 64, got ", argv[3]);
        if (!(spread >= 0 && spread <= 2)) fail("SPREAD: wanted 0 to 2, got ", argv[4]);
        stack(argv[1], argv[2], static_cast<std::size_t>(copies), spread,
              argc > 5 ? static_cast<unsigned>(std::atol(argv[5])) : 1u);
    } catch (const std::exception& e) {
        std::fprintf(stderr, "stacked_model: %s\n", printable(e.what()).c_str());
        return 2;
    }
}
