// Rows of weights to every built-in format, by the encoder `error_feedback`.
#include "tessera/encode/error_feedback.hpp"

template void tessera::detail::encode_rows_of<tessera::builtin_formats>(tessera::type_id,
                                                                        const tessera::error_feedback&,
                                                                        tessera::matrix_view,
                                                                        const tessera::matrix_knowledge&,
                                                                        std::span<std::byte>);
