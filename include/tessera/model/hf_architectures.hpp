// The table of Hugging Face architectures: one row says everything about the conversion of one.
#pragma once

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/model/hf/deepseek.hpp"
#include "tessera/model/hf/gemma.hpp"
#include "tessera/model/hf/glm.hpp"
#include "tessera/model/hf/gpt_oss.hpp"
#include "tessera/model/hf/llama.hpp"
#include "tessera/model/hf/phi.hpp"
#include "tessera/model/hf/qwen.hpp"
#include "tessera/model/hf/qwen_next.hpp"
#include "tessera/model/hf_config.hpp"
#include "tessera/model/hf_rules.hpp"

namespace tessera::model {

/// Every architecture that can be converted.
inline constexpr std::array hf_architectures{
    hf::llama,
    hf::first_llama,
    hf::internlm3,
    hf::iquest_coder,
    hf::llava,
    hf::voxtral,
    hf::mistral,
    hf::mixtral,
    hf::llama4,
    hf::llama4_with_pictures,
    hf::qwen2,
    hf::kormo,
    hf::qwen2moe,
    hf::qwen3,
    hf::step_with_pictures,
    hf::qwen3moe,
    hf::qwen3next,
    hf::qwen35,
    hf::qwen35_with_pictures,
    hf::qwen35moe,
    hf::qwen35moe_with_pictures,
    hf::minicpm_with_pictures,
    hf::gemma2,
    hf::gemma3,
    hf::gemma3_with_pictures,
    hf::phi3,
    hf::phi4_with_pictures,
    hf::deepseek2,
    hf::deepseek3,
    hf::kimi_with_pictures,
    hf::kimi25_with_pictures,
    hf::youtu,
    hf::glm4moe_lite,
    hf::gpt_oss,
    hf::glm4moe,
    hf::glm4moe_with_pictures,
    hf::solar_open,
};

/// The row of a name, or null.
[[nodiscard]] inline const hf_architecture* find_hf_architecture(std::string_view name) {
    const auto found = std::find_if(hf_architectures.begin(), hf_architectures.end(),
                                    [&](const hf_architecture& row) { return row.hf_name == name; });
    return found == hf_architectures.end() ? nullptr : &*found;
}

/// The architecture that config.json names. Throws when it names none or none of the table's.
[[nodiscard]] inline const hf_architecture& find_hf_architecture(const hf_config& config) {
    const std::vector<std::string> named = config.texts("architectures");
    if (!named.empty())
        if (const hf_architecture* found = find_hf_architecture(named.front())) return *found;
    std::string known;
    for (const hf_architecture& row : hf_architectures) known += (known.empty() ? "" : ", ") + std::string(row.hf_name);
    config.reject("architectures", "wanted one of ", known, ", got ", named.empty() ? "nothing" : named.front());
}

}  // namespace tessera::model
