// Errors: every message says where, what, wanted, got.
#pragma once

#include <array>
#include <charconv>
#include <concepts>
#include <stdexcept>
#include <string>
#include <string_view>

namespace tessera {

/// Base of everything the library throws because of wrong data or a failing system call.
class error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

namespace detail {
inline void append_part(std::string& out, std::string_view text) { out += text; }
inline void append_part(std::string& out, char c) { out += c; }

/// Six significant digits, as streams write them.
inline void append_part(std::string& out, double number) {
    std::array<char, 32> digits;
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number, std::chars_format::general, 6);
    out.append(digits.data(), end.ptr);
}

template <std::integral Number>
void append_part(std::string& out, Number number) {
    out += std::to_string(+number);
}
}  // namespace detail

/// Joins the parts of a message: texts, characters, and numbers, which are written as text.
template <class... Parts>
[[nodiscard]] std::string concat(const Parts&... parts) {
    std::string out;
    (detail::append_part(out, parts), ...);
    return out;
}

/// Throws tessera::error with the joined parts as its message.
template <class... Parts>
[[noreturn]] void fail(const Parts&... parts) {
    throw error(concat(parts...));
}

}  // namespace tessera
