// Which two symbols merge, and into what.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "tessera/text/merging.hpp"

namespace tessera::text {

/// Merges by the pair of symbols they take. A flat table, at most half full: nearly every look-up is one cache line.
class merge_table {
public:
    /// Room for this many merges.
    explicit merge_table(std::size_t count) : slots_(std::bit_ceil(2 * count + 1)) {}

    /// Adds a merge, unless the pair already has one. Symbols are not negative; no more than there is room for.
    void add(std::int32_t left, std::int32_t right, merge result) noexcept {
        slot& place = slots_[find_slot(left, right)];
        if (place.left == nobody) place = {left, right, result};
    }

    [[nodiscard]] std::optional<merge> find(std::int32_t left, std::int32_t right) const noexcept {
        const slot& place = slots_[find_slot(left, right)];
        return place.left == nobody ? std::nullopt : std::optional(place.result);
    }

private:
    static constexpr std::int32_t nobody = -1;
    struct slot {
        std::int32_t left = nobody;
        std::int32_t right = nobody;
        merge result{};
    };

    // Where the pair is, or would be.
    [[nodiscard]] std::size_t find_slot(std::int32_t left, std::int32_t right) const noexcept {
        const std::uint64_t key =
            std::uint64_t{static_cast<std::uint32_t>(left)} << 32 | static_cast<std::uint32_t>(right);
        const std::uint64_t mixed =
            key * 0x9e3779b97f4a7c15u;  // 2^64 / golden ratio: the high half depends on all bits
        for (std::size_t i = static_cast<std::size_t>(mixed >> 32);; ++i) {
            const slot& place = slots_[i &= slots_.size() - 1];
            if (place.left == nobody || (place.left == left && place.right == right)) return i;
        }
    }

    std::vector<slot> slots_;
};

}  // namespace tessera::text
