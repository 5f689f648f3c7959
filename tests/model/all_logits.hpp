// The logits of a decoder for every token of some windows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "tessera/model/decoder.hpp"

namespace support {

template <class Source>
std::vector<float> all_logits(const tessera::model::decoder<Source>& decoder, std::span<const std::int32_t> tokens,
                              std::size_t window) {
    tessera::model::activations state = decoder.embed(tokens, window);
    decoder.run(state);
    std::vector<float> logits(tokens.size() * decoder.vocabulary());
    decoder.logits(state.view(), {std::span(logits), decoder.vocabulary()});
    return logits;
}

}  // namespace support
