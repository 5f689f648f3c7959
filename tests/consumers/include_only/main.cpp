// Packs a row with the light umbrellas only: no other library, no definitions, no flags.
#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

#include "tessera/format.hpp"
#include "tessera/select.hpp"
#include "tessera/tensor.hpp"

int main() {
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
