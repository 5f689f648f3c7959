// Key/value metadata of a model, with GGUF's value types. An ordered list: files are written in the order it was
// filled.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "tessera/core/error.hpp"

namespace tessera {

/// One metadata value. The alternatives are GGUF's: eight integers, two floats, bool, string, and arrays of each.
using metadata_value =
    std::variant<std::uint8_t, std::int8_t, std::uint16_t, std::int16_t, std::uint32_t, std::int32_t, float, bool,
                 std::string, std::uint64_t, std::int64_t, double, std::vector<std::uint8_t>, std::vector<std::int8_t>,
                 std::vector<std::uint16_t>, std::vector<std::int16_t>, std::vector<std::uint32_t>,
                 std::vector<std::int32_t>, std::vector<float>, std::vector<bool>, std::vector<std::string>,
                 std::vector<std::uint64_t>, std::vector<std::int64_t>, std::vector<double>>;

namespace detail {
/// The scalars by their places in metadata_value; arrays of them follow in the same order.
inline constexpr std::array<std::string_view, std::variant_size_v<metadata_value> / 2> metadata_scalar_names{
    "uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "bool", "string", "uint64", "int64", "float64"};

[[nodiscard]] inline std::string metadata_type_name(std::size_t alternative) {
    constexpr std::size_t scalars = metadata_scalar_names.size();
    if (alternative < scalars) return std::string(metadata_scalar_names[alternative]);
    return "array of " + std::string(metadata_scalar_names[alternative - scalars]);
}

/// The place of T among the alternatives of a variant.
template <class T, class... Alternatives>
consteval std::size_t place_among(const std::variant<Alternatives...>*) {
    std::size_t place = 0;
    (void)((std::is_same_v<T, Alternatives> || (++place, false)) || ...);
    return place;
}

/// The name of one alternative.
template <class T>
[[nodiscard]] std::string metadata_type_name() {
    return metadata_type_name(place_among<T>(static_cast<const metadata_value*>(nullptr)));
}

static_assert(place_among<double>(static_cast<const metadata_value*>(nullptr)) == metadata_scalar_names.size() - 1);
static_assert(place_among<std::vector<double>>(static_cast<const metadata_value*>(nullptr)) ==
              2 * metadata_scalar_names.size() - 1);
}  // namespace detail

/// "uint32", "array of string", ... (Asks for the place, since a visitor of 24 alternatives costs every unit that
/// includes this header a tenth of a second.)
[[nodiscard]] inline std::string type_name(const metadata_value& value) {
    return detail::metadata_type_name(value.index());
}

/// Whether the value is an array of whatever.
[[nodiscard]] inline bool is_array(const metadata_value& value) noexcept {
    return value.index() >= detail::metadata_scalar_names.size();
}

/// An ordered map from key to value; keys are unique. What moves or compares values of 24 types is a template without
/// arguments: it is compiled where somebody calls it, and not in every unit that sees a source of tensors.
class metadata {
public:
    using entry = std::pair<std::string, metadata_value>;

    /// Sets a value, in place when the key is there already, else at the end.
    template <class = void>
    void set(std::string key, metadata_value value) {
        if (const auto found = index_.find(key); found != index_.end()) {
            entries_[found->second].second = std::move(value);
            return;
        }
        index_.emplace(key, entries_.size());
        entries_.emplace_back(std::move(key), std::move(value));
    }

    /// Removes a key; nothing happens when it is not there.
    template <class = void>
    void erase(std::string_view key) {
        const auto found = index_.find(std::string(key));
        if (found == index_.end()) return;
        entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(found->second));
        index_.clear();
        for (std::size_t i = 0; i < entries_.size(); ++i) index_.emplace(entries_[i].first, i);
    }

    /// The value of a key, or null.
    [[nodiscard]] const metadata_value* find(std::string_view key) const {
        const auto found = index_.find(std::string(key));
        return found == index_.end() ? nullptr : &entries_[found->second].second;
    }
    [[nodiscard]] bool contains(std::string_view key) const { return find(key) != nullptr; }

    /// The value of a key as exactly T, or null when the key is absent. Throws when it has another type.
    template <class T>
    [[nodiscard]] const T* get(std::string_view key) const {
        const metadata_value* value = find(key);
        if (value == nullptr) return nullptr;
        const T* typed = std::get_if<T>(value);
        if (typed == nullptr)
            fail("metadata key ", key, ": wanted ", detail::metadata_type_name<T>(), ", got ", type_name(*value));
        return typed;
    }

    /// As get, with a value to use when the key is absent.
    template <class T>
    [[nodiscard]] T get_or(std::string_view key, T otherwise) const {
        const T* value = get<T>(key);
        return value == nullptr ? std::move(otherwise) : *value;
    }

    /// As get, but an absent key throws, too.
    template <class T>
    [[nodiscard]] const T& require(std::string_view key) const {
        const T* value = get<T>(key);
        if (value == nullptr) fail("metadata key ", key, ": wanted ", detail::metadata_type_name<T>(), ", got nothing");
        return *value;
    }

    /// A count or an id: any integer type, not negative, not above `limit`. Nothing when the key is absent.
    [[nodiscard]] std::optional<std::uint64_t> get_count(
        std::string_view key, std::uint64_t limit = std::numeric_limits<std::uint32_t>::max()) const {
        const metadata_value* value = find(key);
        if (value == nullptr) return std::nullopt;
        return to_count<std::uint8_t, std::int8_t, std::uint16_t, std::int16_t, std::uint32_t, std::int32_t,
                        std::uint64_t, std::int64_t>(key, *value, limit);
    }

    /// As get_count, but an absent key throws, too.
    [[nodiscard]] std::uint64_t require_count(std::string_view key,
                                              std::uint64_t limit = std::numeric_limits<std::uint32_t>::max()) const {
        const std::optional<std::uint64_t> value = get_count(key, limit);
        if (!value) fail("metadata key ", key, ": wanted an integer, got nothing");
        return *value;
    }

    [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }
    [[nodiscard]] bool empty() const noexcept { return entries_.empty(); }
    [[nodiscard]] auto begin() const noexcept { return entries_.begin(); }
    [[nodiscard]] auto end() const noexcept { return entries_.end(); }
    template <std::same_as<metadata> Metadata>
    friend bool operator==(const Metadata& a, const Metadata& b) {
        return a.entries_ == b.entries_;
    }

private:
    /// The value as one of these integers, and a count.
    template <class... Integers>
    [[nodiscard]] static std::uint64_t to_count(std::string_view key, const metadata_value& value,
                                                std::uint64_t limit) {
        std::uint64_t count = 0;
        const auto take = [&]<class T>(const T* v) {
            if (v == nullptr) return false;
            if (*v < T{0} || static_cast<std::uint64_t>(*v) > limit)
                fail("metadata key ", key, ": wanted a count of 0 to ", limit, ", got ", +*v);
            count = static_cast<std::uint64_t>(*v);
            return true;
        };
        if (!(take(std::get_if<Integers>(&value)) || ...))
            fail("metadata key ", key, ": wanted an integer, got ", type_name(value));
        return count;
    }

    std::vector<entry> entries_;
    std::unordered_map<std::string, std::size_t> index_;
};

}  // namespace tessera
