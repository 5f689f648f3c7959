// Text files as UTF-8, whatever they come as; what is no text is refused.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "tessera/core/bytes.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/mapped_file.hpp"
#include "tessera/core/utf8.hpp"

namespace tessera::text {

/// Bytes of a file of text at most. Texts and their tokens are held in memory whole.
inline constexpr std::uint64_t most_text_bytes = std::uint64_t{1} << 28;

/// What had to be done to bytes so that they are plain text.
struct text_changes {
    bool was_utf16 = false;             ///< the byte order mark said so
    bool had_carriage_returns = false;  ///< `\r\n` became `\n`
};

namespace detail {

// What files begin with that are taken for text by mistake.
inline std::string_view kind_of_binary(std::string_view bytes) {
    using namespace std::string_view_literals;
    static constexpr std::pair<std::string_view, std::string_view> known[] = {
        {"GGUF"sv, "a GGUF model"},
        {"\x1f\x8b"sv, "a gzip archive"},
        {"PK\x03\x04"sv, "a zip archive"},
        {"%PDF-"sv, "a PDF document"},
        {"\x89PNG"sv, "a PNG picture"},
        {"\xff\xd8\xff"sv, "a JPEG picture"},
        {"\x28\xb5\x2f\xfd"sv, "a Zstandard archive"},
        {"\xfd"
         "7zXZ"sv,
         "an xz archive"},
        {"BZh"sv, "a bzip2 archive"},
        {"PAR1"sv, "a Parquet table"},
        {"\x7f"
         "ELF"sv,
         "a program"},
        {"SQLite format 3\0"sv, "an SQLite database"},
        {"\xff\xfe\0\0"sv, "UTF-32"},
        {"\0\0\xfe\xff"sv, "UTF-32"}};
    const auto found =
        std::find_if(std::begin(known), std::end(known), [&](const auto& k) { return bytes.starts_with(k.first); });
    return found == std::end(known) ? std::string_view() : found->second;
}

[[noreturn]] inline void fail_at(const std::string& where, std::string_view bytes, std::size_t at,
                                 std::string_view got) {
    const auto line = 1 + std::count(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(at), '\n');
    fail(where, ": wanted text in UTF-8, got ", got, " at byte ", at, " (line ", line, ")");
}

// UTF-16 without its byte order mark. `where` starts messages.
inline std::string from_utf16(std::string_view bytes, std::size_t high_byte, const std::string& where) {
    std::string out;
    out.reserve(bytes.size());
    const auto unit = [&](std::size_t at) {
        const auto byte = [&](std::size_t i) {
            return static_cast<char32_t>(static_cast<unsigned char>(bytes[at + i]));
        };
        return byte(high_byte) << 8 | byte(1 - high_byte);
    };
    // The mark takes two bytes of the file.
    if (bytes.size() % 2 != 0) fail(where, ": wanted UTF-16, got an odd number of bytes: ", bytes.size() + 2);
    for (std::size_t at = 0; at < bytes.size(); at += 2) {
        char32_t c = unit(at);
        if (c >= 0xd800 && c < 0xe000) {
            const char32_t low = c < 0xdc00 && at + 2 < bytes.size() ? unit(at + 2) : 0;
            if (low < 0xdc00 || low >= 0xe000)
                fail(where, ": wanted UTF-16, got half a surrogate pair at byte ", at + 2);
            c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
            at += 2;
        }
        append_code_point(out, c);
    }
    return out;
}

// Throws for what is no text: bytes that no UTF-8 has, and NUL, which no text has.
inline void require_text(std::string_view bytes, const std::string& where) {
    if (const std::string_view kind = kind_of_binary(bytes); !kind.empty())
        fail(where, ": wanted text in UTF-8, got ", kind);
    if (const std::size_t zero = bytes.find('\0'); zero != std::string_view::npos) {
        const std::string_view start = bytes.substr(0, 4096);
        const auto zeros = static_cast<std::size_t>(std::count(start.begin(), start.end(), '\0'));
        fail_at(where, bytes, zero,
                3 * zeros > start.size() ? "a zero, as in UTF-16 without a byte order mark,"
                                         : "a zero, as in binary data,");
    }
    if (const std::size_t good = valid_utf8_prefix(bytes); good < bytes.size()) {
        constexpr std::string_view digits = "0123456789abcdef";
        const auto byte = static_cast<unsigned char>(bytes[good]);
        const std::string shown{'0', 'x', digits[byte / 16], digits[byte % 16]};
        fail_at(where, bytes, good,
                "the byte " + shown + ", as in Latin-1 or another 8-bit encoding (iconv converts it),");
    }
}

}  // namespace detail

/// Text as UTF-8 without a byte order mark and with \n as line end, whatever wrote it: nothing when `bytes` are that
/// already, else the changed text. UTF-16 is read where a byte order mark says that it is. Throws, naming `where`, the
/// byte and its line, for anything else: other encodings, and binary data.
[[nodiscard]] inline std::optional<std::string> as_plain_text(std::string_view bytes, const std::string& where,
                                                              text_changes* changes = nullptr) {
    using namespace std::string_view_literals;
    std::optional<std::string> changed;
    const bool is_little = bytes.starts_with("\xff\xfe"sv) && !bytes.starts_with("\xff\xfe\0\0"sv);
    if (is_little || bytes.starts_with("\xfe\xff"sv)) {
        changed = detail::from_utf16(bytes.substr(2), is_little ? 1 : 0, where);
        if (changes != nullptr) changes->was_utf16 = true;
        detail::require_text(*changed, where);
    } else {
        detail::require_text(bytes, where);
        if (bytes.starts_with("\xef\xbb\xbf"sv)) changed = std::string(bytes.substr(3));
    }
    const std::string_view text = changed ? std::string_view(*changed) : bytes;
    if (text.find("\r\n") != std::string_view::npos) {
        std::string out;
        out.reserve(text.size());
        for (std::size_t i = 0; i < text.size(); ++i)
            if (text[i] != '\r' || i + 1 == text.size() || text[i + 1] != '\n') out += text[i];
        if (changes != nullptr) changes->had_carriage_returns = true;
        changed = std::move(out);
    }
    return changed;
}

/// A file of text, mapped where it is plain already.
class text_file {
public:
    /// Throws as mapped_file and as_plain_text do, and when the file is larger than `most` bytes.
    explicit text_file(const std::filesystem::path& path, std::uint64_t most = most_text_bytes) : file_(path) {
        const std::string_view bytes = as_text(file_.bytes());
        if (bytes.size() > most)
            fail(path.string(), ": wanted a text of at most ", most, " bytes, got ", bytes.size(),
                 "; take a part of it");
        changed_ = as_plain_text(bytes, path.string(), &changes_);
    }

    [[nodiscard]] std::string_view text() const noexcept {
        return changed_ ? std::string_view(*changed_) : as_text(file_.bytes());
    }
    [[nodiscard]] const text_changes& changes() const noexcept { return changes_; }

private:
    mapped_file file_;
    std::optional<std::string> changed_;
    text_changes changes_;
};

}  // namespace tessera::text
