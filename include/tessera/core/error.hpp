// Errors: every message says where, what, wanted, got.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace tessera {

/// Base of everything the library throws because of wrong data or a failing system call.
class error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// Joins the parts of a message; numbers are written as text.
template <class... Parts>
[[nodiscard]] std::string concat(const Parts&... parts) {
    std::ostringstream out;
    (out << ... << parts);
    return std::move(out).str();
}

/// Throws tessera::error with the joined parts as its message.
template <class... Parts>
[[noreturn]] void fail(const Parts&... parts) {
    throw error(concat(parts...));
}

}  // namespace tessera
