// Which layer a tensor belongs to.
#pragma once

#include <charconv>
#include <cstddef>
#include <optional>
#include <string_view>

namespace tessera {

/// The layer in a tensor's GGUF name: 3 for "blk.3.ffn_up.weight", nothing for "token_embd.weight".
[[nodiscard]] inline std::optional<std::size_t> block_index(std::string_view name) noexcept {
    constexpr std::string_view prefix = "blk.";
    if (!name.starts_with(prefix)) return std::nullopt;
    name.remove_prefix(prefix.size());
    std::size_t index = 0;
    const auto [end, failure] = std::from_chars(name.data(), name.data() + name.size(), index);
    if (failure != std::errc() || end == name.data() + name.size() || *end != '.') return std::nullopt;
    return index;
}

}  // namespace tessera
