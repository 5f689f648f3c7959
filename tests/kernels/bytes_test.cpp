// Bit planes and the conversions between bytes and registers, against one-by-one loops, for every register width that
// the compiler may use.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <type_traits>
#include <utility>

#include <doctest/doctest.h>

#include "kernels/for_each_arch.hpp"
#include "tessera/kernels/bit_plane.hpp"
#include "tessera/kernels/simd.hpp"

using namespace tessera;

namespace {

template <std::size_t N>
std::array<std::uint8_t, N> random_bytes(std::uint32_t seed) {
    std::mt19937 random(seed);
    std::array<std::uint8_t, N> bytes;
    for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random());
    return bytes;
}

template <unsigned Bits, std::size_t Stride>
void check_plane() {
    CAPTURE(Bits);
    CAPTURE(Stride);
    using plane = kernels::bit_plane<Bits, Stride>;
    constexpr std::size_t n = 256, group = Stride * 8 / Bits;
    const auto bytes = random_bytes<n * Bits / 8>(Bits + Stride);
    const auto code_of = [&](std::size_t i) {
        const std::size_t place = i % group;
        return bytes[i / group * Stride + place % Stride] >> (place / Stride * Bits) & ((1 << Bits) - 1);
    };
    std::array<std::uint8_t, n> codes;
    [&]<std::size_t... I>(std::index_sequence<I...>) {
        (kernels::store_bytes(plane::template unpack<I * 16>(bytes.data()), codes.data() + I * 16), ...);
    }(std::make_index_sequence<n / 16>{});
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < n; ++i) wrong += codes[i] == code_of(i) ? 0 : 1;
    CHECK(wrong == 0);
    std::array<std::uint8_t, n * Bits / 8> again;
    plane::template pack<n, 0>(codes.data(), again.data());
    CHECK(again == bytes);

    if constexpr (Bits <= 4) {  // the same as upper bits, above three of another plane
        for (auto& code : codes) code = static_cast<std::uint8_t>(code << 3 | 0x85);  // 0x85: no business of this plane
        plane::template pack<n, 3>(codes.data(), again.data());
        CHECK(again == bytes);
    }
}

template <class Arch>
std::array<float, kernels::lanes<Arch>> stored(kernels::float_batch<Arch> values) {
    std::array<float, kernels::lanes<Arch>> all;
    values.store_unaligned(all.data());
    return all;
}

}  // namespace

TEST_CASE("bit planes: unpack puts every code in its place, pack is its inverse") {
    check_plane<1, 1>();
    check_plane<1, 8>();
    check_plane<1, 16>();
    check_plane<1, 32>();
    check_plane<2, 1>();
    check_plane<2, 8>();
    check_plane<2, 16>();
    check_plane<2, 32>();
    check_plane<4, 1>();
    check_plane<4, 8>();
    check_plane<4, 16>();
    check_plane<4, 32>();
    check_plane<4, 64>();
    check_plane<8, 32>();
}

TEST_CASE("bytes become floats and floats bytes") {
    support::for_each_arch([](auto arch) {
        using architecture = decltype(arch);
        constexpr std::size_t lanes = kernels::lanes<architecture>;
        std::array<std::uint8_t, 256 + lanes> bytes;
        for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(i * 37);  // all 256
        std::size_t wrong = 0;
        for (std::size_t first = 0; first < 256; ++first) {  // aligned and not
            std::array<std::int8_t, lanes> as_signed;
            std::memcpy(as_signed.data(), bytes.data() + first, lanes);
            const auto wide = kernels::widen<architecture>(bytes.data() + first);
            const auto wide_signed = kernels::widen<architecture>(as_signed.data());
            std::array<std::uint8_t, lanes + 1> narrowed{}, narrowed_signed{};
            kernels::narrow<architecture>(wide, narrowed.data());
            kernels::narrow<architecture>(wide_signed, narrowed_signed.data());
            for (std::size_t i = 0; i < lanes; ++i) {
                wrong += stored<architecture>(wide)[i] == static_cast<float>(bytes[first + i]) ? 0 : 1;
                wrong += stored<architecture>(wide_signed)[i] == static_cast<float>(as_signed[i]) ? 0 : 1;
                wrong += narrowed[i] == bytes[first + i] && narrowed_signed[i] == bytes[first + i] ? 0 : 1;
            }
            wrong += narrowed[lanes] == 0 ? 0 : 1;  // nothing after the last lane is written
        }
        CHECK(wrong == 0);
    });
}

TEST_CASE("sixteen bytes: looked up in tables, widened part by part") {
    support::for_each_arch([](auto arch) {
        using architecture = decltype(arch);
        constexpr std::size_t lanes = kernels::lanes<architecture>;
        std::array<std::uint8_t, 16> small, bytes, found;
        for (std::size_t i = 0; i < 16; ++i) small[i] = static_cast<std::uint8_t>(i * i - 128);
        std::array<float, 256> large;
        for (std::size_t i = 0; i < 256; ++i) large[i] = static_cast<float>(i) * 0.37f - 9.0f;
        std::size_t wrong = 0;
        for (std::size_t first = 0; first < 256; ++first) {
            for (std::size_t i = 0; i < 16; ++i) bytes[i] = static_cast<std::uint8_t>(first + 53 * i);
            const auto from_large = stored<architecture>(kernels::look_up<architecture>(large.data(), bytes.data()));
            for (std::size_t i = 0; i < lanes; ++i) wrong += from_large[i] == large[bytes[i]] ? 0 : 1;

            const auto sixteen = kernels::load_bytes(bytes.data());
            const auto nibbles = sixteen & 15;
            kernels::store_bytes(kernels::permute<architecture>(kernels::load_bytes(small.data()), nibbles),
                                 found.data());
            for (std::size_t i = 0; i < 16; ++i) wrong += found[i] == small[bytes[i] & 15] ? 0 : 1;

            const auto each_part = [&]<std::size_t... Part>(std::index_sequence<Part...>) {
                const auto check_part = [&](std::size_t part, auto plain, auto with_sign) {
                    for (std::size_t i = 0; i < lanes; ++i) {
                        const std::uint8_t byte = bytes[part * lanes + i];
                        wrong += plain[i] == static_cast<float>(byte) ? 0 : 1;
                        wrong += with_sign[i] == static_cast<float>(static_cast<std::int8_t>(byte)) ? 0 : 1;
                    }
                };
                (check_part(Part, stored<architecture>(kernels::widen_part<architecture, std::uint8_t, Part>(sixteen)),
                            stored<architecture>(kernels::widen_part<architecture, std::int8_t, Part>(sixteen))),
                 ...);
            };
            each_part(std::make_index_sequence<16 / lanes>{});
        }
        CHECK(wrong == 0);
    });
}
