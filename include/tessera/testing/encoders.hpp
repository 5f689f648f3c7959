// What every encoder has to keep on the formats of a list. For encoders of one's own, and for formats under the stock
// ones:
//
//     for (const std::string& failure : tessera::testing::check_encoder<formats>(tessera::weighted{})) ...
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <limits>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/core/view.hpp"
#include "tessera/encode/encoders.hpp"
#include "tessera/encode/knowledge.hpp"
#include "tessera/format/concepts.hpp"
#include "tessera/format/registry.hpp"
#include "tessera/testing/formats.hpp"

namespace tessera::testing {

namespace detail {

/// The checks of one encoder on one format.
template <block_format F, encoder_for<F> Encoder>
class encoder_checks {
    using block = typename F::block;

public:
    encoder_checks(const Encoder& encoder, const matrix_knowledge& known, std::size_t columns)
        : encoder_(encoder), known_(known), columns_(columns) {}

    std::vector<std::string> run() {
        const std::vector<float> x = normal_weights(rows);
        const auto packed = encoded(x);
        expect(same_bytes(encoded(x), packed), "the same rows become the same bytes");

        bool is_alone = true;
        for (const std::size_t r : {std::size_t{0}, rows / 2, rows - 1}) {
            const auto row = encoded(std::span(x).subspan(r * columns_, columns_));
            is_alone =
                is_alone && std::memcmp(row.data(), packed.data() + r * row.size(), row.size() * sizeof(block)) == 0;
        }
        expect(is_alone, "a row's bytes do not depend on the rows beside it");

        const auto values = decoded(packed);
        const double norm = squared_distance(x, std::vector<float>(x.size()));
        expect(squared_distance(values, x) < norm, "what is encoded is nearer to the weights than zeros are");

        const std::vector<float> zeros(columns_);
        const auto is_zero = [](float value) { return value == 0.0f; };
        expect(std::ranges::all_of(decoded(encoded(zeros)), is_zero), "zeros stay zeros");
        for (const float special : {1e-42f, 1e-30f, 1e30f, std::numeric_limits<float>::max()}) {
            std::vector<float> extreme(columns_, special);
            extreme[columns_ / 2] = -special;
            const auto back = decoded(encoded(extreme));
            const auto is_finite = [](float value) { return std::isfinite(value); };
            expect(F::block_size == 1 || std::ranges::all_of(back, is_finite), "finite weights stay finite");
        }
        return std::move(failures_);
    }

private:
    static constexpr std::size_t rows = 5;

    void expect(bool holds, std::string_view what) {
        if (!holds)
            failures_.push_back(std::string(Encoder::name) + ", " + std::string(F::name) + ": " + std::string(what));
    }
    [[nodiscard]] std::vector<float> normal_weights(std::size_t count) {
        std::mt19937 random(9);
        std::normal_distribution<float> normal(0.0f, 0.02f);
        std::vector<float> x(count * columns_);
        for (float& value : x) value = normal(random);
        return x;
    }
    [[nodiscard]] std::vector<block> encoded(std::span<const float> x) const {
        std::vector<block> blocks(x.size() / F::block_size);
        encode_rows<F>(encoder_, matrix_view(x, columns_), known_, std::span(blocks));
        return blocks;
    }
    [[nodiscard]] static std::vector<float> decoded(const std::vector<block>& blocks) {
        std::vector<float> x(blocks.size() * F::block_size);
        decode_blocks<F>(blocks, x);
        return x;
    }
    [[nodiscard]] static bool same_bytes(const std::vector<block>& a, const std::vector<block>& b) {
        return std::memcmp(a.data(), b.data(), a.size() * sizeof(block)) == 0;
    }

    const Encoder& encoder_;
    const matrix_knowledge& known_;
    std::size_t columns_;
    std::vector<std::string> failures_;
};

}  // namespace detail

/// What an encoder does not keep: a sentence each, none where all is well. `known` is of matrices of `columns` columns,
/// and has what the encoder needs; formats whose blocks do not fill such rows are left out.
template <class Formats, class Encoder>
[[nodiscard]] std::vector<std::string> check_encoder(const Encoder& encoder, std::size_t columns = 768,
                                                     const matrix_knowledge& known = {}) {
    std::vector<std::string> failures;
    Formats::for_each([&]<class F>(format_tag<F>) {
        if (columns % F::block_size != 0) return;
        for (std::string& failure : detail::encoder_checks<F, Encoder>(encoder, known, columns).run())
            failures.push_back(std::move(failure));
    });
    return failures;
}

}  // namespace tessera::testing
