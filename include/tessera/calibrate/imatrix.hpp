// Importance-matrix files in and out.
#pragma once

#include <cstddef>
#include <filesystem>
#include <vector>

#include "tessera/calibrate/imatrix_file.hpp"
#include "tessera/calibrate/imatrix_gguf.hpp"
#include "tessera/calibrate/imatrix_legacy.hpp"
#include "tessera/core/bytes.hpp"
#include "tessera/core/mapped_file.hpp"
#include "tessera/core/output_file.hpp"
#include "tessera/core/output_rule.hpp"
#include "tessera/gguf/serialize.hpp"

namespace tessera {

/// Reads an importance matrix; its first bytes tell which format it is in. Throws naming the file when it is neither.
template <class Formats = stored_formats>
[[nodiscard]] imatrix_file read_imatrix(const std::filesystem::path& path) {
    const mapped_file file(path);
    if (as_text(file.bytes()).starts_with(gguf::magic)) return read_imatrix_gguf<Formats>(path);
    return parse_imatrix_legacy(file.bytes(), path.string());
}

/// Writes an importance matrix: a name that ends in .dat gets the legacy format, every other one GGUF.
template <class = void>
void write_imatrix(const std::filesystem::path& path, const imatrix_file& file, const output_rule& rule = {}) {
    if (path.extension() != ".dat") return write_imatrix_gguf(path, file, rule);
    write_file(path, {imatrix_legacy_bytes(file)}, rule);
}

}  // namespace tessera
