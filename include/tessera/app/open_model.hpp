// A model from whatever a path names: a GGUF file or a Hugging Face directory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "tessera/core/bytes.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/decoder/mtp_layers.hpp"
#include "tessera/files/model_path.hpp"
#include "tessera/gguf/reader.hpp"
#include "tessera/huggingface/model.hpp"
#include "tessera/tensor/concepts.hpp"

namespace tessera {

/// A tensor source chosen at run time.
class any_model {
public:
    explicit any_model(gguf::reader file) : source_(std::move(file)) {}
    explicit any_model(huggingface::model directory) : source_(std::move(directory)) {}

    [[nodiscard]] std::span<const tensor_info> tensors() const { return part_ ? part_->tensors : stored_tensors(); }
    [[nodiscard]] const tessera::metadata& metadata() const {
        if (part_) return part_->metadata;
        return std::visit([](const auto& source) -> const tessera::metadata& { return source.metadata(); }, source_);
    }
    /// Those that were left out, too.
    [[nodiscard]] std::span<const tensor_info> stored_tensors() const {
        return std::visit([](const auto& source) { return std::span<const tensor_info>(source.tensors()); }, source_);
    }
    /// From now on the model has no layers for multi-token prediction. Nothing happens when it has none anyway.
    void leave_out_mtp_layers() {
        const decoder::mtp_layers next = decoder::find_mtp_layers(metadata());
        if (next.count == 0) return;
        part rest{{}, decoder::without_mtp_layers(metadata())};
        for (const tensor_info& info : tensors())
            if (!next.contains(info.name)) rest.tensors.push_back(info);
        part_ = std::move(rest);
    }
    void read(const tensor_info& info, std::uint64_t first_row, std::uint64_t rows, std::span<float> out) const {
        std::visit([&](const auto& source) { source.read(info, first_row, rows, out); }, source_);
    }
    [[nodiscard]] byte_view packed(const tensor_info& info, std::uint64_t first_row, std::uint64_t rows) const {
        return std::visit([&](const auto& source) { return source.packed(info, first_row, rows); }, source_);
    }
    /// The bytes of rows that are stored in the type of `info`, but laid out otherwise; none for other tensors.
    [[nodiscard]] std::vector<std::byte> repacked(const tensor_info& info, std::uint64_t first_row,
                                                  std::uint64_t rows) const {
        return std::visit(
            [&](const auto& source) {
                if constexpr (requires { source.repacked(info, first_row, rows); })
                    return source.repacked(info, first_row, rows);
                else
                    return std::vector<std::byte>();
            },
            source_);
    }
    /// Lets the system take back the memory of rows that are done with, where the source can.
    void release(const tensor_info& info, std::uint64_t first_row, std::uint64_t rows) const {
        std::visit(
            [&](const auto& source) {
                if constexpr (requires { source.release(info, first_row, rows); })
                    source.release(info, first_row, rows);
            },
            source_);
    }
    /// What is worth knowing of how the model was read but stops nothing: a sentence each. They may quote the files.
    [[nodiscard]] std::span<const std::string> notes() const {
        const auto* directory = std::get_if<huggingface::model>(&source_);
        return directory == nullptr ? std::span<const std::string>() : directory->notes();
    }
    /// The files the model is read from: what an output must never replace.
    [[nodiscard]] std::vector<std::filesystem::path> files() const {
        return std::visit(
            [](const auto& source) {
                const auto& list = source.files();
                return std::vector<std::filesystem::path>(list.begin(), list.end());
            },
            source_);
    }

private:
    struct part {
        std::vector<tensor_info> tensors;
        tessera::metadata metadata;
    };

    std::variant<gguf::reader, huggingface::model> source_;
    std::optional<part> part_;  // what is left, where something was left out
};

static_assert(packed_tensor_source<any_model>);

/// Opens a GGUF file (the first shard of a split one) or a directory with config.json and safetensors. Throws saying
/// what the path names when it is neither.
[[nodiscard]] inline any_model open_model(const std::filesystem::path& path,
                                          const huggingface::model_options& options = {}) {
    if (std::filesystem::is_directory(path)) {
        require_model_directory(path);
        return any_model(huggingface::model(path, options));
    }
    require_model_file(path);
    return any_model(gguf::reader(path));
}

}  // namespace tessera
