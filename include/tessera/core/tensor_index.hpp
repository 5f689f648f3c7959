// Finds tensors by name.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

#include "tessera/core/error.hpp"
#include "tessera/core/tensor_info.hpp"

namespace tessera {

/// Maps names to positions in a list of tensors.
class tensor_index {
public:
    tensor_index() = default;

    /// Throws when two tensors share a name; `where` starts the message.
    tensor_index(std::span<const tensor_info> tensors, std::string_view where) {
        positions_.reserve(tensors.size());
        for (std::size_t i = 0; i < tensors.size(); ++i)
            if (!positions_.emplace(tensors[i].name, i).second)
                fail(where, ": tensor ", tensors[i].name, ": wanted unique names, got this one twice");
    }

    static constexpr std::size_t npos = static_cast<std::size_t>(-1);

    /// The position of a name, or npos.
    [[nodiscard]] std::size_t find(std::string_view name) const {
        const auto found = positions_.find(std::string(name));
        return found == positions_.end() ? npos : found->second;
    }

private:
    std::unordered_map<std::string, std::size_t> positions_;
};

}  // namespace tessera
