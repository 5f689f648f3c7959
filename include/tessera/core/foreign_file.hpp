// Files that are not what they are taken for: what they are instead, and what to do.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>

#include "tessera/core/bytes.hpp"
#include "tessera/core/error.hpp"

namespace tessera {

/// A kind of file that is told by its first bytes.
struct foreign_kind {
    std::string_view start;
    std::string_view what;  ///< "a web page: ...", with what to do
};

namespace detail {

inline constexpr std::string_view failed_download =
    "a web page or a server's answer, as a failed download leaves: download the file again";
inline constexpr std::string_view pickled =
    "a pickle of PyTorch, which can run programs: save the model as safetensors (save_pretrained of transformers does)";

inline constexpr std::array foreign_kinds = std::to_array<foreign_kind>({
    {"version https://git-lfs.", "a Git LFS pointer in the place of the file: fetch the file itself with git lfs pull"},
    {"<!doctype", failed_download},
    {"<html", failed_download},
    {"<?xml", failed_download},
    {"Entry not found", failed_download},
    {"Invalid username or password", failed_download},
    {"Access to model", failed_download},
    {"{\"error\"", failed_download},
    {{"PK\x03\x04", 4},
     "a ZIP archive, as PyTorch writes .bin and .pth: unpack it, or save the model as safetensors (save_pretrained of "
     "transformers does)"},
    {{"\x80\x02", 2}, pickled},
    {{"\x80\x03", 2}, pickled},
    {{"\x80\x04", 2}, pickled},
    {{"\x89HDF", 4}, "an HDF5 file of Keras: save the model as safetensors (save_pretrained of transformers does)"},
    {{"\x93NUMPY", 6}, "an array of NumPy: save the model as safetensors"},
    {{"\x1f\x8b", 2}, "a gzip archive: unpack it"},
    {{"\x28\xb5\x2f\xfd", 4}, "a zstd archive: unpack it"},
    {"lmgg", "a GGML file, from before GGUF: convert the original model again"},
    {"fmgg", "a GGML file, from before GGUF: convert the original model again"},
    {"tjgg", "a GGML file, from before GGUF: convert the original model again"},
    {"GGUF", "a GGUF file"},
});

}  // namespace detail

/// What the file with these bytes is, or nothing when they show none of the kinds known here. Letters of either case
/// are the same, white space before them does not count.
[[nodiscard]] inline std::string_view recognize_foreign(byte_view bytes) noexcept {
    if (bytes.empty()) return "an empty file";
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
    const auto begins = [&](std::string_view text, std::string_view start) {
        return text.size() >= start.size() && std::equal(start.begin(), start.end(), text.begin(),
                                                         [&](char a, char b) { return lower(a) == lower(b); });
    };
    const std::string_view text = as_text(bytes.first(std::min<std::size_t>(bytes.size(), 256)));
    const std::string_view trimmed = text.substr(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
    for (const foreign_kind& kind : detail::foreign_kinds)
        if (begins(trimmed, kind.start)) return kind.what;
    // Eight bytes of length, of which a real header leaves the upper ones empty.
    if (text.size() > 8 && text[8] == '{' && text.substr(4, 4) == std::string_view("\0\0\0\0", 4))
        return "a safetensors file";
    return {};
}

/// Throws, starting with `where`, when a file is recognized as one of another kind than the `wanted` one.
inline void refuse_foreign(byte_view bytes, std::string_view where, std::string_view wanted) {
    if (const std::string_view what = recognize_foreign(bytes); !what.empty() && what != wanted)
        fail(where, ": wanted ", wanted, ", got ", what);
}

}  // namespace tessera
