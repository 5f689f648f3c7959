// Numbers from one architecture's metadata, in range or refused by key.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/core/metadata.hpp"

namespace tessera::decoder {

/// Reads the keys `architecture`.* and checks their ranges. Throws naming key, wanted and got.
class metadata_reader {
public:
    metadata_reader(const metadata& properties, std::string_view architecture)
        : properties_(properties), prefix_(std::string(architecture) + '.') {}

    /// Counts are bounded so that no product of two of them, times four bytes, can wrap.
    static constexpr std::uint64_t largest_count = std::uint64_t{1} << 24;

    [[nodiscard]] bool has(std::string_view key) const { return properties_.contains(name(key)); }
    [[nodiscard]] std::size_t count(std::string_view key, std::uint64_t low, std::uint64_t high = largest_count) const {
        const std::optional<std::uint64_t> value = find_count(key);
        if (!value) fail("metadata key ", name(key), ": wanted an integer, got nothing");
        return in_range(key, *value, low, high);
    }
    [[nodiscard]] std::size_t count_or(std::string_view key, std::uint64_t otherwise, std::uint64_t low,
                                       std::uint64_t high = largest_count) const {
        return in_range(key, find_count(key).value_or(otherwise), low, high);
    }
    /// A count, or `otherwise` where there is none or a list: loaders pass over lists here, whatever they say.
    [[nodiscard]] std::size_t period_or(std::string_view key, std::uint64_t otherwise) const {
        const metadata_value* value = properties_.find(name(key));
        const bool is_list = value != nullptr && is_array(*value);
        return is_list ? otherwise : count_or(key, otherwise, 0);
    }
    /// A float above `above`.
    [[nodiscard]] double number(std::string_view key, float above) const {
        return in_range(key, properties_.require<float>(name(key)), above);
    }
    [[nodiscard]] double number_or(std::string_view key, float otherwise, float above) const {
        return in_range(key, properties_.get_or<float>(name(key), otherwise), above);
    }
    /// As number_or, but 0 is allowed and stands for "not used".
    [[nodiscard]] double number_or_zero(std::string_view key, float otherwise) const {
        const float value = properties_.get_or<float>(name(key), otherwise);
        return value == 0.0f ? 0.0 : in_range(key, value, 0.0f);
    }
    [[nodiscard]] bool flag_or(std::string_view key, bool otherwise) const {
        return properties_.get_or<bool>(name(key), otherwise);
    }
    [[nodiscard]] std::string text_or(std::string_view key, std::string_view otherwise) const {
        return properties_.get_or<std::string>(name(key), std::string(otherwise));
    }

    /// Throws that `key` does not fit the rest: what it should be, and what it is.
    template <class... Wanted>
    [[noreturn]] void refuse(std::string_view key, std::uint64_t got, const Wanted&... wanted) const {
        fail("metadata key ", name(key), ": wanted ", wanted..., ", got ", got);
    }
    /// The whole name of a key.
    [[nodiscard]] std::string name(std::string_view key) const { return prefix_ + std::string(key); }

private:
    // Some files give a count once per layer: that will do when all are equal.
    [[nodiscard]] std::optional<std::uint64_t> find_count(std::string_view key) const {
        const std::string whole = name(key);
        const metadata_value* value = properties_.find(whole);
        const auto* counts = value == nullptr ? nullptr : std::get_if<std::vector<std::int32_t>>(value);
        if (counts == nullptr || counts->empty() || counts->front() < 0) return properties_.get_count(whole);
        if (std::adjacent_find(counts->begin(), counts->end(), std::not_equal_to<>()) != counts->end())
            fail("metadata key ", whole, ": wanted the same count for all layers, got different ones");
        return static_cast<std::uint64_t>(counts->front());
    }
    [[nodiscard]] std::size_t in_range(std::string_view key, std::uint64_t value, std::uint64_t low,
                                       std::uint64_t high) const {
        if (value < low || value > high) refuse(key, value, low, " to ", high);
        return value;
    }
    [[nodiscard]] double in_range(std::string_view key, float value, float above) const {
        if (!(value > above && std::isfinite(value)))
            fail("metadata key ", name(key), ": wanted a number above ", above, ", got ", value);
        return double{value};
    }

    const metadata& properties_;
    std::string prefix_;
};

}  // namespace tessera::decoder
