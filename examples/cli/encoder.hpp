// The encoders that know no text, compiled once for all commands.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "tessera/core/type_id.hpp"
#include "tessera/core/view.hpp"
#include "tessera/encode/encoders.hpp"
#include "tessera/encode/knowledge.hpp"
#include "tessera/format/registry.hpp"

namespace cli {

/// tessera::weighted for a row of whole blocks of a built-in format.
void encode_weighted(tessera::type_id type, tessera::matrix_view row, const tessera::matrix_knowledge& known,
                     std::span<std::byte> out);

/// tessera::weighted as an encoder that costs its callers no compile time.
struct compiled_weighted {
    static constexpr std::string_view name = tessera::weighted::name;
    static constexpr tessera::encoder_needs needs = tessera::weighted::needs;
    static constexpr std::size_t rows_at_once = tessera::weighted::rows_at_once;

    template <class F>
    void operator()(tessera::format_tag<F>, tessera::matrix_view rows, const tessera::matrix_knowledge& known,
                    std::span<typename F::block> out) const {
        encode_weighted(F::type, rows, known, std::as_writable_bytes(out));
    }
};

/// The same of tessera::nearest.
void encode_nearest(tessera::type_id type, tessera::matrix_view row, std::span<std::byte> out);

struct compiled_nearest {
    static constexpr std::string_view name = tessera::nearest::name;
    static constexpr tessera::encoder_needs needs = tessera::nearest::needs;
    static constexpr std::size_t rows_at_once = tessera::nearest::rows_at_once;

    template <class F>
    void operator()(tessera::format_tag<F>, tessera::matrix_view rows, const tessera::matrix_knowledge&,
                    std::span<typename F::block> out) const {
        encode_nearest(F::type, rows, std::as_writable_bytes(out));
    }
};

}  // namespace cli
