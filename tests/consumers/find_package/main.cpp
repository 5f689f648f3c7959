// The umbrella of umbrellas compiles and links with what the target brings along.
#include "tessera/tessera.hpp"

int main() {
    const std::vector<float> weights(256, 0.5f);
    const auto packed = tessera::quantize<tessera::q4_k>(tessera::matrix_view(weights, 256));
    std::vector<float> decoded(256);
    packed.decode_row(0, decoded);
    return std::abs(decoded[100] - 0.5f) < 0.01f ? 0 : 1;
}
