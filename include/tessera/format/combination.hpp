// Layouts for formats of one's own, put together from stock parts:
//
//     struct q3_64_layout : tessera::combination<3, 64, tessera::scale<tessera::half>, tessera::symmetric<3>> {
//         static constexpr std::string_view name = "q3_64";
//     };
//     using q3_64 = tessera::scalar_format<q3_64_layout>;
//
// A member `type` with an id from GGUF's private range makes such a format writable.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "tessera/format/scalar_format.hpp"

namespace tessera {

// --- scales: a struct of fields and the policy that reads them ---

/// One scale of type `Scalar` (half, bfloat16, e8m0, ue4m3) for each of `SubBlocks` equal parts of the block.
template <class Scalar, std::size_t SubBlocks = 1>
struct scale {
    struct fields {
        std::array<Scalar, SubBlocks> scales;
    };
    using policy = scale_per_sub_block<&fields::scales>;
};

/// A scale and an offset for each part: weights are scale * level + offset.
template <class Scalar, std::size_t SubBlocks = 1>
struct scale_and_offset {
    struct fields {
        std::array<Scalar, SubBlocks> scales;
        std::array<Scalar, SubBlocks> offsets;
    };
    using policy = scale_per_sub_block<&fields::scales, &fields::offsets>;
};

/// One scale for the block times a signed byte for each part.
template <class Scalar, std::size_t SubBlocks>
struct scale_in_two_levels {
    struct fields {
        Scalar super_scale;
        std::array<std::int8_t, SubBlocks> sub_scales;
    };
    using policy = byte_sub_scales<&fields::super_scale, &fields::sub_scales>;
};

/// Scale and minimum in two levels, a byte for each part's integers: weights are scale * level - min.
template <class Scalar, std::size_t SubBlocks>
struct scale_and_min_in_two_levels {
    struct fields {
        Scalar super_scale;
        Scalar super_min;
        std::array<std::uint8_t, SubBlocks> sub_scales;
        std::array<std::uint8_t, SubBlocks> sub_mins;
    };
    using policy = byte_sub_scales<&fields::super_scale, &fields::sub_scales, &fields::super_min, &fields::sub_mins>;
};

// --- codebooks ---

/// Integers around zero: -2^(Bits-1) to 2^(Bits-1) - 1.
template <unsigned Bits>
using symmetric = linear<-(1 << (Bits - 1)), (1 << (Bits - 1)) - 1>;

/// Integers from 0 to 2^Bits - 1, for scales with an offset or a minimum.
template <unsigned Bits>
using non_negative = linear<0, (1 << Bits) - 1>;

// --- the rest ---

/// Codes of 1 to 8 bits in one array of bytes, as planes of 4, 2 and 1 bits (or one of 8), one after another.
template <unsigned Bits, auto Bytes>
struct packed_codes {
    template <std::size_t First, class Block>
    [[nodiscard]] static kernels::byte_vector unpack(const Block& in) noexcept {
        constexpr std::size_t count = sizeof(in.*Bytes) * 8 / Bits;
        kernels::byte_vector codes{};
        for_each_plane<count>([&]<class Plane, unsigned Shift>() {
            codes |= Plane::template unpack<First, Shift>((in.*Bytes).data() + count * Shift / 8);
        });
        return codes;
    }
    template <class Block, std::size_t N>
    static void pack(const std::array<std::uint8_t, N>& codes, Block& out) noexcept {
        for_each_plane<N>([&]<class Plane, unsigned Shift>() {
            Plane::template pack<N, Shift>(codes.data(), (out.*Bytes).data() + N * Shift / 8);
        });
    }

private:
    static_assert(Bits >= 1 && Bits <= 8);

    // The widest stride with whole groups in N weights.
    template <unsigned PlaneBits, std::size_t N>
    static constexpr std::size_t stride = N * PlaneBits % 256 == 0   ? 32
                                          : N * PlaneBits % 128 == 0 ? 16
                                          : N * PlaneBits % 64 == 0  ? 8
                                                                     : 1;

    template <std::size_t N, unsigned Shift = 0, class Visit>
    static void for_each_plane(Visit visit) noexcept {
        if constexpr (Shift < Bits) {
            constexpr unsigned left = Bits - Shift;
            constexpr unsigned bits = left == 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
            visit.template operator()<kernels::bit_plane<bits, stride<bits, N>>, Shift>();
            for_each_plane<N, Shift + bits>(visit);
        }
    }
};

/// A scaling policy applied to one field of the block.
template <auto Field, class Policy>
struct scaling_in_field : Policy {
    template <class Block>
    [[nodiscard]] static typename Policy::scales load(const Block& in) noexcept {
        return Policy::load(in.*Field);
    }
    template <class Block>
    static void store(const typename Policy::scales& s, Block& out) noexcept {
        Policy::store(s, out.*Field);
    }
};

/// A layout of `BlockSize` codes of `Bits` bits (a multiple of 16 in every part), with `Scales` in front of them.
template <unsigned Bits, std::size_t BlockSize, class Scales, class Codebook>
struct combination {
    static constexpr std::size_t block_size = BlockSize;

    struct block {
        typename Scales::fields scales;
        std::array<std::uint8_t, BlockSize * Bits / 8> codes;
    };

    using planes = packed_codes<Bits, &block::codes>;
    using scaling = scaling_in_field<&block::scales, typename Scales::policy>;
    using codebook = Codebook;
};

}  // namespace tessera
