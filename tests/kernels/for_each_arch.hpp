// The same checks for all that a kernel is compiled for.
#pragma once

#include <cstddef>
#include <string>
#include <type_traits>

#include <doctest/doctest.h>

#include "tessera/kernels/simd.hpp"

namespace support {

/// Calls check(arch) for every architecture that the compiler's flags allow.
template <class Check>
void for_each_arch(Check check) {
    std::size_t tried = 0;
    xsimd::supported_architectures::for_each([&](auto arch) {
        using architecture = decltype(arch);
        CAPTURE(architecture::name());
        check(arch);
        ++tried;
    });
    CHECK(tried > 0);
}

/// One architecture of each width of registers.
using widths =
    std::conditional_t<xsimd::supported_architectures::contains<xsimd::neon64>(), xsimd::arch_list<xsimd::neon64>,
                       xsimd::arch_list<xsimd::avx512bw, xsimd::avx2, xsimd::sse2>>;

/// Says once for an architecture that it is not tested.
template <class Arch>
void tell_skipped() {
    static const bool told = [] {
        MESSAGE("skipped, the build's flags do not have it: " << std::string(Arch::name()));
        return true;
    }();
    (void)told;
}

/// Calls check(arch) for one architecture of each width that the compiler's flags allow; says so where they do not. For
/// templates that are too many, or too large, to be compiled for all.
template <class Check>
void for_each_width(Check check) {
    std::size_t tried = 0;
    widths::for_each([&]<class Arch>(Arch arch) {
        if constexpr (xsimd::supported_architectures::contains<Arch>()) {
            CAPTURE(std::string(Arch::name()));
            check(arch);
            ++tried;
        } else {
            tell_skipped<Arch>();
        }
    });
    CHECK(tried > 0);
}

}  // namespace support
