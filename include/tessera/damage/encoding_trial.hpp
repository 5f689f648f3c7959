// The error that an encoder makes of a tensor in many formats, tried on some of its rows.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "tessera/core/parallel.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/core/view.hpp"
#include "tessera/damage/measured_tensor.hpp"
#include "tessera/damage/row_edits.hpp"
#include "tessera/decoder/matrix.hpp"
#include "tessera/encode/best_of.hpp"
#include "tessera/encode/encoders.hpp"
#include "tessera/encode/knowledge.hpp"
#include "tessera/encode/output_error.hpp"
#include "tessera/format/builtin.hpp"
#include "tessera/measure/weight_error.hpp"
#include "tessera/quantize/encode_tile.hpp"
#include "tessera/quantize/encoding_job.hpp"
#include "tessera/tensor/concepts.hpp"

namespace tessera {

struct trial_options {
    std::uint64_t sample_weights;  ///< of a tensor whose inputs are not known
    std::size_t sample_tiles;      ///< of one whose are: of as many rows as the encoder takes
    int threads;
};

/// Gathers the errors of one tensor, matrix by matrix as knowledge comes in.
template <class Formats, tensor_source Source, class Encoder>
class encoding_trial {
public:
    /// `stored` is the tensor as the source has it, `info` the same under the name of its role.
    encoding_trial(const Source& source, const tensor_info& stored, const tensor_info& info, const Encoder& encoder,
                   const trial_options& options)
        : source_(source),
          stored_(stored),
          info_(info),
          encoder_(encoder),
          options_(options),
          known_(matrix_count(info)) {}

    /// Takes what is known of a matrix. Where its inputs are known, and it is one of those sampled, its rows are tried
    /// at once in all of `layouts`; else importances are kept, which have to live as long as this.
    void add(std::size_t matrix, const matrix_knowledge& known, std::span<const type_layout> layouts) {
        if (known.judge().rows() == 0) {
            known_[matrix] = known;
            return;
        }
        const std::size_t every = std::max<std::size_t>(1, known_.size() / options_.sample_tiles);
        if (matrix % every != 0) return;
        const std::size_t tiles = known_.size() > 1 ? 1 : options_.sample_tiles;
        for (const std::size_t first : spread_tiles(info_.dims[1], tile_rows, tiles)) {
            const std::uint64_t row = matrix * info_.dims[1] + first;
            const row_tile tile(source_, stored_, row, std::min<std::uint64_t>(tile_rows, info_.dims[1] - first),
                                known);
            std::vector<sums> lost(layouts.size());
            const decoder::serial_products guard;
            parallel_for(layouts.size(), options_.threads, [&](std::size_t f) {
                Formats::dispatch(layouts[f].id, [&]<class F>(format_tag<F> format) {
                    lost[f] = try_rows(format, tile.rows(), known);
                });
            });
            for (std::size_t f = 0; f < layouts.size(); ++f) by_format_[layouts[f].id] += lost[f];
            noise_ += noise_error(row, tile.rows(), known);
            tried_rows_ += energy_of(tile.rows(), known.judge());
        }
    }

    /// The errors in these formats; those that cannot hold the sampled weights are left out.
    [[nodiscard]] std::vector<format_error> errors(std::span<const type_layout> layouts) const {
        std::vector<format_error> found;
        for (const type_layout& layout : layouts) found.push_back({layout, 0.0});
        parallel_for(found.size(), options_.threads, [&](std::size_t f) {
            const auto tried = by_format_.find(found[f].layout.id);
            found[f].relative_error =
                tried != by_format_.end() ? relative(tried->second.least()) : sampled(stored_edit(found[f].layout));
        });
        std::erase_if(found, [](const format_error& f) { return !std::isfinite(f.relative_error); });
        return found;
    }

    /// The same of random errors.
    [[nodiscard]] double error_of(const noise& edit) const {
        if (tried_rows_.outputs > 0) return edit.relative * relative(noise_.outputs);
        return sampled(
            [&](std::uint64_t row, const matrix_knowledge&, std::span<float> values) { edit(info_, row, values); });
    }

    /// Encodes the matrices of which importances were all that came.
    template <class Encoding>
    void encode_known(Encoding& to) const {
        for (std::size_t m = 0; m < known_.size(); ++m) to.encode(m, known_[m]);
    }

private:
    static constexpr std::size_t tile_rows = Encoder::rows_at_once > 1 ? Encoder::rows_at_once : 64;

    // Errors by encoder, where there are several to choose from.
    struct sums {
        std::vector<output_error> by_encoder{};

        sums& operator+=(const sums& other) {
            by_encoder.resize(other.by_encoder.size());
            for (std::size_t e = 0; e < by_encoder.size(); ++e) by_encoder[e] += other.by_encoder[e];
            return *this;
        }
        [[nodiscard]] double least() const { return std::ranges::min(by_encoder, {}, &output_error::outputs).outputs; }
    };

    template <class F>
    [[nodiscard]] sums try_rows(format_tag<F> format, matrix_view rows, const matrix_knowledge& known) const {
        if constexpr (choosing_encoder<Encoder>) {
            const auto lost = encoder_.try_all(format, rows, known);
            return {{lost.begin(), lost.end()}};
        } else {
            output_error lost;
            with_encoder(encoder_, known, [&](const auto& encoder) {
                lost = measure_output_error<F>(encoder, rows, known, known.judge());
            });
            return {{lost}};
        }
    }

    // Of noise of the size 1.
    [[nodiscard]] output_error noise_error(std::uint64_t row, matrix_view rows, const matrix_knowledge& known) const {
        std::vector<float> errors(rows.values().begin(), rows.values().end());
        noise{1.0}(info_, row, errors);
        for (std::size_t i = 0; i < errors.size(); ++i) errors[i] -= rows.values()[i];
        return energy_of({errors, rows.columns()}, known.judge());
    }

    // An error of the sampled rows as a part of their own outputs.
    [[nodiscard]] double relative(double outputs) const {
        return tried_rows_.outputs > 0 ? std::sqrt(outputs / tried_rows_.outputs) : 0.0;
    }

    // Rounds a row as a format and the encoder do.
    [[nodiscard]] auto stored_edit(const type_layout& layout) const {
        return [this, layout](std::uint64_t, const matrix_knowledge& known, std::span<float> row) {
            Formats::dispatch(layout.id, [&]<class F>(format_tag<F>) {
                std::vector<typename F::block> blocks(row.size() / F::block_size);
                with_encoder(encoder_, known, [&](const auto& encoder) {
                    encode_rows<F>(encoder, {row, row.size()}, known, std::span(blocks));
                });
                decode_blocks<F>(blocks, row);
            });
        };
    }

    // The relative error that an edit makes in rows evenly spread over the tensor. Each column is weighted by its
    // importance, each matrix by the tokens that reach it.
    template <class Edit>
    [[nodiscard]] double sampled(const Edit& edit) const {
        weight_error sums;
        std::vector<float> original(info_.columns()), edited;
        const std::uint64_t wanted = std::max<std::uint64_t>(8, options_.sample_weights / info_.columns());
        const std::uint64_t count = std::min(wanted, info_.rows());
        const bool has_tokens = std::ranges::any_of(known_, [](const matrix_knowledge& k) { return k.tokens > 0; });
        for (std::uint64_t i = 0; i < count; ++i) {
            const std::uint64_t row = (2 * i + 1) * info_.rows() / (2 * count);
            const matrix_knowledge& known = known_[row / info_.dims[1]];
            source_.read(stored_, row, 1, std::span(original));
            edited = original;
            edit(row, known, std::span(edited));
            weight_error of_row;
            of_row.add_row(original, edited, known.importance);
            const double tokens = has_tokens ? static_cast<double>(known.tokens) : 1.0;
            sums += {tokens * of_row.squared_error, tokens * of_row.squared_norm};
        }
        return sums.relative();
    }

    const Source& source_;
    tensor_info stored_, info_;
    const Encoder& encoder_;
    trial_options options_;
    std::vector<matrix_knowledge> known_;  // by matrix, where inputs are not known
    std::map<type_id, sums> by_format_;
    output_error tried_rows_, noise_;  // of the rows tried as they are, and of noise of the size 1 in them
};

}  // namespace tessera
