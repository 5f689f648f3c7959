// Reads the rows of a converted tensor from the tensors it is made of.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "tessera/core/bytes.hpp"
#include "tessera/format/concepts.hpp"
#include "tessera/format/fp4.hpp"
#include "tessera/huggingface/conversions.hpp"
#include "tessera/safetensors/reader.hpp"

namespace tessera::huggingface {

/// Carries out conversions on the tensors of one reader. Stateless otherwise, hence thread-safe.
class conversion_reader {
public:
    explicit conversion_reader(const safetensors::reader& source) : source_(source) {}

    /// Decodes rows into `out`. Precondition: the rows are the tensor's, and `out` has room for exactly them.
    void read(const tensor_conversion& conversion, std::uint64_t first_row, std::uint64_t rows,
              std::span<float> out) const {
        if (rows == 0) return;
        if (conversion.parts.empty()) {
            std::copy(conversion.values.begin(), conversion.values.end(), out.begin());
        } else if (conversion.block_scales) {
            std::vector<std::byte> bytes(rows * conversion.info.row_bytes());
            repack(conversion, first_row, rows, bytes);
            std::vector<mxfp4::block> blocks(bytes.size() / sizeof(mxfp4::block));
            std::memcpy(blocks.data(), bytes.data(), bytes.size());
            decode_blocks<mxfp4>(blocks, out);
        } else if (conversion.transposed_rows > 0) {
            read_transposed(conversion, first_row, rows, out);
        } else {
            read_rows(conversion, first_row, rows, out);
        }
        if (conversion.value)
            for (float& x : out) x = conversion.value(x);
    }

    /// Rows as they are stored; empty when they are stored otherwise, or do not follow each other in one tensor.
    [[nodiscard]] byte_view packed(const tensor_conversion& conversion, std::uint64_t first_row,
                                   std::uint64_t rows) const {
        if (rows == 0) return {};
        if (conversion.parts.empty()) return as_byte_view(std::span(conversion.values));
        if (!conversion.has_plain_rows()) return {};
        byte_view bytes;
        for_each_run(conversion, first_row, rows,
                     [&](const tensor_info& part, std::uint64_t row, std::uint64_t run, std::uint64_t) {
                         if (run == rows && part.type() == conversion.info.type())
                             bytes = source_.packed(part, row, run);
                     });
        return bytes;
    }

    /// Lays MXFP4 blocks out as GGUF has them: a scale, then byte j with weight j below and weight j + 16 above. The
    /// source has pairs of neighbours in its bytes, and all scales in a tensor of their own.
    void repack(const tensor_conversion& conversion, std::uint64_t first_row, std::uint64_t rows,
                std::span<std::byte> out) const {
        const std::uint64_t row_blocks = conversion.info.columns() / mxfp4::block_size;
        for_each_run(conversion, first_row, rows,
                     [&](const tensor_info& codes, std::uint64_t row, std::uint64_t run, std::uint64_t done) {
                         const byte_view pairs = source_.packed(codes, row * row_blocks, run * row_blocks);
                         const byte_view scales = source_.packed(*conversion.block_scales, row, run);
                         std::byte* to = out.data() + done * conversion.info.row_bytes();
                         for (std::size_t b = 0; b < scales.size(); ++b, to += sizeof(mxfp4::block)) {
                             const std::byte* from = pairs.data() + b * 16;
                             to[0] = scales[b];
                             for (std::size_t j = 0; j < 16; ++j) to[1 + j] = code(from, j) | code(from, j + 16) << 4;
                         }
                     });
    }

    /// Lets the system take back the memory of rows. Rows between them that were not asked for may be read again.
    void release(const tensor_conversion& conversion, std::uint64_t first_row, std::uint64_t rows) const {
        if (conversion.parts.empty() || conversion.is_vector()) return;
        if (conversion.transposed_rows > 0) {  // every row of the source has a part of every row
            const std::uint64_t first = first_row / conversion.info.dims[1],
                                last = (first_row + rows - 1) / conversion.info.dims[1];
            return source_.release(*conversion.parts.front().source, first * conversion.transposed_rows,
                                   (last - first + 1) * conversion.transposed_rows);
        }
        const tensor_info* current = nullptr;
        std::uint64_t lowest = 0, highest = 0;
        const std::uint64_t unit = conversion.block_scales ? conversion.info.columns() / mxfp4::block_size : 1;
        const auto flush = [&] {
            if (current) source_.release(*current, lowest * unit, (highest - lowest) * unit);
        };
        for_each_run(conversion, first_row, rows,
                     [&](const tensor_info& part, std::uint64_t row, std::uint64_t run, std::uint64_t) {
                         if (current != &part) {
                             flush();
                             current = &part;
                             lowest = row;
                             highest = row;
                         }
                         lowest = std::min(lowest, row);
                         highest = std::max(highest, row + run);
                     });
        flush();
    }

private:
    static std::byte code(const std::byte* pairs, std::size_t i) {
        return (i % 2 == 0 ? pairs[i / 2] : pairs[i / 2] >> 4) & std::byte{15};
    }

    // Calls use(source, its row, rows, rows done before) for every run of rows that follow each other in the source.
    template <class Use>
    static void for_each_run(const tensor_conversion& conversion, std::uint64_t first_row, std::uint64_t rows,
                             Use&& use) {
        std::uint64_t row = first_row, done = 0;
        for (const source_part& part : conversion.parts) {
            const std::uint64_t part_rows = part.rows.rows();
            while (row < part_rows && done < rows) {
                const std::uint64_t run = part.rows.run(row, std::min(part_rows - row, rows - done));
                use(*part.source, part.rows(row), run, done);
                row += run;
                done += run;
            }
            row -= part_rows;
            if (done == rows) return;
        }
    }

    void read_rows(const tensor_conversion& conversion, std::uint64_t first_row, std::uint64_t rows,
                   std::span<float> out) const {
        const std::uint64_t columns = conversion.info.columns();
        std::vector<float> whole;
        for_each_run(conversion, first_row, rows,
                     [&](const tensor_info& part, std::uint64_t row, std::uint64_t run, std::uint64_t done) {
                         const std::span<float> to = out.subspan(done * columns, run * columns);
                         if (!conversion.columns) return source_.read(part, row, run, to);
                         whole.resize(part.columns());
                         for (std::uint64_t r = 0; r < run; ++r) {
                             source_.read(part, row + r, 1, whole);
                             for (std::uint64_t c = 0; c < columns; ++c)
                                 to[r * columns + c] = whole[(*conversion.columns)(c)];
                         }
                     });
    }

    // Row r of a matrix is column part.rows(r) of the source's matrix. Reads only the columns between the first and the
    // last of those rows.
    void read_transposed(const tensor_conversion& conversion, std::uint64_t first_row, std::uint64_t rows,
                         std::span<float> out) const {
        constexpr std::uint64_t tile_rows = 32;
        const std::uint64_t columns = conversion.info.columns(), matrix_rows = conversion.info.dims[1];
        const source_part& part = conversion.parts.front();
        std::vector<float> tile;
        for (std::uint64_t done = 0; done < rows;) {
            const std::uint64_t matrix = (first_row + done) / matrix_rows, begin = (first_row + done) % matrix_rows;
            const std::uint64_t count = std::min(matrix_rows - begin, rows - done);
            const std::uint64_t first = part.rows(begin), width = part.rows(begin + count - 1) - first + 1;
            for (std::uint64_t c = 0; c < columns; c += tile_rows) {
                const std::uint64_t height = std::min(tile_rows, columns - c);
                tile.resize(height * width);
                source_.read(*part.source, matrix * conversion.transposed_rows + c, height, first, width, tile);
                for (std::uint64_t r = 0; r < count; ++r)
                    for (std::uint64_t h = 0; h < height; ++h)
                        out[(done + r) * columns + c + h] = tile[h * width + part.rows(begin + r) - first];
            }
            done += count;
        }
    }

    const safetensors::reader& source_;
};

}  // namespace tessera::huggingface
