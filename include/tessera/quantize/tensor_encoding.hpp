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
#include "tessera/encode/knowledge.hpp"
#include "tessera/format/builtin.hpp"
#include "tessera/quantize/encoding_job.hpp"
#include "tessera/select/plan.hpp"
#include "tessera/tensor/concepts.hpp"
#include "tessera/tensor/decode_rows.hpp"

namespace tessera {

/// A tensor of a model as an encoder stores it in a format, without a file: to be measured. Source and encoder must
/// outlive it.
template <class Formats, tensor_source Source, class Encoder>
class tensor_encoding {
public:
    /// `stored` is the tensor as the source has it, `target` as it is to be written.
    tensor_encoding(const Source& source, const tensor_info& stored, const tensor_info& target, const Encoder& encoder,
                    int threads)
        : plan_(plan_of(stored, target)),
          sink_{std::vector<std::byte>(target.bytes())},
          job_(source, plan_, encoder, sink_, none_, {.threads = threads}, {}) {}
    tensor_encoding(const tensor_encoding&) = delete;
    tensor_encoding& operator=(const tensor_encoding&) = delete;

    [[nodiscard]] const tensor_info& target() const noexcept { return plan_.choices.front().target; }
    [[nodiscard]] std::size_t bytes() const noexcept { return sink_.bytes.size(); }

    /// Encodes a matrix of the tensor.
    void encode(std::size_t matrix, const matrix_knowledge& known) { job_.encode(known_matrix{{0, matrix}, known}); }
    /// Encodes what is left, with nothing known of it.
    void finish() { (void)job_.finish(); }

    /// Decodes rows. All matrices are encoded.
    void read(std::uint64_t first_row, std::uint64_t rows, std::span<float> out) const {
        const std::size_t size = target().row_bytes();
        decode_rows<Formats>(target(), rows, byte_view(sink_.bytes).subspan(first_row * size, rows * size), out,
                             "encoded");
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

    metadata none_;
    select::plan plan_;
    bytes_sink sink_;
    encoding_job<Formats, Source, Encoder, bytes_sink> job_;
};

}  // namespace tessera
