// Small files that are written in one go.
#pragma once

#include <filesystem>
#include <span>
#include <string_view>

#include "tessera/gguf/output_file.hpp"

namespace tessera {

/// Writes a text to a file that gets its name only when it is complete; a file of that name is replaced. Throws naming
/// the path when it cannot.
inline void write_text_file(const std::filesystem::path& path, std::string_view text) {
    gguf::output_file file(path, text.size());
    file.write_at(0, std::as_bytes(std::span(text)));
    file.publish();
}

}  // namespace tessera
