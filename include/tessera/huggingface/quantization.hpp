// Checkpoints whose weights are not in full precision: which of them can be read.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "tessera/huggingface/config.hpp"
#include "tessera/safetensors/scales.hpp"

namespace tessera::huggingface {

namespace detail {

[[noreturn]] inline void refuse_quantization(const model_config& quantization, std::string_view key) {
    quantization.reject(key, "wanted weights in full precision, in 8-bit floats or in gpt-oss's MXFP4, got ",
                        quantization.shown(key),
                        ": these have lost what a better quantization needs; take the checkpoint they were made from");
}

// Where a checkpoint says how it is quantized; nothing when it is not.
inline std::optional<model_config> find_quantization(const model_config& text, const std::filesystem::path& directory) {
    for (const std::string_view key : {"quantization_config", "compression_config", "quantization"})
        if (auto found = text.object(key)) return found;
    const std::filesystem::path file = directory / "hf_quant_config.json";  // of ModelOpt
    std::error_code ignored;
    return std::filesystem::exists(file, ignored) ? model_config(file).object("quantization") : std::nullopt;
}

// The shape of blocks that share a scale, in the list `key`.
inline safetensors::scale_block block_in(const model_config& quantization, std::string_view key) {
    const std::vector<std::uint64_t> block = quantization.counts(key);
    if (block.empty()) return {};
    if (block.size() != 2) quantization.reject(key, "wanted rows and columns, got ", block.size(), " numbers");
    return {.rows = block[0], .columns = block[1]};
}

// Of compressed-tensors: groups of layers, each with a type. All must be 8-bit floats.
inline safetensors::scale_block block_of_groups(const model_config& quantization) {
    safetensors::scale_block block;
    const auto groups = quantization.object("config_groups");
    if (!groups) return block;
    for (const std::string& name : groups->keys()) {
        const auto group = groups->object(name);
        const auto weights = group ? group->object("weights") : std::nullopt;
        if (!weights) continue;
        if (weights->count("num_bits").value_or(8) != 8) refuse_quantization(*weights, "num_bits");
        if (weights->text("type").value_or("float") != "float") refuse_quantization(*weights, "type");
        if (weights->contains("block_structure")) block = block_in(*weights, "block_structure");
    }
    return block;
}

}  // namespace detail

/// How many weights share a scale in a checkpoint of 8-bit floats; the default for one in full precision or, but for
/// tensors that the architecture names, in MXFP4. Throws naming the key for all others: their weights lack what this
/// library needs.
[[nodiscard]] inline safetensors::scale_block read_quantization(const model_config& text,
                                                                const std::filesystem::path& directory) {
    const auto quantization = detail::find_quantization(text, directory);
    if (!quantization) return {};
    // ModelOpt does not always say its name. It says which algorithm.
    const char* unnamed = quantization->contains("quant_algo")      ? "modelopt"
                          : quantization->contains("config_groups") ? "compressed-tensors"
                                                                    : "nothing";
    const std::string method = quantization->text("quant_method").value_or(unnamed);
    if (method == "mxfp4") return {};
    if (method == "fp8" || method == "fbgemm_fp8") return detail::block_in(*quantization, "weight_block_size");
    if (method == "modelopt") {
        if (!quantization->text("quant_algo").value_or("FP8").starts_with("FP8"))
            detail::refuse_quantization(*quantization, "quant_algo");
        return detail::block_of_groups(*quantization);
    }
    if (method == "compressed-tensors") return detail::block_of_groups(*quantization);
    detail::refuse_quantization(*quantization, quantization->contains("quant_method") ? "quant_method" : "bits");
}

}  // namespace tessera::huggingface
