// What a row of the table of Hugging Face architectures can say.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/huggingface/config.hpp"
#include "tessera/huggingface/dimensions.hpp"
#include "tessera/huggingface/fields.hpp"
#include "tessera/huggingface/row_map.hpp"

namespace tessera::huggingface {

enum class presence { required, optional };

/// One key of the metadata: "llama." and `gguf` is `config` in config.json, or one of the dimensions.
struct metadata_rule {
    enum class kind {
        count,   ///< uint32
        number,  ///< float32
        flag,    ///< bool, written when it is true
        gating,  ///< of experts: "softmax" is 1, "sigmoid" 2
        size,    ///< uint32, `dimension`; 0 stands for nothing
    };
    std::string_view gguf;
    std::string_view config;
    kind type = kind::count;
    presence need = presence::required;
    std::uint64_t model_dimensions::* dimension = nullptr;
};

/// How values get from the source tensor into the GGUF tensor, where they do not lie there as they are.
struct tensor_transform {
    enum class packing { none, mxfp4 };

    /// The source's rows, piece after piece; of a vector, its values. Of all matrices of a stack.
    row_maps (*rows)(const model_dimensions&) = nullptr;
    row_map (*columns)(const model_dimensions&) = nullptr;
    float (*value)(float) = nullptr;
    named_dimension matrices = {};  ///< of a stack that the source holds as one tensor
    std::array<named_dimension, 3> source =
        {};  ///< the source's dimensions where they are not the rule's, row length first
    /// Columns of the source become rows. Each matrix is this many of its rows; `rows` then chooses columns of one.
    named_dimension transposed = {};
    /// The source is a pair of tensors, X_blocks and X_scales, whose bytes become blocks of this format.
    packing packed = packing::none;
};

/// One GGUF tensor of `rows` x `columns` and the Hugging Face tensor that it is made of. Names of a layer's tensors
/// lack "blk.N." and "model.layers.N."; "{expert}" in a source makes a stack of one matrix per expert. Rules of the
/// same GGUF tensor that follow each other are alternatives: the first whose source is there counts.
struct tensor_rule {
    std::string_view gguf;
    std::string_view source;
    named_dimension columns;  ///< the length of a vector
    named_dimension rows;     ///< of one matrix; `one` for a vector
    presence need = presence::required;
    tensor_transform transform = {};
    std::string_view flag = {};  ///< config.json's field that says whether the tensor is there, whatever `need` says
};

using metadata_rules = std::span<const metadata_rule>;
using tensor_rules = std::span<const tensor_rule>;

/// Tensors that some layers have. In `prefix`, "{layer}" is the layer's number, and "{mtp}" counts the layers for
/// multi-token prediction from 0 on.
struct layer_rules {
    tensor_rules rules = {};
    bool (*applies)(const model_dimensions&, std::uint64_t layer) = nullptr;  ///< null: every layer
    std::string_view prefix = "model.layers.{layer}.";
};

/// Layers for multi-token prediction (MTP), which stand after the last ordinary one: whether GGUF has them, and how
/// their names begin. Checkpoints may lack them, whatever config.json says.
struct mtp_rule {
    enum class fate { none, left_out, kept };
    fate what = fate::none;
    std::string_view prefix = {};
};

/// A token with a role that the tokenizer's files do not tell: "eot" is tokenizer.ggml.eot_token_id.
struct special_token {
    std::string_view role;
    std::string_view text;
};

/// How the frequencies of rotary embedding get into a file.
enum class rope_style {
    standard,        ///< base, and linear or YaRN scaling
    with_factors,    ///< and one tensor of factors for Llama 3's scaling
    latent,          ///< as standard; YaRN's factor multiplies whole queries and keys (DeepSeek)
    long_and_short,  ///< two tensors of factors, for long and short contexts (Phi-3)
    none,            ///< nothing: the loader knows, and config.json must say the same
};

/// Whether a class of transformers narrows attention to `sliding_window` although loaders of GGUF do not in this
/// architecture.
enum class window_use {
    ignored,    ///< it does not, either
    on_demand,  ///< where `use_sliding_window` says so
    always,     ///< where there is a `sliding_window`
};

/// Everything about one architecture. Fields of config.json that none of its rules, `assumes` and `reads` name must not
/// say that the model has anything beyond it (fields.hpp).
struct architecture_row {
    std::string_view name;              ///< in config.json's `architectures`
    std::string_view gguf_name;         ///< general.architecture
    tensor_rules last;                  ///< the tensors after the layers
    std::array<layer_rules, 10> layer;  ///< the tensors of one layer, in the order they are written
    std::array<metadata_rules, 5> metadata;
    rope_style rope = rope_style::standard;
    std::string_view defaults = "{}";              ///< what config.json may leave out, as JSON
    std::span<const config_field> assumes = {};    ///< fields, and the values that this architecture stands for
    std::span<const std::string_view> reads = {};  ///< fields that its sizes depend on, besides those of its rules
    window_use window = window_use::ignored;
    void (*settle)(model_config&, std::vector<std::string>& notes) = nullptr;  ///< what fields mean only together
    mtp_rule mtp = {};
    std::span<const std::string_view> left_out = {};  ///< how the names of tensors begin that are not converted
    std::span<const special_token> special_tokens = {};
};

}  // namespace tessera::huggingface
