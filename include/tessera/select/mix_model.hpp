// What llama.cpp's mixes depend on in a model, from its metadata.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "tessera/core/metadata.hpp"
#include "tessera/select/standard_mix.hpp"

namespace tessera {

namespace detail {
// A count, or the first of a list with one for each layer.
[[nodiscard]] inline std::optional<std::uint64_t> first_count(const metadata& properties, const std::string& key) {
    if (const metadata_value* value = properties.find(key)) {
        if (const auto* list = std::get_if<std::vector<std::int32_t>>(value); list != nullptr && !list->empty())
            return static_cast<std::uint64_t>(list->front());
        if (const auto* list = std::get_if<std::vector<std::uint32_t>>(value); list != nullptr && !list->empty())
            return list->front();
    }
    return properties.get_count(key);
}
}  // namespace detail

/// The facts that a mix depends on. Throws naming the key when one is missing or no count.
[[nodiscard]] inline select::mix_model mix_model_of(const metadata& properties,
                                                    select::mix_model::importances columns) {
    const auto& architecture = properties.require<std::string>("general.architecture");
    const std::string prefix = architecture + ".";
    const std::uint64_t heads = detail::first_count(properties, prefix + "attention.head_count").value_or(0);
    return {.architecture = architecture,
            .layers = properties.require_count(prefix + "block_count"),
            .heads = heads,
            .kv_heads = detail::first_count(properties, prefix + "attention.head_count_kv").value_or(heads),
            .experts = properties.get_count(prefix + "expert_count").value_or(0),
            .columns = columns};
}

}  // namespace tessera
