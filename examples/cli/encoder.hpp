// The encoders that know no text, compiled once for all commands.
#pragma once

#include <cstddef>
#include <span>

#include "tessera/core/type_id.hpp"
#include "tessera/format/registry.hpp"

namespace cli {

/// tessera::weighted for a row of whole blocks of a built-in format.
void encode_weighted(tessera::type_id type, std::span<const float> row, std::span<const float> importance,
                     std::span<std::byte> out);

/// tessera::weighted as an encoder that costs its callers no compile time.
struct compiled_weighted {
    template <class F>
    void operator()(tessera::format_tag<F>, std::span<const float> row, std::span<const float> importance,
                    std::span<typename F::block> out) const {
        encode_weighted(F::type, row, importance, std::as_writable_bytes(out));
    }
};

/// The same of tessera::nearest.
void encode_nearest(tessera::type_id type, std::span<const float> row, std::span<std::byte> out);

struct compiled_nearest {
    template <class F>
    void operator()(tessera::format_tag<F>, std::span<const float> row, std::span<const float>,
                    std::span<typename F::block> out) const {
        encode_nearest(F::type, row, std::as_writable_bytes(out));
    }
};

}  // namespace cli
