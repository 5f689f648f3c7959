#include "encoder.hpp"

#include "tessera/encode/encoders.hpp"
#include "tessera/format/builtin.hpp"

namespace cli {

void encode_weighted(tessera::type_id type, std::span<const float> row, std::span<const float> importance,
                     std::span<std::byte> out) {
    tessera::builtin_formats::dispatch(type, [&]<class F>(tessera::format_tag<F> format) {
        using block = typename F::block;
        // The bytes are those of blocks: compiled_weighted's.
        tessera::weighted{}(format, row, importance, {reinterpret_cast<block*>(out.data()), out.size() / sizeof(block)});
    });
}

}  // namespace cli
