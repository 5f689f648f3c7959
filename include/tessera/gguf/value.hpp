// Metadata values as a header stores them: one reader and one writer for every alternative.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/gguf/cursor.hpp"

namespace tessera::gguf {

namespace detail {

// metadata_value lists the scalars in the order of their numbers in the file, then arrays of them in the same order.
// The file has one number for "array" in between, followed by the number of the element type.
inline constexpr std::uint32_t array_number = 9;
inline constexpr std::uint32_t scalar_types = std::variant_size_v<metadata_value> / 2;
static_assert(std::is_same_v<std::variant_alternative_t<8, metadata_value>, std::string> &&
              std::is_same_v<std::variant_alternative_t<9, metadata_value>, std::uint64_t> &&
              std::is_same_v<std::variant_alternative_t<scalar_types, metadata_value>, std::vector<std::uint8_t>>);

constexpr std::uint32_t scalar_number(std::size_t scalar) noexcept {
    return static_cast<std::uint32_t>(scalar < array_number ? scalar : scalar + 1);
}

inline std::size_t take_scalar_type(cursor& in, std::string_view what, std::uint32_t number) {
    if (number > scalar_types || number == array_number)
        fail(in.where(), ": ", what, ": wanted a value type of 0 to ", scalar_types,
             number == array_number ? ", got an array of arrays" : concat(", got ", number));
    return number < array_number ? number : number - 1;
}

template <class T>
struct value_reader {
    static constexpr std::uint64_t least_bytes = sizeof(T);
    static T take(cursor& in, std::string_view what) { return in.take<T>(what); }
};

template <>
struct value_reader<bool> {
    static constexpr std::uint64_t least_bytes = 1;
    static bool take(cursor& in, std::string_view what) {
        const auto byte = in.take<std::uint8_t>(what);
        if (byte > 1) fail(in.where(), ": ", what, ": wanted a bool of 0 or 1, got ", +byte);
        return byte == 1;
    }
};

template <>
struct value_reader<std::string> {
    static constexpr std::uint64_t least_bytes = 8;
    static std::string take(cursor& in, std::string_view what) { return std::string(in.take_text(what)); }
};

template <class T>
struct value_reader<std::vector<T>> {
    static std::vector<T> take(cursor& in, std::string_view what) {
        const std::uint64_t count = in.take_count(value_reader<T>::least_bytes, what);
        std::vector<T> values;
        if constexpr (std::is_arithmetic_v<T> && !std::is_same_v<T, bool>) {
            values.resize(count);
            const byte_view bytes = in.take_bytes(count * sizeof(T), what);
            if (count > 0) std::memcpy(values.data(), bytes.data(), bytes.size());
        } else {  // no reserve: a string takes more memory than the 8 bytes of an empty one in the file
            for (std::uint64_t i = 0; i < count; ++i) values.push_back(value_reader<T>::take(in, what));
        }
        return values;
    }
};

template <std::size_t... I>
metadata_value take_alternative(std::size_t alternative, cursor& in, std::string_view what, std::index_sequence<I...>) {
    using reader = metadata_value (*)(cursor&, std::string_view);
    constexpr std::array<reader, sizeof...(I)> readers{[](cursor& from, std::string_view name) {
        using type = std::variant_alternative_t<I, metadata_value>;
        return metadata_value(std::in_place_index<I>, value_reader<type>::take(from, name));
    }...};
    return readers[alternative](in, what);
}

template <class Out, class T>
requires std::is_arithmetic_v<T>
void put(Out& out, T value) {
    out.append(&value, sizeof(T));
}

template <class Out>
void put(Out& out, std::string_view text) {
    put(out, std::uint64_t{text.size()});
    out.append(text.data(), text.size());
}

template <class Out, class T>
void put_value(Out& out, const T& value) {
    put(out, value);
}

template <class Out, class T>
void put_value(Out& out, const std::vector<T>& values) {
    put(out, std::uint64_t{values.size()});
    if constexpr (std::is_arithmetic_v<T> && !std::is_same_v<T, bool>)
        out.append(values.data(), values.size() * sizeof(T));
    else
        for (const auto& value : values) put_value<Out, T>(out, value);
}

}  // namespace detail

/// The next type number and value. Throws on unknown types, arrays of arrays, bools other than 0 and 1, and lengths
/// beyond the end. (A template without arguments: compiled where a header is read.)
template <class = void>
[[nodiscard]] metadata_value take_value(cursor& in, std::string_view what) {
    auto number = in.take<std::uint32_t>(what);
    const bool is_array = number == detail::array_number;
    if (is_array) number = in.take<std::uint32_t>(what);
    const std::size_t scalar = detail::take_scalar_type(in, what, number);
    return detail::take_alternative(is_array ? scalar + detail::scalar_types : scalar, in, what,
                                    std::make_index_sequence<std::variant_size_v<metadata_value>>{});
}

/// Appends type number and value to `out`, anything with append(const void*, std::size_t).
template <class Out>
void put_value(Out& out, const metadata_value& value) {
    const bool is_array = value.index() >= detail::scalar_types;
    if (is_array) detail::put(out, detail::array_number);
    detail::put(out, detail::scalar_number(value.index() % detail::scalar_types));
    std::visit([&](const auto& v) { detail::put_value(out, v); }, value);
}

}  // namespace tessera::gguf
