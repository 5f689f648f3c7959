// The light umbrellas on NEON: compiled as far as syntax and types go, for a machine that is not there.
#include <cstddef>
#include <span>
#include <vector>

#include "tessera/encode.hpp"
#include "tessera/format.hpp"
#include "tessera/gguf.hpp"
#include "tessera/select.hpp"
#include "tessera/tensor.hpp"
#include "tessera/testing.hpp"

using namespace tessera;

int main() {
    builtin_formats::for_each([]<class F>(format_tag<F>) {
        std::vector<typename F::block> blocks(1);
        std::vector<float> weights(F::block_size);
        decode_blocks<F>(blocks, weights);
        encode_rows<F>(nearest{}, {weights, F::block_size}, {}, std::span(blocks));
    });
    // One of each kind of search.
    format_list<q4_1, q4_k, iq4_xs, nvfp4, iq2_xs>::for_each([]<class F>(format_tag<F>) {
        std::vector<typename F::block> blocks(1);
        std::vector<float> weights(F::block_size);
        encode_rows<F>(weighted{}, {weights, F::block_size}, {.importance = weights}, std::span(blocks));
    });
}
