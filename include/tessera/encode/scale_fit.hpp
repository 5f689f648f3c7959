// The scales of a stretch of a row, without its codes.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>

#include "tessera/encode/fitted_search.hpp"
#include "tessera/encode/lattice_search.hpp"
#include "tessera/encode/scale_search.hpp"

namespace tessera {

/// Finds the scales that `weighted` would give neighbouring blocks of F:
///   search(x, importance, scales)   from nothing
///   improve(x, importance, scales)  from scales that were good for weights not far from these
/// There are as many importances as weights, and F::block_size of both for each of the scales.
template <class F>
class scale_fit;

template <scaled_format F>
class scale_fit<F> {
    using search_type = scale_search<F>;

public:
    static constexpr std::size_t blocks = search_type::blocks;  ///< that are searched at once

    void search(std::span<const float> x, std::span<const float> importance, std::span<typename F::scales> scales) {
        for_each_pass(x, importance, scales, [&](auto... arguments) { search_(arguments..., some_); });
    }
    void improve(std::span<const float> x, std::span<const float> importance, std::span<typename F::scales> scales) {
        for_each_pass(x, importance, scales, [&](auto... arguments) { search_.improve(arguments..., some_); });
    }

private:
    void for_each_pass(std::span<const float> x, std::span<const float> importance,
                       std::span<typename F::scales> scales, auto find) {
        for (std::size_t b = 0; b < scales.size(); b += blocks) {
            const std::size_t count = std::min(blocks, scales.size() - b);
            const std::size_t first = b * F::block_size, size = count * F::block_size;
            std::copy_n(scales.begin() + static_cast<std::ptrdiff_t>(b), count, some_.begin());
            find(x.subspan(first, size), importance.subspan(first, size));
            std::copy_n(some_.begin(), count, scales.begin() + static_cast<std::ptrdiff_t>(b));
        }
    }

    search_type search_;
    std::array<typename F::scales, blocks> some_{};
};

template <rounds_to_lattice F>
class scale_fit<F> {
public:
    static constexpr std::size_t blocks = 1;

    void search(std::span<const float> x, std::span<const float> importance, std::span<typename F::scales> scales) {
        for (std::size_t b = 0; b < scales.size(); ++b) {
            search_(block_of(x, b), block_of(importance, b), packed_);
            F::load(packed_, scales[b], codes_);
        }
    }
    void improve(std::span<const float> x, std::span<const float> importance, std::span<typename F::scales> scales) {
        for (std::size_t b = 0; b < scales.size(); ++b)
            search_.improve(block_of(x, b), block_of(importance, b), scales[b]);
    }

private:
    [[nodiscard]] static std::span<const float, F::block_size> block_of(std::span<const float> values, std::size_t b) {
        return std::span<const float, F::block_size>(values.data() + b * F::block_size, F::block_size);
    }

    lattice_search<F> search_;
    typename F::block packed_;
    typename F::code_array codes_;
};

template <fitted_format F>
class scale_fit<F> {
public:
    static constexpr std::size_t blocks = 1;

    void search(std::span<const float> x, std::span<const float> importance, std::span<typename F::scales> scales) {
        for (std::size_t b = 0; b < scales.size(); ++b) {
            search_(block_of(x, b), block_of(importance, b));
            scales[b] = search_.scales();
        }
    }
    void improve(std::span<const float> x, std::span<const float> importance, std::span<typename F::scales> scales) {
        for (std::size_t b = 0; b < scales.size(); ++b) {
            search_.improve(block_of(x, b), block_of(importance, b), scales[b]);
            scales[b] = search_.scales();
        }
    }

private:
    [[nodiscard]] static std::span<const float, F::block_size> block_of(std::span<const float> values, std::size_t b) {
        return std::span<const float, F::block_size>(values.data() + b * F::block_size, F::block_size);
    }

    fitted_search<F> search_;
};

}  // namespace tessera
