// Rows of every format of GGUF to floats.
#include "tessera/tensor/decode_rows.hpp"

template void tessera::decode_rows<tessera::stored_formats>(const tensor_info&, std::uint64_t, byte_view,
                                                            std::span<float>, std::string_view);
