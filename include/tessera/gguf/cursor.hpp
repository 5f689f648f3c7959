// Reads a header front to back without trusting it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "tessera/core/bytes.hpp"
#include "tessera/core/error.hpp"

namespace tessera::gguf {

/// A position in the bytes of a file. Every length is compared with the bytes left before it is used, so a false one
/// costs an error and never an allocation. `what` in the calls names what is read, for the message.
class cursor {
public:
    cursor(byte_view bytes, std::string where) : bytes_(bytes), where_(std::move(where)) {}

    [[nodiscard]] std::uint64_t position() const noexcept { return position_; }
    [[nodiscard]] std::uint64_t left() const noexcept { return bytes_.size() - position_; }
    [[nodiscard]] const std::string& where() const noexcept { return where_; }

    /// The next `count` bytes.
    [[nodiscard]] byte_view take_bytes(std::uint64_t count, std::string_view what) {
        require_left(count, 1, what);
        const byte_view taken = bytes_.subspan(position_, count);
        position_ += count;
        return taken;
    }

    /// The next number.
    template <class T>
    requires std::is_arithmetic_v<T>
    [[nodiscard]] T take(std::string_view what) {
        return load_bytes<T>(take_bytes(sizeof(T), what).data());
    }

    /// The next string: its length as uint64, then its bytes, which stay in the file.
    [[nodiscard]] std::string_view take_text(std::string_view what) {
        return as_text(take_bytes(take<std::uint64_t>(what), what));
    }

    /// A count of things of at least `least_bytes` each, all of which must still fit.
    [[nodiscard]] std::uint64_t take_count(std::uint64_t least_bytes, std::string_view what) {
        const auto count = take<std::uint64_t>(what);
        require_left(count, least_bytes, what);
        return count;
    }

private:
    void require_left(std::uint64_t count, std::uint64_t bytes_each, std::string_view what) const {
        if (count <= left() / bytes_each) return;
        fail(where_, ": ", what, ": wanted ", count, bytes_each == 1 ? " bytes" : " entries", " at offset ", position_,
             ", got ", left(), " bytes left");
    }

    byte_view bytes_;
    std::string where_;
    std::uint64_t position_ = 0;
};

}  // namespace tessera::gguf
