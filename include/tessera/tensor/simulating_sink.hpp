// A sink that stores the values that formats decode to, so that programs run formats they do not know.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "tessera/core/bytes.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/format/concepts.hpp"
#include "tessera/format/engines.hpp"
#include "tessera/format/plain.hpp"
#include "tessera/format/registry.hpp"
#include "tessera/tensor/concepts.hpp"
#include "tessera/tensor/decode_rows.hpp"
#include "tessera/tensor/tensor_table.hpp"

namespace tessera {

/// Which tensors a simulating_sink stores otherwise.
enum class simulated {
    foreign,    ///< those in formats that no build of llama.cpp reads
    quantized,  ///< all that are in blocks
};

/// Passes what it is given on to another sink, but tensors in formats of `Formats` as the values that their bytes
/// decode to, stored in `Stored`: F16, BF16, Q8_0 or any other format that readers have. Plans, encoders and schedules
/// work as for the formats themselves; a model then measures as with these, but for what `Stored` rounds: 2^-12 of each
/// value in F16, in Q8_0 some 0.5 % of a matrix. Rows that are no whole blocks of `Stored` are stored in F16.
///
///     tessera::gguf::writer file("simulated.gguf");
///     auto sink = tessera::simulate<formats, tessera::f16>(file);
///
/// `write` may be called from several threads where that of the other sink may.
template <class Formats, gguf_format Stored, tensor_sink Sink>
class simulating_sink {
public:
    explicit simulating_sink(Sink& sink, simulated which = simulated::foreign) : sink_(sink), which_(which) {}

    /// "tessera.simulated" in the metadata names the formats whose values the file holds. Its file type becomes that of
    /// `Stored` where it has none, or where all quantized tensors are stored so.
    void begin(std::span<const tensor_info> tensors, const tessera::metadata& properties) {
        given_ = tensor_table({tensors.begin(), tensors.end()}, "simulation");
        stored_.assign(tensors.begin(), tensors.end());
        std::vector<std::string> names;
        for (tensor_info& info : stored_) {
            if (!is_simulated(info.type())) continue;
            if (std::ranges::find(names, info.layout.name) == names.end()) names.emplace_back(info.layout.name);
            info.layout = info.columns() % Stored::block_size == 0 ? layout_of<Stored> : layout_of<f16>;
        }
        tessera::metadata told = properties;
        if (!names.empty()) {
            told.set("tessera.simulated", std::move(names));
            const bool is_all = which_ == simulated::quantized;
            if (stock_of<Stored>.file_type && (is_all || !told.contains("general.file_type")))
                told.set("general.file_type", *stock_of<Stored>.file_type);
        }
        sink_.begin(std::span<const tensor_info>(stored_), told);
    }

    /// Throws, too, when a value is beyond what `Stored` holds.
    void write(const tensor_info& info, std::uint64_t first_row, byte_view bytes) {
        const tensor_info& target = stored_[given_.locate_bytes(info, first_row, bytes.size())];
        if (target.type() == info.type()) return sink_.write(target, first_row, bytes);
        const std::uint64_t rows = bytes.size() / info.row_bytes();
        std::vector<float> values(rows * info.columns());
        decode_rows<Formats>(info, rows, bytes, values, given_.where());
        if (target.type() == Stored::type)
            store<Stored>(target, first_row, values);
        else
            store<f16>(target, first_row, values);
    }

    void finish() { sink_.finish(); }

private:
    [[nodiscard]] bool is_simulated(type_id id) const {
        bool found = false;
        Formats::for_each([&]<class F>(format_tag<F>) {
            if (F::type != id || F::type == Stored::type) return;
            found = which_ == simulated::foreign ? !engines_of<F>.cpu.exists() : F::block_size > 1;
        });
        return found;
    }

    template <class F>
    void store(const tensor_info& target, std::uint64_t first_row, std::span<const float> values) {
        std::vector<typename F::block> packed(values.size() / F::block_size);
        std::vector<float> decoded(values.size());
        for (std::size_t b = 0; b < packed.size(); ++b)
            F::encode(std::span<const float, F::block_size>(values.data() + b * F::block_size, F::block_size),
                      packed[b]);
        decode_blocks<F>(packed, decoded);
        for (std::size_t i = 0; i < values.size(); ++i)
            if (!std::isfinite(decoded[i]))
                fail("tensor ", target.name, ": row ", first_row + i / target.columns(), ", column ",
                     i % target.columns(), ": wanted a number that ", F::name, " can hold, got ", values[i]);
        sink_.write(target, first_row, as_byte_view(std::span<const typename F::block>(packed)));
    }

    Sink& sink_;
    simulated which_;
    tensor_table given_;
    std::vector<tensor_info> stored_;
};

/// A simulating_sink in front of `sink`, which has to live as long.
template <class Formats, gguf_format Stored, tensor_sink Sink>
[[nodiscard]] simulating_sink<Formats, Stored, Sink> simulate(Sink& sink, simulated which = simulated::foreign) {
    return simulating_sink<Formats, Stored, Sink>(sink, which);
}

}  // namespace tessera
