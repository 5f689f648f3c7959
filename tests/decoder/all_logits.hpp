// The logits of a decoder for every token of some windows, and how far they are from an oracle's.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "tessera/decoder/model.hpp"

namespace support {

template <class Source>
std::vector<float> all_logits(const tessera::decoder::model<Source>& decoder, std::span<const std::int32_t> tokens,
                              std::size_t window) {
    tessera::decoder::activations state = decoder.embed({{tokens.begin(), tokens.end()}, window});
    decoder.run(state);
    std::vector<float> logits(tokens.size() * decoder.vocabulary());
    std::vector<float> hidden(state.rows() * state.columns());
    state.read_rows(0, hidden);
    decoder.logits({hidden, state.columns()}, {std::span(logits), decoder.vocabulary()});
    return logits;
}

/// The largest difference from an oracle's logits, relative to the largest logit. The oracle gives those of one window.
template <class Oracle>
double worst_difference(std::span<const float> got, Oracle oracle, std::span<const std::int32_t> tokens,
                        std::size_t window) {
    double worst = 0, largest = 0;
    for (std::size_t w = 0; w < tokens.size(); w += window) {
        const std::vector<std::vector<double>> wanted = oracle.logits(tokens.subspan(w, window));
        for (std::size_t t = 0; t < window; ++t)
            for (std::size_t i = 0; i < wanted[t].size(); ++i) {
                worst = std::max(worst, std::abs(double{got[(w + t) * wanted[t].size() + i]} - wanted[t][i]));
                largest = std::max(largest, std::abs(wanted[t][i]));
            }
    }
    return worst / largest;
}

}  // namespace support
