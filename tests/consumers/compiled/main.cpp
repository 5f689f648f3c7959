// Packs and reads back without compiling either.
#include <cmath>
#include <cstddef>
#include <vector>

#include "tessera/encode.hpp"
#include "tessera/format.hpp"
#include "tessera/tensor.hpp"

#ifndef TESSERA_COMPILED
#error "the target says that the library is there"
#endif

int main() {
    using format = tessera::q4_k;
    std::vector<float> weights(2 * 256), decoded(weights.size());
    for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = std::sin(static_cast<float>(i));
    tessera::packed_matrix<format> packed(2, 256);
    tessera::encode_rows<format>(tessera::weighted{}, tessera::matrix_view(weights, 256), {}, packed.rows(0, 2));

    tessera::tensor_info info{.name = "w", .dims = {256, 2, 1, 1}, .rank = 2};
    info.layout = tessera::layout_of<format>;
    tessera::decode_rows(info, 2, tessera::as_byte_view(packed.rows(0, 2)), decoded, "memory");
    float worst = 0.0f;
    for (std::size_t i = 0; i < weights.size(); ++i) worst = std::fmax(worst, std::fabs(decoded[i] - weights[i]));
    return worst > 0.0f && worst < 0.1f ? 0 : 1;
}
