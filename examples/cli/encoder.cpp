#include "encoder.hpp"

#include "tessera/encode/encoders.hpp"
#include "tessera/format/builtin.hpp"

namespace cli {

namespace {

// The bytes are those of blocks: of the compiled encoders.
template <class Encoder>
void encode(const Encoder& encoder, tessera::type_id type, tessera::matrix_view row,
            const tessera::matrix_knowledge& known, std::span<std::byte> out) {
    tessera::builtin_formats::dispatch(type, [&]<class F>(tessera::format_tag<F> format) {
        using block = typename F::block;
        encoder(format, row, known, std::span<block>(reinterpret_cast<block*>(out.data()), out.size() / sizeof(block)));
    });
}

}  // namespace

void encode_nearest(tessera::type_id type, tessera::matrix_view row, std::span<std::byte> out) {
    encode(tessera::nearest{}, type, row, {}, out);
}

void encode_weighted(tessera::type_id type, tessera::matrix_view row, const tessera::matrix_knowledge& known,
                     std::span<std::byte> out) {
    encode(tessera::weighted{}, type, row, known, out);
}

}  // namespace cli
