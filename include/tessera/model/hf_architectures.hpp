// The table of Hugging Face architectures: one row says everything about the conversion of one.
#pragma once

#include <array>
#include <string>
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
    hf::mistral,
    hf::mixtral,
    hf::llama4,
    hf::llama4_with_pictures,
    hf::qwen2,
    hf::qwen2moe,
    hf::qwen3,
    hf::qwen3moe,
    hf::qwen3next,
    hf::qwen35,
    hf::qwen35_with_pictures,
    hf::qwen35moe,
    hf::qwen35moe_with_pictures,
    hf::gemma2,
    hf::gemma3,
    hf::gemma3_with_pictures,
    hf::phi3,
    hf::deepseek2,
    hf::deepseek3,
    hf::gpt_oss,
    hf::glm4moe,
};

/// The architecture that config.json names. Throws when it names none or none of the table's.
[[nodiscard]] inline const hf_architecture& find_hf_architecture(const hf_config& config) {
    const std::vector<std::string> named = config.texts("architectures");
    std::string known;
    for (const hf_architecture& architecture : hf_architectures) {
        if (!named.empty() && named.front() == architecture.hf_name) return architecture;
        known += (known.empty() ? "" : ", ") + std::string(architecture.hf_name);
    }
    config.reject("architectures", "wanted one of ", known, ", got ", named.empty() ? "nothing" : named.front());
}

}  // namespace tessera::model
