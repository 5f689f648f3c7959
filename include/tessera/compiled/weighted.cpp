// Rows of weights to every built-in format, by the encoder `weighted`.
#include "tessera/encode/encoders.hpp"

template void tessera::detail::encode_rows_of<tessera::builtin_formats>(tessera::type_id, const tessera::weighted&,
                                                                        tessera::matrix_view,
                                                                        const tessera::matrix_knowledge&,
                                                                        std::span<std::byte>);
