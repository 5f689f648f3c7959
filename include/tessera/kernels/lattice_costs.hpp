// The search for the nearest codeword of a lattice: no branches on data, one vector in each SIMD lane.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "tessera/kernels/simd.hpp"

namespace tessera::kernels {

/// Finds, for `Registers` registers of vectors, the codewords c that minimise  cost(c) = sum_j w_j (x_j - scale c_j)^2.
///
/// The cost is a sum over coordinates, so `tabulate` computes it for all points of the lower half of the coordinates
/// and for all of the upper half; a codeword costs the sum of two table entries. Codewords with the same upper half are
/// a bucket: the least of their lower costs is found first, with a minimum per codeword, and the upper cost added once.
///
/// With `Flips`, a second pair of tables holds the least costs with exactly one sign of the half turned round, which is
/// what codes with an even number of signs need. For x_j >= 0 one flip is never better than none, nor three than one.
///
/// `Codebook` has the members of lattice_codebook.
template <class Codebook, bool Flips, std::size_t Registers, class Arch = default_arch>
class lattice_costs {
    using batch = float_batch<Arch>;
    static constexpr std::size_t levels = Codebook::levels.size();
    static constexpr std::size_t quarter = Codebook::quarter_points;
    static constexpr std::size_t half = Codebook::half_points;
    static constexpr std::size_t step = Registers * lanes<Arch>;  // floats in a table for one point

public:
    static constexpr std::size_t vectors = step;  ///< searched at once

    /// The nearest codewords of `vectors` vectors: their costs, and their numbers among all points.
    struct nearest_points {
        alignas(simd_alignment<Arch>) std::array<float, vectors> cost;
        std::array<std::uint16_t, vectors> point;
    };

    /// Takes the vectors' coordinates and weights: coordinate j of vector v is x[j * stride + v], aligned; its levels
    /// are shift[v] + c_j. Weights are not negative; all is small enough for the costs to be finite. `WithFlips` also
    /// fills the tables of flips, which only `nearest` reads.
    template <bool WithFlips>
    void tabulate(const float* x, const float* w, const float* scale, const float* shift, std::size_t stride) noexcept {
        for (std::size_t v = 0; v < step; v += lanes<Arch>) {
            const batch factor = batch::load_aligned(scale + v);
            const batch offset = factor * batch::load_aligned(shift + v);
            const std::size_t upper = Codebook::dimensions / 2 * stride + v, flip = WithFlips ? v : 0;
            tabulate_half<WithFlips>(x + v, w + v, factor, offset, stride, low_.data() + v, low_flip_.data() + flip);
            tabulate_half<WithFlips>(x + upper, w + upper, factor, offset, stride, high_.data() + v,
                                     high_flip_.data() + flip);
        }
    }

    /// The costs of the nearest codewords, without any flip.
    void least(float* cost) const noexcept {
        register_array best;
        best.fill(batch(std::numeric_limits<float>::infinity()));
        for (std::size_t k = 0; k < buckets.count; ++k) {
            const register_array low = least_of_bucket(low_, k);
            const float* high = high_.data() + buckets.high[k] * step;
            for (std::size_t r = 0; r < Registers; ++r) best[r] = xsimd::min(best[r], low[r] + at(high, r));
        }
        for (std::size_t r = 0; r < Registers; ++r) best[r].store_aligned(cost + r * lanes<Arch>);
    }

    /// The nearest codewords without any flip and, with `Flips`, with exactly one.
    void nearest(nearest_points& none, nearest_points& one) const noexcept {
        std::array<found, Registers> best_none, best_one;
        for (std::size_t k = 0; k < buckets.count; ++k) {
            const register_array low = least_of_bucket(low_, k);
            const float* high = high_.data() + buckets.high[k] * step;
            const batch bucket(static_cast<float>(k));
            for (std::size_t r = 0; r < Registers; ++r) best_none[r].take(low[r], at(high, r), bucket);
            if constexpr (Flips) {
                const register_array low_flip = least_of_bucket(low_flip_, k);
                const float* high_flip = high_flip_.data() + buckets.high[k] * step;
                const batch bucket_of_flip(static_cast<float>(k + half));
                for (std::size_t r = 0; r < Registers; ++r) {
                    best_one[r].take(low[r], at(high_flip, r), bucket);
                    best_one[r].take(low_flip[r], at(high, r), bucket_of_flip);
                }
            }
        }
        for (std::size_t r = 0; r < Registers; ++r) {
            name_points(best_none[r], r, none);
            if constexpr (Flips) name_points(best_one[r], r, one);
        }
    }

private:
    using register_array = std::array<batch, Registers>;
    using half_table = std::array<float, half * step>;
    using flip_table = std::array<float, Flips ? half * step : 1>;
    static constexpr const auto& buckets = Codebook::buckets;

    [[nodiscard]] static batch at(const float* table, std::size_t r) noexcept {
        return batch::load_aligned(table + r * lanes<Arch>);
    }

    // Costs of N points; `flipped` is not used without flips.
    template <std::size_t N>
    struct cost_table {
        std::array<batch, N> plain, flipped;
    };

    // The best so far: its cost, the lower half's part of it, and its bucket; plus `half` when the flip is in the lower
    // half.
    struct found {
        batch cost = batch(std::numeric_limits<float>::infinity()), low = batch(0.0f), bucket = batch(0.0f);

        void take(batch new_low, batch new_high, batch new_bucket) noexcept {
            const batch new_cost = new_low + new_high;
            const auto better = new_cost < cost;
            cost = xsimd::min(new_cost, cost);
            low = xsimd::select(better, new_low, low);
            bucket = xsimd::select(better, new_bucket, bucket);
        }
    };

    // Finds the entry of the bucket again that the least cost came from.
    void name_points(const found& best, std::size_t r, nearest_points& to) const noexcept {
        alignas(simd_alignment<Arch>) std::array<float, lanes<Arch>> low, bucket;
        best.cost.store_aligned(to.cost.data() + r * lanes<Arch>);
        best.low.store_aligned(low.data());
        best.bucket.store_aligned(bucket.data());
        for (std::size_t i = 0; i < lanes<Arch>; ++i) {
            const std::size_t v = r * lanes<Arch> + i;
            auto k = static_cast<std::size_t>(bucket[i]);
            const float* costs = low_.data() + v;
            if (Flips && k >= half) {
                k -= half;
                costs = low_flip_.data() + v;
            }
            std::size_t e = buckets.start[k];
            while (e + 1 < buckets.start[k + 1] && costs[buckets.low[e] * step] != low[i]) ++e;
            to.point[v] = static_cast<std::uint16_t>(buckets.high[k] * half + buckets.low[e]);
        }
    }

    [[nodiscard]] static register_array least_of_bucket(const auto& table, std::size_t k) noexcept {
        register_array least;
        least.fill(batch(std::numeric_limits<float>::infinity()));
        for (std::size_t e = buckets.start[k]; e < buckets.start[k + 1]; e += 2) {
            const std::size_t a = buckets.low[e], b = buckets.low[e + 1];
            for (std::size_t r = 0; r < Registers; ++r)
                least[r] =
                    xsimd::min(least[r], xsimd::min(at(table.data() + a * step, r), at(table.data() + b * step, r)));
        }
        return least;
    }

    template <bool WithFlips>
    [[nodiscard]] static cost_table<levels> tabulate_coordinate(const float* x, const float* w, batch scale,
                                                                batch offset) noexcept {
        const batch value = batch::load_aligned(x) - offset;
        const batch weight = batch::load_aligned(w);
        cost_table<levels> costs;
        for (std::size_t c = 0; c < levels; ++c) {
            const batch level = scale * batch(static_cast<float>(Codebook::levels[c]));
            const batch miss = value - level, miss_of_flip = value + level;
            costs.plain[c] = weight * miss * miss;
            if constexpr (WithFlips) costs.flipped[c] = weight * miss_of_flip * miss_of_flip;
        }
        return costs;
    }

    // Calls store(number, plain, flipped) for the points of two neighbouring parts together; the first is the lower.
    template <bool WithFlips, std::size_t A, std::size_t B, class Store>
    static void combine(const cost_table<A>& low, const cost_table<B>& high, Store&& store) noexcept {
        for (std::size_t b = 0; b < B; ++b)
            for (std::size_t a = 0; a < A; ++a) {
                const batch plain = low.plain[a] + high.plain[b];
                if constexpr (WithFlips)
                    store(b * A + a, plain, xsimd::min(low.flipped[a] + high.plain[b], low.plain[a] + high.flipped[b]));
                else
                    store(b * A + a, plain, plain);
            }
    }

    template <bool WithFlips>
    [[nodiscard]] static cost_table<quarter> tabulate_quarter(const float* x, const float* w, batch scale, batch offset,
                                                              std::size_t stride) noexcept {
        const auto first = tabulate_coordinate<WithFlips>(x, w, scale, offset);
        if constexpr (quarter == levels) {
            return first;
        } else {
            cost_table<quarter> costs;
            combine<WithFlips>(first, tabulate_coordinate<WithFlips>(x + stride, w + stride, scale, offset),
                               [&](std::size_t number, batch plain, batch flipped) {
                                   costs.plain[number] = plain;
                                   if constexpr (WithFlips) costs.flipped[number] = flipped;
                               });
            return costs;
        }
    }

    template <bool WithFlips>
    static void tabulate_half(const float* x, const float* w, batch scale, batch offset, std::size_t stride, float* to,
                              float* flip_to) noexcept {
        const std::size_t upper = Codebook::dimensions / 4 * stride;
        combine<WithFlips>(tabulate_quarter<WithFlips>(x, w, scale, offset, stride),
                           tabulate_quarter<WithFlips>(x + upper, w + upper, scale, offset, stride),
                           [&](std::size_t number, batch plain, batch flipped) {
                               plain.store_aligned(to + number * step);
                               if constexpr (WithFlips) flipped.store_aligned(flip_to + number * step);
                           });
    }

    alignas(simd_alignment<Arch>) half_table low_, high_;
    alignas(simd_alignment<Arch>) flip_table low_flip_, high_flip_;
};

}  // namespace tessera::kernels
