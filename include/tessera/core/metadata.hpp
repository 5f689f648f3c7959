// Key/value metadata of a model, with GGUF's value types. An ordered list: files are written in the order it was
// filled.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
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
template <class T>
inline constexpr std::string_view metadata_scalar_name = "";
template <>
inline constexpr std::string_view metadata_scalar_name<std::uint8_t> = "uint8";
template <>
inline constexpr std::string_view metadata_scalar_name<std::int8_t> = "int8";
template <>
inline constexpr std::string_view metadata_scalar_name<std::uint16_t> = "uint16";
template <>
inline constexpr std::string_view metadata_scalar_name<std::int16_t> = "int16";
template <>
inline constexpr std::string_view metadata_scalar_name<std::uint32_t> = "uint32";
template <>
inline constexpr std::string_view metadata_scalar_name<std::int32_t> = "int32";
template <>
inline constexpr std::string_view metadata_scalar_name<float> = "float32";
template <>
inline constexpr std::string_view metadata_scalar_name<bool> = "bool";
template <>
inline constexpr std::string_view metadata_scalar_name<std::string> = "string";
template <>
inline constexpr std::string_view metadata_scalar_name<std::uint64_t> = "uint64";
template <>
inline constexpr std::string_view metadata_scalar_name<std::int64_t> = "int64";
template <>
inline constexpr std::string_view metadata_scalar_name<double> = "float64";

template <class T>
struct metadata_type {
    static std::string name() { return std::string(metadata_scalar_name<T>); }
};
template <class T>
struct metadata_type<std::vector<T>> {
    static std::string name() { return "array of " + metadata_type<T>::name(); }
};
}  // namespace detail

/// "uint32", "array of string", ...
[[nodiscard]] inline std::string type_name(const metadata_value& value) {
    return std::visit([](const auto& v) { return detail::metadata_type<std::remove_cvref_t<decltype(v)>>::name(); },
                      value);
}

/// An ordered map from key to value; keys are unique.
class metadata {
public:
    using entry = std::pair<std::string, metadata_value>;

    /// Sets a value, in place when the key is there already, else at the end.
    void set(std::string key, metadata_value value) {
        if (const auto found = index_.find(key); found != index_.end()) {
            entries_[found->second].second = std::move(value);
            return;
        }
        index_.emplace(key, entries_.size());
        entries_.emplace_back(std::move(key), std::move(value));
    }

    /// Removes a key; nothing happens when it is not there.
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
            fail("metadata key ", key, ": wanted ", detail::metadata_type<T>::name(), ", got ", type_name(*value));
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
        if (value == nullptr)
            fail("metadata key ", key, ": wanted ", detail::metadata_type<T>::name(), ", got nothing");
        return *value;
    }

    /// A count or an id: any integer type, not negative, not above `limit`. Nothing when the key is absent.
    [[nodiscard]] std::optional<std::uint64_t> get_count(
        std::string_view key, std::uint64_t limit = std::numeric_limits<std::uint32_t>::max()) const {
        const metadata_value* value = find(key);
        if (value == nullptr) return std::nullopt;
        return std::visit(
            [&](const auto& v) -> std::optional<std::uint64_t> {
                using T = std::remove_cvref_t<decltype(v)>;
                if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
                    if (v >= T{0} && static_cast<std::uint64_t>(v) <= limit) return static_cast<std::uint64_t>(v);
                    fail("metadata key ", key, ": wanted a count of 0 to ", limit, ", got ", +v);
                } else {
                    fail("metadata key ", key, ": wanted an integer, got ", type_name(*value));
                }
            },
            *value);
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
    friend bool operator==(const metadata& a, const metadata& b) { return a.entries_ == b.entries_; }

private:
    std::vector<entry> entries_;
    std::unordered_map<std::string, std::size_t> index_;
};

}  // namespace tessera
