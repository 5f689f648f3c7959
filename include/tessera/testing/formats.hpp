// What every format of a list has to keep, as functions that need no test framework. For formats of one's own:
//
//     for (const std::string& failure : tessera::testing::check_formats<formats>()) std::puts(failure.c_str());
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "tessera/core/type_id.hpp"
#include "tessera/format/builtin.hpp"
#include "tessera/format/check.hpp"
#include "tessera/format/concepts.hpp"
#include "tessera/format/registry.hpp"

namespace tessera::testing {

/// What is expected of the plain reference encoder, on normal weights.
struct format_bounds {
    /// The most that its relative error may be, as a multiple of 2^-bits, below which no code can get (Shannon). A
    /// uniform code over three standard deviations has 1.7.
    double error = 5.0;
    /// The most that a second encoding may move what was decoded, as a part of that error.
    double drift = 0.35;
};

namespace detail {

// Bit by bit; one NaN is as good as another.
[[nodiscard]] inline bool same(std::span<const float> a, std::span<const float> b) noexcept {
    return std::ranges::equal(a, b, [](float x, float y) {
        return std::bit_cast<std::uint32_t>(x) == std::bit_cast<std::uint32_t>(y) || (std::isnan(x) && std::isnan(y));
    });
}

[[nodiscard]] inline double squared_distance(std::span<const float> a, std::span<const float> b) noexcept {
    double sum = 0;
    for (std::size_t i = 0; i < a.size(); ++i) sum += std::pow(double{a[i]} - double{b[i]}, 2);
    return sum;
}

[[nodiscard]] constexpr bool same_layout(const type_layout& a, const type_layout& b) noexcept {
    return a.name == b.name && a.block_size == b.block_size && a.block_bytes == b.block_bytes;
}

[[nodiscard]] constexpr bool is_lower(char c) noexcept { return c >= 'a' && c <= 'z'; }
[[nodiscard]] constexpr bool is_upper(char c) noexcept { return c >= 'A' && c <= 'Z'; }
[[nodiscard]] constexpr char other_case(char c) noexcept {
    return static_cast<char>(is_lower(c) ? c - 'a' + 'A' : is_upper(c) ? c - 'A' + 'a' : c);
}
// Names stand in lists that commas separate, in files and on command lines.
[[nodiscard]] constexpr bool is_name_letter(char c) noexcept {
    return is_lower(c) || is_upper(c) || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
}

/// A format that takes a block apart again.
template <class F>
concept loads_blocks = two_stage_format<F> && requires(const typename F::block& in, typename F::scales& s,
                                                       typename F::code_array& codes) { F::load(in, s, codes); };

/// The checks of one format.
template <block_format F>
class format_checks {
    using block = typename F::block;
    static constexpr std::size_t size = F::block_size;

public:
    explicit format_checks(const format_bounds& bounds) : bounds_(bounds) {}

    std::vector<std::string> run() {
        decoding();
        zeros();
        extremes();
        if constexpr (size > 1) errors();
        if constexpr (two_stage_format<F>) stages();
        if constexpr (loads_blocks<F>) bytes();
        return std::move(failures_);
    }

private:
    void expect(bool holds, std::string_view what) {
        if (!holds) failures_.push_back(std::string(F::name) + ": " + std::string(what));
    }

    [[nodiscard]] std::vector<float> normal_weights(std::size_t blocks) {
        std::normal_distribution<float> normal(0.0f, 0.02f);
        std::vector<float> x(blocks * size);
        for (float& value : x) value = normal(random_);
        return x;
    }
    [[nodiscard]] std::vector<block> random_blocks(std::size_t count) {
        std::vector<std::byte> bytes(count * sizeof(block));
        for (std::byte& byte : bytes) byte = static_cast<std::byte>(random_());
        std::vector<block> blocks(count);
        std::memcpy(blocks.data(), bytes.data(), bytes.size());
        return blocks;
    }
    [[nodiscard]] static std::vector<block> encoded(std::span<const float> x) {
        std::vector<block> blocks(x.size() / size);
        for (std::size_t b = 0; b < blocks.size(); ++b)
            F::encode(std::span<const float, size>(x.data() + b * size, size), blocks[b]);
        return blocks;
    }
    [[nodiscard]] static std::vector<float> decoded(std::span<const block> blocks) {
        std::vector<float> x(blocks.size() * size);
        decode_blocks<F>(blocks, x);
        return x;
    }

    // Every weight is written, whatever was there, and depends on the bytes alone.
    void decoding() {
        const auto blocks = random_blocks(64);
        const auto once = decoded(blocks);
        std::vector<float> again(once.size(), 123.0f);
        decode_blocks<F>(blocks, again);
        expect(same(once, again), "decode writes all weights of a block, from its bytes alone");
    }

    void zeros() {
        for (const float zero : {0.0f, -0.0f}) {
            const auto back = decoded(encoded(std::vector<float>(size, zero)));
            expect(std::ranges::all_of(back, [](float x) { return x == 0.0f; }), "zeros stay zeros");
        }
    }

    void extremes() {
        for (const float special : {1e-42f, 1e-30f, 1e30f, std::numeric_limits<float>::max()}) {
            std::vector<float> x(size, special);
            x[size / 2] = -special;
            const auto back = decoded(encoded(x));
            const auto is_finite = [](float value) { return std::isfinite(value); };
            expect(size == 1 || std::ranges::all_of(back, is_finite), "finite weights stay finite");
        }
        std::vector<float> hostile(size, 1.0f);
        hostile[0] = std::numeric_limits<float>::quiet_NaN();
        hostile[size / 2] = std::numeric_limits<float>::infinity();
        (void)encoded(hostile);  // any result; a sanitizer sees what is undefined
    }

    void errors() {
        const auto x = normal_weights(16384 / size + 1);
        const std::vector<float> none(x.size());
        const double norm = squared_distance(x, none);
        const auto once = decoded(encoded(x));
        const double error = std::sqrt(squared_distance(once, x) / norm), least = std::pow(2.0, -bits_per_weight<F>);
        expect(error > least, "the reference encoder's error is one that the bits allow");
        expect(error < bounds_.error * least, "the reference encoder's error is not far above what the bits allow");
        const double drift = std::sqrt(squared_distance(decoded(encoded(once)), once) / norm);
        expect(drift <= bounds_.drift * error, "what was decoded hardly moves when it is encoded again");
    }

    // What codes stand for under their scales is what is decoded.
    void stages()
    requires two_stage_format<F>
    {
        const auto x = normal_weights(64);
        const std::vector<float> even(size, 1.0f);
        bool is_value = true, is_stable = true;
        for (std::size_t b = 0; b < x.size() / size; ++b) {
            const std::span<const float, size> weights(x.data() + b * size, size);
            const auto s = F::fit(weights, std::span<const float, size>(even));
            typename F::code_array codes{};
            std::vector<float> values(size);
            for (std::size_t i = 0; i < size; i += F::group)
                if constexpr (F::group == 1) {
                    codes[i] = F::round(s, i, weights[i]);
                    values[i] = F::value(s, i, codes[i]);
                    const float again = F::value(s, i, F::round(s, i, values[i]));
                    is_stable = is_stable && std::fabs(again - values[i]) <= 1e-5f * std::fabs(values[i]);
                } else {
                    const std::span<const float, F::group> of_one(even.data(), F::group);
                    codes[i / F::group] =
                        F::round(s, i, std::span<const float, F::group>(weights.data() + i, F::group), of_one);
                    const std::array<float, F::group> group = F::value(s, i, codes[i / F::group]);
                    std::ranges::copy(group, values.begin() + static_cast<std::ptrdiff_t>(i));
                }
            block packed;
            F::store(s, codes, packed);
            is_value = is_value && same(decoded(std::span<const block>(&packed, 1)), values);
        }
        expect(is_value, "decode gives what `value` says of the scales and codes that were stored");
        expect(is_stable, "`round` brings the value of a code back to it");
    }

    // Random bytes, loaded and stored: after one round trip nothing changes any more.
    void bytes() {
        bool is_same_value = true, is_same_byte = true;
        for (const block& given : random_blocks(200)) {
            typename F::scales s;
            typename F::code_array codes;
            block once, twice;
            std::memset(&once, 0xa5, sizeof once);
            std::memset(&twice, 0x5a, sizeof twice);
            F::load(given, s, codes);
            F::store(s, codes, once);
            F::load(once, s, codes);
            F::store(s, codes, twice);
            is_same_byte = is_same_byte && std::memcmp(&once, &twice, sizeof once) == 0;
            is_same_value = is_same_value &&
                            same(decoded(std::span<const block>(&given, 1)), decoded(std::span<const block>(&once, 1)));
        }
        expect(is_same_byte, "`store` writes every bit of a block, and what `load` reads comes back");
        expect(is_same_value, "scales and codes that were loaded decode as the block they are from");
    }

    format_bounds bounds_;
    std::mt19937 random_{5};
    std::vector<std::string> failures_;
};

}  // namespace detail

/// What a format does not keep: a sentence each, none where all is well.
template <block_format F>
[[nodiscard]] std::vector<std::string> check_format(const format_bounds& bounds = {}) {
    return detail::format_checks<F>(bounds).run();
}

/// The same for all formats of a list, and for the list: every format is found by its id and its name.
template <class Formats>
[[nodiscard]] std::vector<std::string> check_formats(const format_bounds& bounds = {}) {
    std::vector<std::string> failures;
    Formats::for_each([&]<class F>(format_tag<F>) {
        const auto expect = [&](bool holds, std::string_view what) {
            if (!holds) failures.push_back(std::string(F::name) + ": " + std::string(what));
        };
        std::string other_case(F::name);
        for (char& c : other_case) c = detail::other_case(c);
        const type_layout* found = Formats::find(other_case);
        expect(found != nullptr && found->id == F::type && found == Formats::find(F::type),
               "a list finds a format by its id and its name, whatever the case of its letters");
        expect(Formats::dispatch(F::type, []<class G>(format_tag<G>) { return std::is_same_v<F, G>; }),
               "a list dispatches an id to its format");
        const type_layout* stock = find_type(F::type);
        expect(stock == nullptr || detail::same_layout(*stock, layout_of<F>),
               "an id of GGUF's means what it means there");
        expect(std::ranges::all_of(F::name, detail::is_name_letter),
               "a name has letters, digits, underscores, dots and dashes only");

        // Bytes of a file may begin anywhere.
        std::vector<typename F::block> blocks(5000 / F::block_size + 3);
        std::mt19937 random(11);
        const std::size_t bytes = blocks.size() * sizeof blocks[0];
        std::vector<std::byte> shifted(bytes + 1);
        for (std::byte& byte : shifted) byte = static_cast<std::byte>(random());
        std::memcpy(blocks.data(), shifted.data() + 1, bytes);
        std::vector<float> aligned(blocks.size() * F::block_size), unaligned(aligned.size());
        decode_blocks<F>(blocks, aligned);
        Formats::decode(F::type, std::span<const std::byte>(shifted).subspan(1), unaligned);
        expect(detail::same(aligned, unaligned), "bytes decode the same wherever they begin");

        for (std::string& failure : check_format<F>(bounds)) failures.push_back(std::move(failure));
    });
    return failures;
}

}  // namespace tessera::testing
