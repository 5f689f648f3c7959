// Encoders, over any weights and importances and in every format.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <Eigen/Core>

#include "fuzz/fuzz.hpp"
#include "tessera/encode.hpp"
#include "tessera/encode/error_feedback.hpp"
#include "tessera/format.hpp"

using namespace tessera;
using fuzz::require;

namespace {

/// Reads values off an input; zeros when it is over.
class values_in {
public:
    explicit values_in(std::string_view input) : rest_(input) {}

    unsigned byte() {
        if (rest_.empty()) return 0;
        const auto value = static_cast<unsigned char>(rest_.front());
        rest_.remove_prefix(1);
        return value;
    }
    /// Floats of any kind, or, which is what weights look like, small integers times a power of two.
    std::vector<float> floats(std::size_t count, bool are_small, int exponent) {
        std::vector<float> values(count);
        for (float& value : values) {
            if (rest_.empty()) break;
            if (are_small) {
                value = std::ldexp(static_cast<float>(static_cast<signed char>(byte())), exponent);
                continue;
            }
            const std::size_t size = std::min(rest_.size(), sizeof value);
            std::memcpy(&value, rest_.data(), size);
            rest_.remove_prefix(size);
        }
        return values;
    }
    [[nodiscard]] std::size_t left() const { return rest_.size(); }

private:
    std::string_view rest_;
};

bool are_finite(std::span<const float> values) {
    return std::ranges::all_of(values, [](float x) { return std::isfinite(x); });
}

/// Sum of importance * (a - b)^2; no importance means 1 everywhere.
double squared_error(std::span<const float> a, std::span<const float> b, std::span<const float> importance) {
    double sum = 0;
    for (std::size_t i = 0; i < a.size(); ++i)
        sum += (importance.empty() ? 1.0 : double{importance[i]}) * std::pow(double{a[i]} - double{b[i]}, 2);
    return sum;
}

// What was there before must not matter, so encoders start from something odd.
template <class Encoder>
std::vector<std::byte> encoded(const type_layout& format, const Encoder& encoder, std::span<const float> row,
                               std::span<const float> importance, int before = 0xa5) {
    const std::size_t count = row.size() / format.block_size;
    std::vector<std::byte> bytes(count * format.block_bytes, static_cast<std::byte>(before));
    builtin_formats::dispatch(format.id, [&]<class F>(format_tag<F> tag) {
        using block = typename F::block;
        encoder(tag, matrix_view(row, row.size()), matrix_knowledge{.importance = importance},
                std::span<block>(reinterpret_cast<block*>(bytes.data()), count));
    });
    return bytes;
}

std::vector<float> decoded(const type_layout& format, std::span<const std::byte> bytes) {
    std::vector<float> x(bytes.size() / format.block_bytes * format.block_size);
    builtin_formats::decode(format.id, bytes, x);
    return x;
}

/// A scale that is no number, or MXFP4's exponent for it.
void require_usable(const type_layout& format, std::span<const std::byte> bytes, std::span<const float> values) {
    require(are_finite(values), "blocks decode to finite numbers");
    if (format.id == type_id::mxfp4)
        for (std::size_t b = 0; b < bytes.size(); b += format.block_bytes)
            require(bytes[b] != std::byte{255}, "exponents are numbers");
}

/// How near a format's scales come to any that are wanted.
double scale_precision(const type_layout& format) {
    return format.id == type_id::mxfp4 ? 0.0 : format.id == type_id::nvfp4 ? 0x1p-4 : 0x1p-9;
}

void run_encode(std::string_view input) {
    values_in in(input);
    const type_layout& format = builtin_formats::layouts[in.byte() % builtin_formats::size];
    const unsigned how = in.byte();
    const bool are_small = how & 1, has_importance = how & 2;
    const int exponent = static_cast<int>(in.byte()) - 128;
    const std::size_t count = in.left() / (are_small ? 1 : sizeof(float)) / (has_importance ? 2 : 1);
    const std::size_t size =
        std::clamp<std::size_t>(count / format.block_size, 1, 512 / format.block_size) * format.block_size;
    const std::vector<float> row = in.floats(size, are_small, exponent);
    const std::vector<float> importance = in.floats(has_importance ? size : 0, are_small, 0);
    const bool is_sound =
        are_finite(row) && are_finite(importance) && std::ranges::all_of(importance, [](float x) { return x >= 0.0f; });

    const auto plain_bytes = encoded(format, nearest{}, row, {});
    const auto bytes = encoded(format, weighted{}, row, importance);
    require(encoded(format, nearest{}, row, {}, 0x5a) == plain_bytes, "what was in a block before does not matter");
    require(encoded(format, weighted{}, row, importance, 0x5a) == bytes, "what was in a block before does not matter");
    if (format.block_size == 1) return;  // plain floats hold what is no number, too
    const std::vector<float> plain = decoded(format, plain_bytes), searched = decoded(format, bytes);
    require_usable(format, plain_bytes, plain);
    require_usable(format, bytes, searched);
    if (!is_sound) return;

    const std::vector<float> zeros(size), steps(size, 0x1p-22f);  // of the smallest half
    const double energy = squared_error(row, zeros, importance), rounding = squared_error(steps, zeros, importance);
    require(squared_error(searched, row, importance) <= 1.0001 * energy + rounding, "weighted is no worse than zeros");
    require(energy != 0.0 || !importance.empty() || std::ranges::all_of(searched, [](float x) { return x == 0.0f; }),
            "zeros stay zeros");
    // The scales of lattices are found as if every point were a codeword, which is not the best in every single block:
    // in some of structured numbers the search loses about twice as much, so nothing is asked of them here.
    const bool has_levels =
        builtin_formats::dispatch(format.id, []<class F>(format_tag<F>) { return scaled_format<F>; });
    if (importance.empty() && has_levels)
        require(squared_error(searched, row, {}) <=
                    1.01 * squared_error(plain, row, {}) + std::pow(scale_precision(format), 2) * energy + rounding,
                "weighted is no worse than nearest, but for what scales can express");
    const auto again = decoded(format, encoded(format, weighted{}, searched, importance));
    require(
        squared_error(again, searched, importance) <= squared_error(searched, zeros, importance) * 1.0001 + rounding,
        "what was encoded is encoded again");
}

void seed_encode(fuzz::corpus& seeds) {
    for (std::size_t f = 0; f < builtin_formats::size; ++f)
        for (const char how : {'\0', '\1', '\2', '\3'}) {
            std::string input{static_cast<char>(f), how, '\x78'};
            const std::size_t count = std::max<std::size_t>(builtin_formats::layouts[f].block_size, 32);
            for (std::size_t i = 0; i < (how & 2 ? 2 * count : count); ++i) {
                const int wave = static_cast<int>(i * i * 31 % 199) - 99;
                if (how & 1) {
                    input += static_cast<char>(how & 2 && i >= count ? std::abs(wave) : wave);
                    continue;
                }
                const float value = 0.01f * static_cast<float>(i >= count ? std::abs(wave) : wave);
                input.append(reinterpret_cast<const char*>(&value), sizeof value);
            }
            seeds.add(input);
        }
}

// One of each kind: scale and minimum in two levels, a table of levels, codewords with an even number of signs.
using fed_back = format_list<q2_k, iq4_xs, iq2_xxs>;

void run_feedback(std::string_view input) {
    constexpr std::size_t columns = 256, rows = 2;
    values_in in(input);
    const type_layout& format = fed_back::layouts[in.byte() % fed_back::size];
    const unsigned how = in.byte();
    const int exponent = static_cast<int>(in.byte()) - 128;
    const std::vector<float> weights = in.floats(rows * columns, how & 1, exponent);
    using matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
    const std::size_t tokens = 1 + (how >> 2) % 4;
    const std::vector<float> seen = in.floats(tokens * columns, how & 2, 0);
    const Eigen::Map<const matrix> x(seen.data(), static_cast<Eigen::Index>(tokens), columns);
    const matrix gram = x.transpose() * x;
    const gram_factor factor(gram, tokens, {.threads = 1});
    fed_back::dispatch(format.id, [&]<class F>(format_tag<F>) {
        const auto encode = [&] {
            std::vector<typename F::block> packed(weights.size() / F::block_size);
            encode_rows<F>(error_feedback{}, {weights, columns}, {.factor = &factor}, std::span(packed));
            return packed;
        };
        const auto packed = encode(), again = encode();
        require(std::memcmp(packed.data(), again.data(), packed.size() * sizeof packed[0]) == 0,
                "the same weights become the same blocks");
        std::vector<float> values(weights.size());
        decode_blocks<F>(packed, values);
        require(are_finite(values), "blocks decode to finite numbers");
    });
}

void seed_feedback(fuzz::corpus& seeds) {
    for (std::size_t f = 0; f < fed_back::size; ++f)
        for (const char how : {'\3', '\7', '\0'}) {
            std::string input{static_cast<char>(f), how, '\x78'};
            for (std::size_t i = 0; i < (how ? 1536u : 6144u); ++i) input += static_cast<char>(i * i * 31 % 253);
            seeds.add(input);
        }
}

constexpr std::array all_targets{
    fuzz::target{"encode", run_encode, seed_encode},
    fuzz::target{"feedback", run_feedback, seed_feedback, {.live = 64 << 20, .made = 256 << 20}},
};

}  // namespace

std::span<const fuzz::target> fuzz::targets() { return all_targets; }
