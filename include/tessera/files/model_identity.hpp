// Which model a file of ours (a plan, a damage table) was made for.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/core/tensor_info.hpp"

namespace tessera {

/// Names and shapes of a model's tensors in brief. Containers and stored types of the same model give the same
/// identity.
struct model_identity {
    std::uint64_t tensors = 0;
    std::uint64_t weights = 0;
    std::string fingerprint{};  ///< 16 hexadecimal digits over all names and dimensions

    friend bool operator==(const model_identity&, const model_identity&) = default;
};

/// The identity of these tensors, whatever their order. The hash is FNV-1a with 64 bits: it tells models apart, and
/// protects against no attack.
[[nodiscard]] inline model_identity identify(std::span<const tensor_info> tensors) {
    std::vector<const tensor_info*> sorted;
    for (const tensor_info& info : tensors) sorted.push_back(&info);
    std::sort(sorted.begin(), sorted.end(), [](const auto* a, const auto* b) { return a->name < b->name; });

    std::uint64_t hash = 0xcbf29ce484222325;
    const auto add = [&](std::uint8_t byte) { hash = (hash ^ byte) * 0x100000001b3; };
    model_identity identity{.tensors = tensors.size()};
    for (const tensor_info* info : sorted) {
        identity.weights += info->weights();
        for (const char c : info->name) add(static_cast<std::uint8_t>(c));
        add(0);
        for (const std::uint64_t dim : info->dims)
            for (int shift = 0; shift < 64; shift += 8) add(static_cast<std::uint8_t>(dim >> shift));
    }
    constexpr std::string_view digits = "0123456789abcdef";
    for (int shift = 60; shift >= 0; shift -= 4) identity.fingerprint += digits[(hash >> shift) & 15];
    return identity;
}

}  // namespace tessera
