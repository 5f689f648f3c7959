// A Hugging Face model directory as a source of GGUF tensors and metadata.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/core/bytes.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/half.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/huggingface/architectures.hpp"
#include "tessera/huggingface/conversion_reader.hpp"
#include "tessera/huggingface/conversions.hpp"
#include "tessera/huggingface/dimensions.hpp"
#include "tessera/huggingface/metadata.hpp"
#include "tessera/huggingface/settings.hpp"
#include "tessera/huggingface/vocabulary.hpp"
#include "tessera/safetensors/reader.hpp"
#include "tessera/tensor/concepts.hpp"
#include "tessera/tensor/tensor_table.hpp"

namespace tessera::huggingface {

/// Which output matrix counts where config.json ties it to the embeddings and a different one is there all the same.
enum class output_matrix {
    as_config_says,  ///< the embeddings: what transformers ran until version 5
    untied,          ///< the one that is there
};

struct model_options {
    output_matrix output = output_matrix::as_config_says;
};

/// A directory with config.json, safetensors and a tokenizer, seen as the GGUF model it converts to.
///
/// Nothing is converted in advance: a tensor is a list of source tensors and a map of rows, so memory stays at what a
/// read asks for. Matrices keep their source's type (8-bit floats appear as F32); vectors, norms and routers are F32.
/// Of multimodal models, it is the text part. general.file_type is left to whoever writes a file. Reading is
/// thread-safe.
class model {
public:
    /// Throws tessera::error naming file and key or tensor: when the architecture is not in the table; when a value of
    /// config.json is missing, of the wrong type or contradicts another; when a tensor is missing, unknown to the
    /// architecture or of another shape; when the tokenizer cannot be read.
    explicit model(const std::filesystem::path& directory, const model_options& options = {})
        : model(directory, model_settings(directory), options) {}

    /// In the order of the model: embeddings, layers, output.
    [[nodiscard]] std::span<const tensor_info> tensors() const noexcept { return table_.tensors(); }
    /// The tensor of this name, or null.
    [[nodiscard]] const tensor_info* find(std::string_view name) const { return table_.find(name); }
    [[nodiscard]] const tessera::metadata& metadata() const noexcept { return metadata_; }
    /// The files with the tensors.
    [[nodiscard]] std::span<const std::filesystem::path> files() const noexcept { return source_.files(); }
    /// What is worth knowing of the conversion but stops nothing: a sentence each.
    [[nodiscard]] std::span<const std::string> notes() const noexcept { return notes_; }

    /// Decodes rows into `out`, rows * columns floats. Throws when the rows or `out` do not fit.
    void read(const tensor_info& info, std::uint64_t first_row, std::uint64_t rows, std::span<float> out) const {
        const tensor_conversion& conversion = conversions_[table_.locate(info, first_row, rows)];
        if (out.size() != rows * info.columns())
            fail(table_.where(), ": tensor ", info.name, ": wanted room for ", rows, " x ", info.columns(),
                 " floats, got ", out.size());
        const conversion_reader reader(source_);
        reader.read(conversion, first_row, rows, out);
        // Transforms take many small reads: no single one has given its memory back.
        if (rows * info.columns() * sizeof(half) >= safetensors::reader::release_bytes)
            reader.release(conversion, first_row, rows);
    }

    /// Rows as they are stored; empty when they are stored in another type, or do not follow each other in one tensor.
    [[nodiscard]] byte_view packed(const tensor_info& info, std::uint64_t first_row, std::uint64_t rows) const {
        return conversion_reader(source_).packed(conversions_[table_.locate(info, first_row, rows)], first_row, rows);
    }

    /// The bytes of rows that are stored in the type of `info`, but laid out otherwise; none for other tensors.
    [[nodiscard]] std::vector<std::byte> repacked(const tensor_info& info, std::uint64_t first_row,
                                                  std::uint64_t rows) const {
        const tensor_conversion& conversion = conversions_[table_.locate(info, first_row, rows)];
        if (!conversion.block_scales) return {};
        std::vector<std::byte> bytes(rows * info.row_bytes());
        conversion_reader(source_).repack(conversion, first_row, rows, bytes);
        return bytes;
    }

    /// Lets the system take back the memory of rows that are done with; they can be read again. read() does this by
    /// itself after large reads, users of packed() who walk over a large model do it here.
    void release(const tensor_info& info, std::uint64_t first_row, std::uint64_t rows) const {
        const tensor_conversion& conversion = conversions_[table_.locate(info, first_row, rows)];
        if (rows > 0) conversion_reader(source_).release(conversion, first_row, rows);
    }

private:
    model(const std::filesystem::path& directory, model_settings settings, const model_options& options)
        : source_(directory, {.block = settings.block()}), notes_(settings.notes()) {
        const architecture_row& architecture = settings.architecture();
        conversion_maker maker(source_, settings.dimensions(), settings.text(), directory.string());
        leave_out(architecture, maker);
        find_mtp_layers(settings, maker);

        // Checked before the tensors are, written after general.*.
        const tessera::metadata keys = settings.keys();
        conversions_ = make_conversions(settings, options, maker);
        std::vector<tensor_info> infos;
        for (const tensor_conversion& conversion : conversions_) infos.push_back(conversion.info);
        table_ = tensor_table(std::move(infos), directory.string());

        metadata_.set("general.architecture", std::string(architecture.gguf_name));
        metadata_.set("general.type", std::string("model"));
        metadata_.set("general.name", settings.name());
        metadata_.set("general.size_label", make_size_label(settings.dimensions().experts));
        apply_sampling(metadata_, directory, notes_);
        for (const auto& [key, value] : keys) metadata_.set(key, value);
        for (const auto& [key, value] : tokenizer_metadata(directory, settings.dimensions().vocabulary))
            metadata_.set(key, value);
        apply_special_tokens(metadata_, architecture.special_tokens);
    }

    // Parts of a model that are not text, and what the architecture does not convert.
    void leave_out(const architecture_row& architecture, conversion_maker& maker) {
        for (const std::string_view prefix : architecture.left_out) maker.skip(prefix);
        std::string parts;
        std::uint64_t count = 0;
        for (const std::string_view part : other_parts)
            for (const std::string& prefix : {concat(part, '.'), concat("model.", part, '.')})
                if (const std::uint64_t tensors = maker.skip(prefix); tensors > 0) {
                    parts += (parts.empty() ? "" : ", ") + prefix.substr(0, prefix.size() - 1);
                    count += tensors;
                }
        if (count > 0)
            notes_.push_back(
                concat("only the text part is converted: ", count, " tensors of ", parts, " are left out"));
    }

    // Takes the layers for multi-token prediction into the dimensions, or leaves them out, if the checkpoint has them.
    static void find_mtp_layers(model_settings& settings, conversion_maker& maker) {
        const mtp_rule& mtp = settings.architecture().mtp;
        if (mtp.what == mtp_rule::fate::none) return;
        const std::uint64_t layers = settings.dimensions().layers;
        for (std::uint64_t n = 0; n < settings.mtp_layers(); ++n) {
            const std::string prefix = layer_prefix(mtp.prefix, settings.dimensions(), layers + n);
            if (!maker.has(prefix)) return;
            if (mtp.what == mtp_rule::fate::kept)
                settings.append_mtp_layers(n + 1);
            else
                maker.skip(prefix);
        }
    }

    std::vector<tensor_conversion> make_conversions(const model_settings& settings, const model_options& options,
                                                    conversion_maker& maker) {
        const architecture_row& architecture = settings.architecture();
        const model_dimensions& dimensions = settings.dimensions();
        const auto add_factors = [&](const char* name, std::vector<float> factors) {
            if (!factors.empty()) maker.add(name, std::move(factors));
        };
        add_factors("rope_freqs.weight", settings.rope().frequency_factors(dimensions.rotary));
        add_factors("rope_factors_long.weight", settings.rope().long_factors(dimensions.rotary));
        add_factors("rope_factors_short.weight", settings.rope().short_factors(dimensions.rotary));
        maker.add(first_tensors);
        for (std::uint64_t layer = 0; layer < dimensions.blocks; ++layer)
            for (const layer_rules& group : architecture.layer)
                if (!group.applies || group.applies(dimensions, layer))
                    maker.add(group.rules, "blk." + std::to_string(layer) + ".",
                              layer_prefix(group.prefix, dimensions, layer));
        for (const tensor_rule& rule : architecture.last) {
            const tensor_info* copy = nullptr;
            if (settings.is_tied() && rule.gguf == "output.weight") {
                copy = maker.find(std::string(rule.source));
                if (copy == nullptr) continue;
            }
            if (copy == nullptr || keeps_output(*copy, *maker.find(std::string(first_tensors.front().source)), options))
                maker.add(rule);
            else
                maker.skip(*copy);
        }
        return maker.finish();
    }

    // Loaders use the embeddings where there is no output matrix. A stored copy would take bytes and say nothing new.
    bool keeps_output(const tensor_info& copy, const tensor_info& original, const model_options& options) {
        bool is_equal = copy.dims == original.dims;
        const std::uint64_t step = std::max<std::uint64_t>(1, (1 << 20) / original.columns());
        for (std::uint64_t row = 0; is_equal && row < original.rows(); row += step) {
            const std::uint64_t rows = std::min(step, original.rows() - row);
            std::vector<float> a(rows * original.columns()), b(a.size());
            source_.read(original, row, rows, a);
            source_.read(copy, row, rows, b);
            is_equal = std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
        }
        if (is_equal) return false;
        if (options.output == output_matrix::untied) return true;
        notes_.push_back(
            concat("tensor ", copy.name, " differs from ", original.name,
                   ", to which tie_word_embeddings in config.json ties it: the latter is used, and the other "
                   "left out (--untie keeps it)"));
        return false;
    }

    std::string make_size_label(std::uint64_t experts) const {
        std::uint64_t shared = 0, stacked = 0;
        for (const tensor_conversion& conversion : conversions_) {
            const bool is_of_experts = conversion.info.name.find("_exps.") != std::string::npos;
            (is_of_experts ? stacked : shared) += conversion.parts.empty() ? 0 : conversion.info.weights();
        }
        return size_label(shared, stacked, experts);
    }

    safetensors::reader source_;
    std::vector<tensor_conversion> conversions_;  // in the order of table_; they point into source_'s list of tensors
    tensor_table table_;
    tessera::metadata metadata_;
    std::vector<std::string> notes_;
};

static_assert(packed_tensor_source<model>);

}  // namespace tessera::huggingface
