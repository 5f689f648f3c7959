// One tensor encoded in memory.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "tessera/core/bytes.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/decoder/tile_memory.hpp"
#include "tessera/encode/knowledge.hpp"
#include "tessera/format/builtin.hpp"
#include "tessera/quantize/encoding_job.hpp"
#include "tessera/select/plan.hpp"
#include "tessera/tensor/concepts.hpp"
#include "tessera/tensor/decode_rows.hpp"

namespace tessera {

/// A tensor of a model as an encoder stores it in a format, to be measured: in memory while it is encoded, then
/// wherever `memory` has room (null: in memory). Source, encoder and memory must outlive it.
template <class Formats, tensor_source Source, class Encoder>
class tensor_encoding {
public:
    /// `stored` is the tensor as the source has it, `target` as it is to be written.
    tensor_encoding(const Source& source, const tensor_info& stored, const tensor_info& target, const Encoder& encoder,
                    int threads, decoder::tile_memory* memory = nullptr)
        : memory_(memory),
          size_(target.bytes()),
          plan_(plan_of(stored, target)),
          sink_{std::vector<std::byte>(target.bytes())},
          job_(source, plan_, encoder, sink_, none_, {.threads = threads}, {}) {}
    tensor_encoding(const tensor_encoding&) = delete;
    tensor_encoding& operator=(const tensor_encoding&) = delete;
    ~tensor_encoding() {
        if (is_reserved_) memory_->release(size_);
        if (is_in_file_) memory_->scratch().release(offset_, size_);
    }

    [[nodiscard]] const tensor_info& target() const noexcept { return plan_.choices.front().target; }
    [[nodiscard]] std::size_t bytes() const noexcept { return size_; }

    /// Encodes a matrix of the tensor.
    void encode(std::size_t matrix, const matrix_knowledge& known) { job_.encode(known_matrix{{0, matrix}, known}); }
    /// Encodes what is left, with nothing known of it.
    void finish() {
        (void)job_.finish();
        if (memory_ == nullptr || (is_reserved_ = memory_->reserve(size_))) return;
        offset_ = memory_->scratch().allocate(size_);
        is_in_file_ = true;
        memory_->scratch().write(offset_, sink_.bytes);
        sink_.bytes = {};
    }

    /// Decodes rows. All matrices are encoded.
    void read(std::uint64_t first_row, std::uint64_t rows, std::span<float> out) const {
        const std::size_t size = target().row_bytes();
        std::vector<std::byte> from_file(is_in_file_ ? rows * size : 0);
        if (is_in_file_) memory_->scratch().read(offset_ + first_row * size, from_file);
        const byte_view bytes =
            is_in_file_ ? byte_view(from_file) : byte_view(sink_.bytes).subspan(first_row * size, rows * size);
        decode_rows<Formats>(target(), rows, bytes, out, "encoded");
    }

private:
    struct bytes_sink {
        std::vector<std::byte> bytes;

        void begin(std::span<const tensor_info>, const metadata&) {}
        void write(const tensor_info& info, std::uint64_t first_row, byte_view rows) {
            std::ranges::copy(rows, bytes.begin() + static_cast<std::ptrdiff_t>(first_row * info.row_bytes()));
        }
        void finish() {}
    };

    [[nodiscard]] static select::plan plan_of(const tensor_info& stored, const tensor_info& target) {
        select::choice choice{.target = target, .source = stored.layout, .wanted = target.layout};
        if (stored.name != target.name) choice.made_from = stored.name;
        select::plan plan;
        plan.choices.push_back(std::move(choice));
        return plan;
    }

    decoder::tile_memory* memory_;
    std::uint64_t size_, offset_ = 0;
    bool is_reserved_ = false, is_in_file_ = false;
    metadata none_;
    select::plan plan_;
    bytes_sink sink_;
    encoding_job<Formats, Source, Encoder, bytes_sink> job_;
};

}  // namespace tessera
