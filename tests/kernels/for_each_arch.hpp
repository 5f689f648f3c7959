// The same checks for all that a kernel is compiled for.
#pragma once

#include <cstddef>

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

}  // namespace support
