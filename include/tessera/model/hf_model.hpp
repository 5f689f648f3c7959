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
#include "tessera/core/metadata.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/model/hf_architectures.hpp"
#include "tessera/model/hf_config.hpp"
#include "tessera/model/hf_dimensions.hpp"
#include "tessera/model/hf_metadata.hpp"
#include "tessera/model/hf_recipes.hpp"
#include "tessera/model/hf_rope.hpp"
#include "tessera/safetensors/reader.hpp"
#include "tessera/tensor/concepts.hpp"
#include "tessera/tensor/tensor_table.hpp"
#include "tessera/text/hf_vocabulary.hpp"

namespace tessera::model {

/// A directory with config.json, safetensors and a tokenizer, seen as the GGUF model it converts to.
///
/// Nothing is converted ahead: a tensor is a list of source tensors and a map of rows, so memory stays at what a read
/// asks for. Matrices keep their source's type (8-bit floats appear as F32); vectors, norms and routers are F32.
/// general.file_type is left to whoever writes a file. Reading is thread-safe.
class hf_model {
public:
    /// Throws tessera::error naming file and key or tensor: when the architecture is not in the table; when a value of
    /// config.json is missing, of the wrong type or contradicts another; when a tensor is missing, unknown to the
    /// architecture or of another shape; when the tokenizer cannot be read.
    explicit hf_model(const std::filesystem::path& directory)
        : hf_model(directory, hf_config(directory / "config.json")) {}

    /// In the order of the model: embeddings, layers, output.
    [[nodiscard]] std::span<const tensor_info> tensors() const noexcept { return table_.tensors(); }
    /// The tensor of this name, or null.
    [[nodiscard]] const tensor_info* find(std::string_view name) const { return table_.find(name); }
    [[nodiscard]] const tessera::metadata& metadata() const noexcept { return metadata_; }
    /// The files with the tensors.
    [[nodiscard]] std::span<const std::filesystem::path> files() const noexcept { return source_.files(); }

    /// Decodes rows into `out`, rows * columns floats. Throws when the rows or `out` do not fit.
    void read(const tensor_info& info, std::uint64_t first_row, std::uint64_t rows, std::span<float> out) const {
        const hf_recipe& recipe = recipes_[table_.locate(info, first_row, rows)];
        if (out.size() != rows * info.columns())
            fail(table_.where(), ": tensor ", info.name, ": wanted room for ", rows, " x ", info.columns(),
                 " floats, got ", out.size());
        if (rows == 0) return;
        if (recipe.parts.empty()) {
            std::copy(recipe.values.begin(), recipe.values.end(), out.begin());
        } else if (recipe.is_vector()) {
            std::vector<float> values(out.size());
            source_.read(*recipe.parts.front(), 0, 1, values);
            for (std::size_t i = 0; i < out.size(); ++i) out[i] = values[recipe.rows(i)];
        } else {
            read_rows(recipe, first_row, rows, out);
            if (rows * recipe.parts.front()->row_bytes() >= safetensors::reader::release_bytes)
                release_rows(recipe, first_row, rows);  // a permuted tensor took many small reads: no single one did
        }
    }

    /// Rows as they are stored; empty when they are stored in another type, or do not follow each other in one tensor.
    [[nodiscard]] byte_view packed(const tensor_info& info, std::uint64_t first_row, std::uint64_t rows) const {
        const hf_recipe& recipe = recipes_[table_.locate(info, first_row, rows)];
        if (rows == 0) return {};
        if (recipe.parts.empty()) return as_byte_view(std::span(recipe.values));
        const tensor_info& part = *recipe.parts[recipe.is_vector() ? 0 : first_row / recipe.rows.rows()];
        if (part.type() != info.type()) return {};
        if (recipe.is_vector())
            return recipe.rows.run(0, info.columns()) == info.columns() ? source_.packed(part, 0, 1) : byte_view{};
        const std::uint64_t row = first_row % recipe.rows.rows();
        return recipe.rows.run(row, rows) == rows ? source_.packed(part, recipe.rows(row), rows) : byte_view{};
    }

    /// Lets the system take back the memory of rows that are done with; they can be read again. read() does this by
    /// itself after large reads, users of packed() who walk over a large model do it here.
    void release(const tensor_info& info, std::uint64_t first_row, std::uint64_t rows) const {
        const hf_recipe& recipe = recipes_[table_.locate(info, first_row, rows)];
        if (!recipe.is_vector()) release_rows(recipe, first_row, rows);
    }

private:
    hf_model(const std::filesystem::path& directory, const hf_config& config)
        : source_(directory, {.block = scale_block_of(config)}) {
        const hf_architecture& architecture = find_hf_architecture(config);
        const hf_dimensions dimensions(config);
        const hf_rope rope(config);
        const std::string prefix = std::string(architecture.gguf_name) + ".";

        // Checked before the tensors are, written behind general.*.
        tessera::metadata sizes;
        apply_metadata_rules(sizes, prefix, config, hf_common_metadata);
        apply_metadata_rules(sizes, prefix, config, architecture.metadata);
        rope.write(sizes, prefix, dimensions.head_size);
        recipes_ = make_recipes(architecture, dimensions, config, rope, directory);
        std::vector<tensor_info> infos;
        for (const hf_recipe& recipe : recipes_) infos.push_back(recipe.info);
        table_ = tensor_table(std::move(infos), directory.string());

        metadata_.set("general.architecture", std::string(architecture.gguf_name));
        metadata_.set("general.type", std::string("model"));
        metadata_.set("general.name", hf_model_name(config, directory));
        metadata_.set("general.size_label", make_size_label(dimensions.experts));
        apply_sampling(metadata_, directory);
        for (const auto& [key, value] : sizes) metadata_.set(key, value);
        for (const auto& [key, value] : text::tokenizer_metadata(directory, dimensions.vocabulary))
            metadata_.set(key, value);
    }

    // How many weights share a scale in 8-bit checkpoints. Other quantized ones lack the weights this library needs.
    static safetensors::scale_block scale_block_of(const hf_config& config) {
        const auto quantization = config.object("quantization_config");
        if (!quantization) return {};
        const std::string method = quantization->text("quant_method").value_or("nothing");
        if (method != "fp8" && method != "fbgemm_fp8" && method != "compressed-tensors")
            quantization->reject("quant_method", "wanted a model in full precision or 8-bit floats, got ", method);
        const std::vector<std::uint64_t> block = quantization->counts("weight_block_size");
        if (block.empty()) return {};
        if (block.size() != 2)
            quantization->reject("weight_block_size", "wanted rows and columns, got ", block.size(), " numbers");
        return {.rows = block[0], .columns = block[1]};
    }

    std::vector<hf_recipe> make_recipes(const hf_architecture& architecture, const hf_dimensions& dimensions,
                                        const hf_config& config, const hf_rope& rope,
                                        const std::filesystem::path& directory) const {
        hf_recipe_maker maker(source_, dimensions, directory.string());
        if (std::vector<float> factors = rope.frequency_factors(dimensions.head_size); !factors.empty())
            maker.add("rope_freqs.weight", std::move(factors));
        for (const hf_tensor_rule& rule : hf_first_tensors) maker.add(rule);
        for (std::uint64_t layer = 0; layer < dimensions.layers; ++layer) {
            const std::string number = std::to_string(layer) + ".";
            for (const hf_tensor_rules& rules : architecture.layer)
                for (const hf_tensor_rule& rule : rules) maker.add(rule, "blk." + number, "model.layers." + number);
        }
        const bool is_tied = config.flag("tie_word_embeddings").value_or(false);
        for (const hf_tensor_rule& rule : hf_last_tensors) {
            if (!is_tied || rule.gguf != "output.weight")
                maker.add(rule);
            else if (const tensor_info* copy = source_.find(rule.source))
                maker.skip(require_tied(*copy));
        }
        return maker.finish();
    }

    // Loaders use the embeddings where there is no output matrix. A stored copy would take bytes and say nothing new;
    // one that differs is never used by transformers, so a file with it would be another model.
    const tensor_info& require_tied(const tensor_info& copy) const {
        const tensor_info& original = *source_.find(hf_first_tensors.front().source);
        bool is_equal = copy.dims == original.dims;
        const std::uint64_t step = std::max<std::uint64_t>(1, (1 << 20) / original.columns());
        for (std::uint64_t row = 0; is_equal && row < original.rows(); row += step) {
            const std::uint64_t rows = std::min(step, original.rows() - row);
            std::vector<float> a(rows * original.columns()), b(a.size());
            source_.read(original, row, rows, a);
            source_.read(copy, row, rows, b);
            is_equal = std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
        }
        if (!is_equal)
            fail(source_.files().front().parent_path().string(), ": tensor ", copy.name, ": wanted a copy of ",
                 original.name, ", as config.json's tie_word_embeddings says, got other values");
        return copy;
    }

    std::string make_size_label(std::uint64_t experts) const {
        std::uint64_t shared = 0, stacked = 0;
        for (const hf_recipe& recipe : recipes_)
            (recipe.info.rank == 3 ? stacked : shared) += recipe.parts.empty() ? 0 : recipe.info.weights();
        return size_label(shared, stacked, experts);
    }

    // Calls use(part, begin, end, done) for every part with some of the rows: its rows [begin, end), after `done`
    // others.
    template <class Use>
    static void for_each_part(const hf_recipe& recipe, std::uint64_t first_row, std::uint64_t rows, Use&& use) {
        const std::uint64_t part_rows = recipe.rows.rows();
        for (std::uint64_t done = 0; done < rows;) {
            const std::uint64_t begin = (first_row + done) % part_rows;
            const std::uint64_t end = std::min(part_rows, begin + rows - done);
            use(*recipe.parts[(first_row + done) / part_rows], begin, end, done);
            done += end - begin;
        }
    }

    void read_rows(const hf_recipe& recipe, std::uint64_t first_row, std::uint64_t rows, std::span<float> out) const {
        const std::uint64_t columns = recipe.info.columns();
        for_each_part(recipe, first_row, rows,
                      [&](const tensor_info& part, std::uint64_t begin, std::uint64_t end, std::uint64_t done) {
                          for (std::uint64_t row = begin; row < end;) {
                              const std::uint64_t run = recipe.rows.run(row, end - row);
                              const std::uint64_t at = done + row - begin;
                              source_.read(part, recipe.rows(row), run, out.subspan(at * columns, run * columns));
                              row += run;
                          }
                      });
    }

    // Releases from the lowest to the highest source row. Rows between that were not asked for may be read again.
    void release_rows(const hf_recipe& recipe, std::uint64_t first_row, std::uint64_t rows) const {
        for_each_part(recipe, first_row, rows,
                      [&](const tensor_info& part, std::uint64_t begin, std::uint64_t end, std::uint64_t) {
                          std::uint64_t lowest = recipe.rows.rows(), highest = 0;
                          for (std::uint64_t row = begin; row < end; row += recipe.rows.run(row, end - row)) {
                              lowest = std::min(lowest, recipe.rows(row));
                              highest = std::max(highest, recipe.rows(row) + recipe.rows.run(row, end - row));
                          }
                          source_.release(part, lowest, highest - lowest);
                      });
    }

    safetensors::reader source_;
    std::vector<hf_recipe> recipes_;  // in the order of table_; they point into source_'s list of tensors
    tensor_table table_;
    tessera::metadata metadata_;
};

static_assert(packed_tensor_source<hf_model>);

}  // namespace tessera::model
