// Fields of config.json that say how single layers differ, against the pattern that loaders of GGUF know.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "tessera/core/error.hpp"
#include "tessera/decoder/architectures.hpp"
#include "tessera/huggingface/config.hpp"
#include "tessera/huggingface/dimensions.hpp"
#include "tessera/huggingface/fields.hpp"
#include "tessera/huggingface/rules.hpp"

namespace tessera::huggingface {

/// Compares these fields with what the name of the architecture implies in GGUF. Throws naming the first that differs;
/// a difference that shows only in long texts becomes a note.
class layer_check {
public:
    layer_check(const model_config& config, const architecture_row& row, const model_dimensions& dimensions)
        : config_(config), row_(row), decoder_(decoder::find_architecture(row.gguf_name)), dimensions_(dimensions) {
        const decoder::mixer_kind others = decoder_.pattern.others;
        period_ = others == decoder::mixer_kind::delta_net ? dimensions.attention_interval : decoder_.pattern.period;
        for (const std::string_view key : {"sliding_window_pattern", "_sliding_window_pattern"})
            if (config.contains(key)) period_ = config.require_count(key);
    }

    void run(std::vector<std::string>& notes) const {
        check_activation();
        check_attention_scale();
        check_layer_types();
        check_rotated_layers();
        check_networks();
        check_window(notes);
    }

    /// The period of layers with global attention, where it is another than the architecture's own; else 0.
    [[nodiscard]] std::uint64_t own_period() const {
        return has_windows() && period_ != decoder_.pattern.period ? period_ : 0;
    }

private:
    [[nodiscard]] bool has_windows() const {
        return decoder_.pattern.others == decoder::mixer_kind::local_attention && decoder_.pattern.chunk == 0;
    }
    [[nodiscard]] bool has_chunks() const { return decoder_.pattern.chunk != 0; }

    void check_activation() const {
        const bool is_gelu = decoder_.block.activation == decoder::activation::gelu;
        const std::string_view names =
            is_gelu ? R"(["gelu_pytorch_tanh", "gelu_new", "gelu_fast"])" : R"(["silu", "swish"])";
        for (const std::string_view key : {"hidden_activation", "activation_function", "mlp_hidden_act"})
            require_field(config_, {key, names});
        // Gemma's classes read hidden_activation, and take gelu in the older field for the approximation.
        require_field(config_,
                      {"hidden_act", is_gelu ? R"(["gelu", "gelu_pytorch_tanh", "gelu_new", "gelu_fast"])" : names});
    }

    void check_attention_scale() const {
        const auto scalar = config_.number("query_pre_attn_scalar");
        if (!scalar) return;
        const bool by_width = dimensions_.layers == decoder_.layers_with_width_scale;
        const double assumed = by_width
                                   ? static_cast<double>(dimensions_.embedding) / static_cast<double>(dimensions_.heads)
                                   : static_cast<double>(dimensions_.head_size);
        if (*scalar != assumed) refuse_field(config_, "query_pre_attn_scalar", concat(assumed));
    }

    // Compares element l of a list with wanted(l). A list may go on after the last layer.
    template <class Wanted>
    void check_list(std::string_view key, Wanted&& wanted) const {
        const nlohmann::json* list = config_.value(key);
        if (list == nullptr || (list->is_array() && list->empty())) return;
        if (!list->is_array() || list->size() < dimensions_.layers)
            config_.reject(key, "wanted a list of ", dimensions_.layers, " layers, got ", config_.shown(key));
        for (std::uint64_t l = 0; l < dimensions_.layers; ++l)
            if (const nlohmann::json right = wanted(l); (*list)[l] != right)
                config_.reject(key, "wanted ", right.dump(), " for layer ", l,
                               ", as loaders of GGUF take it to be in this architecture, got ", (*list)[l].dump());
    }

    [[nodiscard]] bool is_global(std::uint64_t layer) const {
        return decoder_.pattern.others == decoder::mixer_kind::attention ||
               (period_ != 0 && (layer + 1) % period_ == 0);
    }

    void check_layer_types() const {
        const bool has_window = row_.window != window_use::ignored;  // in transformers; a note says so
        check_list("layer_types", [&](std::uint64_t l) -> nlohmann::json {
            if (is_global(l)) {
                const nlohmann::json& own = (*config_.value("layer_types"))[l];
                return has_window && own == "sliding_attention" ? own : nlohmann::json("full_attention");
            }
            return decoder_.pattern.others == decoder::mixer_kind::delta_net ? "linear_attention"
                   : has_chunks()                                            ? "chunked_attention"
                                                                             : "sliding_attention";
        });
    }

    void check_rotated_layers() const {
        check_list("no_rope_layers",
                   [&](std::uint64_t l) -> nlohmann::json { return has_chunks() && is_global(l) ? 0 : 1; });
        // Loaders normalise the heads of every Llama 4 but those with 128 experts.
        if (has_chunks() && config_.flag("use_qk_norm").value_or(true) != (dimensions_.experts != 128))
            refuse_field(config_, "use_qk_norm", dimensions_.experts != 128 ? "true" : "false");
    }

    [[nodiscard]] bool has_experts(std::uint64_t layer) const {
        return dimensions_.experts > 0 && layer >= dimensions_.leading_dense &&
               (layer + 1) % dimensions_.sparse_step == 0;
    }

    void check_networks() const {
        check_list("mlp_layer_types",
                   [&](std::uint64_t l) -> nlohmann::json { return has_experts(l) ? "sparse" : "dense"; });
        const nlohmann::json* listed = config_.value("moe_layers");
        if (listed == nullptr) return;
        nlohmann::json wanted = nlohmann::json::array();
        for (std::uint64_t l = 0; l < dimensions_.layers; ++l)
            if (has_experts(l)) wanted.push_back(l);
        if (*listed != wanted) refuse_field(config_, "moe_layers", wanted.dump());
    }

    void check_window(std::vector<std::string>& notes) const {
        const std::uint64_t window = config_.count("sliding_window").value_or(0);
        const bool asked = config_.flag("use_sliding_window").value_or(row_.window == window_use::always);
        const std::uint64_t first = config_.count("max_window_layers").value_or(0);
        if (decoder_.pattern.others != decoder::mixer_kind::attention || row_.window == window_use::ignored ||
            window == 0 || !asked)
            return;
        const nlohmann::json* types = config_.value("layer_types");
        const bool is_used = types != nullptr && types->is_array()
                                 ? std::find(types->begin(), types->end(), "sliding_attention") != types->end()
                                 : row_.window == window_use::always || first < dimensions_.layers;
        if (is_used && window < config_.count("max_position_embeddings").value_or(0))
            notes.push_back(
                concat("sliding_window ", window,
                       ": loaders of GGUF have no window in this architecture: they compute the same up to ", window,
                       " tokens"));
    }

    const model_config& config_;
    const architecture_row& row_;
    const decoder::architecture& decoder_;
    const model_dimensions& dimensions_;
    std::uint64_t period_ = 1;
};

}  // namespace tessera::huggingface
