// A model of any container, with any list of formats.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tessera/core/bytes.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/decoder/mtp_layers.hpp"
#include "tessera/tensor/concepts.hpp"

namespace tessera {

/// A tensor source chosen at run time: of any container, with any list of formats. What runs a model is compiled once
/// for all of them.
class any_model {
public:
    /// Of a source that knows the files it is read from.
    template <packed_tensor_source Source>
    explicit any_model(Source source) : source_(std::make_unique<const holder<Source>>(std::move(source))) {}

    [[nodiscard]] std::span<const tensor_info> tensors() const { return part_ ? part_->tensors : stored_tensors(); }
    [[nodiscard]] const tessera::metadata& metadata() const { return part_ ? part_->metadata : source_->metadata(); }
    /// Those that were left out, too.
    [[nodiscard]] std::span<const tensor_info> stored_tensors() const { return source_->tensors(); }
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
        source_->read(info, first_row, rows, out);
    }
    [[nodiscard]] byte_view packed(const tensor_info& info, std::uint64_t first_row, std::uint64_t rows) const {
        return source_->packed(info, first_row, rows);
    }
    /// The bytes of rows that are stored in the type of `info`, but laid out otherwise; none for other tensors.
    [[nodiscard]] std::vector<std::byte> repacked(const tensor_info& info, std::uint64_t first_row,
                                                  std::uint64_t rows) const {
        return source_->repacked(info, first_row, rows);
    }
    /// Lets the system take back the memory of rows that are done with, where the source can.
    void release(const tensor_info& info, std::uint64_t first_row, std::uint64_t rows) const {
        source_->release(info, first_row, rows);
    }
    /// What is worth knowing of how the model was read but stops nothing: a sentence each. They may quote the files.
    [[nodiscard]] std::span<const std::string> notes() const { return source_->notes(); }
    /// The files the model is read from: what an output must never replace.
    [[nodiscard]] std::vector<std::filesystem::path> files() const {
        const auto list = source_->files();
        return {list.begin(), list.end()};
    }

private:
    struct source {
        virtual ~source() = default;
        [[nodiscard]] virtual std::span<const tensor_info> tensors() const = 0;
        [[nodiscard]] virtual const tessera::metadata& metadata() const = 0;
        virtual void read(const tensor_info& info, std::uint64_t first_row, std::uint64_t rows,
                          std::span<float> out) const = 0;
        [[nodiscard]] virtual byte_view packed(const tensor_info& info, std::uint64_t first_row,
                                               std::uint64_t rows) const = 0;
        [[nodiscard]] virtual std::vector<std::byte> repacked(const tensor_info& info, std::uint64_t first_row,
                                                              std::uint64_t rows) const = 0;
        virtual void release(const tensor_info& info, std::uint64_t first_row, std::uint64_t rows) const = 0;
        [[nodiscard]] virtual std::span<const std::string> notes() const = 0;
        [[nodiscard]] virtual std::span<const std::filesystem::path> files() const = 0;
    };

    template <class Source>
    struct holder final : source {
        explicit holder(Source from) : held(std::move(from)) {}
        std::span<const tensor_info> tensors() const override { return held.tensors(); }
        const tessera::metadata& metadata() const override { return held.metadata(); }
        void read(const tensor_info& info, std::uint64_t first_row, std::uint64_t rows,
                  std::span<float> out) const override {
            held.read(info, first_row, rows, out);
        }
        byte_view packed(const tensor_info& info, std::uint64_t first_row, std::uint64_t rows) const override {
            return held.packed(info, first_row, rows);
        }
        std::vector<std::byte> repacked(const tensor_info& info, std::uint64_t first_row,
                                        std::uint64_t rows) const override {
            if constexpr (requires { held.repacked(info, first_row, rows); })
                return held.repacked(info, first_row, rows);
            else
                return {};
        }
        void release(const tensor_info& info, std::uint64_t first_row, std::uint64_t rows) const override {
            if constexpr (requires { held.release(info, first_row, rows); }) held.release(info, first_row, rows);
        }
        std::span<const std::string> notes() const override {
            if constexpr (requires { held.notes(); })
                return held.notes();
            else
                return {};
        }
        std::span<const std::filesystem::path> files() const override {
            if constexpr (requires { held.files(); })
                return held.files();
            else
                return {};
        }

        Source held;
    };

    struct part {
        std::vector<tensor_info> tensors;
        tessera::metadata metadata;
    };

    std::unique_ptr<const source> source_;
    std::optional<part> part_;  // what is left, where something was left out
};

static_assert(packed_tensor_source<any_model>);

}  // namespace tessera
