// The table of Hugging Face architectures: one row says everything about the conversion of one.
#pragma once

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/huggingface/config.hpp"
#include "tessera/huggingface/families/deepseek.hpp"
#include "tessera/huggingface/families/gemma.hpp"
#include "tessera/huggingface/families/glm.hpp"
#include "tessera/huggingface/families/gpt_oss.hpp"
#include "tessera/huggingface/families/llama.hpp"
#include "tessera/huggingface/families/phi.hpp"
#include "tessera/huggingface/families/qwen.hpp"
#include "tessera/huggingface/families/qwen_next.hpp"
#include "tessera/huggingface/rules.hpp"

namespace tessera::huggingface {

/// Every architecture that can be converted.
inline constexpr std::array architectures{
    llama,
    first_llama,
    internlm3,
    iquest_coder,
    llava,
    voxtral,
    mistral,
    mixtral,
    llama4,
    llama4_multimodal,
    qwen2,
    kormo,
    qwen2moe,
    qwen3,
    step_multimodal,
    qwen3moe,
    qwen3next,
    qwen35,
    qwen35_multimodal,
    qwen35moe,
    qwen35moe_multimodal,
    minicpm_multimodal,
    gemma2,
    gemma3,
    gemma3_multimodal,
    phi3,
    phi4_multimodal,
    deepseek2,
    deepseek3,
    kimi_multimodal,
    kimi25_multimodal,
    youtu,
    glm4moe_lite,
    gpt_oss,
    glm4moe,
    glm4moe_multimodal,
    solar_open,
};

/// The row of a name, or null.
[[nodiscard]] inline const architecture_row* find_architecture(std::string_view name) {
    const auto found = std::find_if(architectures.begin(), architectures.end(),
                                    [&](const architecture_row& row) { return row.name == name; });
    return found == architectures.end() ? nullptr : &*found;
}

/// The architecture that config.json names. Throws when it names none or none of the table's.
[[nodiscard]] inline const architecture_row& find_architecture(const model_config& config) {
    const std::vector<std::string> named = config.texts("architectures");
    if (!named.empty())
        if (const architecture_row* found = find_architecture(named.front())) return *found;
    std::string known;
    for (const architecture_row& row : architectures) known += (known.empty() ? "" : ", ") + std::string(row.name);
    config.reject("architectures", "wanted one of ", known, ", got ", named.empty() ? "nothing" : named.front());
}

}  // namespace tessera::huggingface
