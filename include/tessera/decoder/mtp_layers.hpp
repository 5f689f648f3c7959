// The layers for multi-token prediction (MTP), which stand after the last ordinary one. The forward pass does not run
// them, and a model works without.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "tessera/core/block_index.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/core/tensor_info.hpp"

namespace tessera::decoder {

/// Which of a model's layers are for multi-token prediction: the last `count`, from `first` on.
struct mtp_layers {
    std::uint64_t first = 0, count = 0;

    [[nodiscard]] bool contains(std::string_view tensor_name) const noexcept {
        const auto layer = block_index(tensor_name);
        return count > 0 && layer && *layer >= first;
    }
};

/// None where the metadata do not say. Throws naming the key when there are as many of them as layers in all.
[[nodiscard]] inline mtp_layers find_mtp_layers(const metadata& properties) {
    const std::string* architecture = properties.get<std::string>("general.architecture");
    if (architecture == nullptr) return {};
    const std::uint64_t count = properties.get_count(*architecture + ".nextn_predict_layers").value_or(0);
    if (count == 0) return {};
    const std::uint64_t all = properties.require_count(*architecture + ".block_count");
    if (count >= all)
        fail("metadata key ", *architecture, ".nextn_predict_layers: wanted fewer than the ", all, " layers, got ",
             count);
    return {all - count, count};
}

/// The metadata of the same model without these layers: fewer layers, and lists of one number a layer as long as they
/// are then.
template <class = void>
[[nodiscard]] metadata without_mtp_layers(const metadata& properties) {
    const mtp_layers mtp = find_mtp_layers(properties);
    if (mtp.count == 0) return properties;
    const std::string prefix = properties.require<std::string>("general.architecture") + ".";
    metadata result;
    for (const auto& [key, value] : properties) {
        if (key == prefix + "nextn_predict_layers") continue;
        metadata_value changed = value;
        if (key == prefix + "block_count") changed = static_cast<std::uint32_t>(mtp.first);
        // The sections of a rotation are a list, too, but not of layers.
        if (key.starts_with(prefix) && !key.starts_with(prefix + "rope."))
            std::visit(
                [&](auto& list) {
                    if constexpr (requires {
                                      list.resize(list.size());
                                      list.at(0);
                                  })
                        if constexpr (!std::is_same_v<std::remove_cvref_t<decltype(list)>, std::string>)
                            if (list.size() == mtp.first + mtp.count) list.resize(mtp.first);
                },
                changed);
        result.set(key, std::move(changed));
    }
    return result;
}

}  // namespace tessera::decoder
