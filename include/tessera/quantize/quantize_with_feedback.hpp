// Quantization with error feedback: calibration, encoding and writing in one pass over the model, input by input.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tessera/calibrate/importance_table.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/core/parallel.hpp"
#include "tessera/core/progress.hpp"
#include "tessera/decoder/model.hpp"
#include "tessera/decoder/observer.hpp"
#include "tessera/encode/error_feedback.hpp"
#include "tessera/encode/gram_factor.hpp"
#include "tessera/quantize/encoder_trial.hpp"
#include "tessera/quantize/feedback_report.hpp"
#include "tessera/quantize/feedback_text.hpp"
#include "tessera/quantize/quantize.hpp"
#include "tessera/select/plan.hpp"
#include "tessera/select/tied_table.hpp"
#include "tessera/tensor/concepts.hpp"

namespace tessera {

struct feedback_options {
    int threads = 0;  ///< 0: all of the machine's
    feedback_settings settings = {};
    /// Those that no token reached are encoded by `weighted` with these importances or, where there are none, the
    /// others'.
    rare_experts rare = {};
};

namespace detail {

// Encodes what the decoder shows. The Gram matrices of one input live at a time: those of the text used and of the text
// held back, and the factor of the first.
template <class Formats, tensor_source Source, tensor_sink Sink>
class feedback_pass {
public:
    feedback_pass(const Source& source, const select::plan& plan, Sink& sink, std::size_t used_tokens,
                  const feedback_options& options, progress_callback report)
        : plan_(plan),
          writer_{source, sink},
          used_tokens_(used_tokens),
          options_(options),
          callback_(report),
          reports_(plan.choices.size()),
          is_done_(plan.choices.size()),
          importances_(plan.choices.size()) {
        for (std::size_t t = 0; t < plan.choices.size(); ++t) {
            is_done_[t].resize(plan.choices[t].target.dims[2] * plan.choices[t].target.dims[3]);
            total_ += plan.choices[t].target.weights();
        }
    }

    // An input_observer: encodes the matrices that get this input.
    void operator()(const decoder::linear_input& input) {
        if (waits_for(input)) encode(input, learn(input));
    }

    // What the input teaches. Some matrix has to wait for it.
    [[nodiscard]] learned_input learn(const decoder::linear_input& input) const {
        return detail::learn(input, used_rows(input, used_tokens_), options_.rare,
                             options_.settings.factor(matrices_with(input).front().is_table, options_.threads));
    }

    void encode(const decoder::linear_input& input, const learned_input& learned) {
        for (const matrix_of& m : matrices_with(input)) {
            is_done_[m.tensor][m.matrix] = true;
            encode(m, learned);
        }
    }

    // Whether some matrix waits for this input, and can learn from it.
    [[nodiscard]] bool waits_for(const decoder::linear_input& input) const {
        return used_rows(input, used_tokens_) > 0 && !matrices_with(input).empty();
    }

    // Encodes those of the matrices that get this input whose weights lie on the format's grid.
    void write_exact(const decoder::linear_input& input) {
        for (const matrix_of& m : matrices_with(input)) {
            if (!is_exact(m)) continue;
            is_done_[m.tensor][m.matrix] = true;
            ++reports_[m.tensor].weighted;
            write(m, {}, weighted{});
        }
    }

    // Writes everything that no input was shown for.
    void write_rest() {
        for (std::size_t t = 0; t < plan_.choices.size(); ++t) write_rest(t);
    }

    // The same of one tensor.
    void write_rest(std::size_t tensor) {
        for (std::size_t matrix = 0; matrix < is_done_[tensor].size(); ++matrix) {
            if (is_done_[tensor][matrix]) continue;
            is_done_[tensor][matrix] = true;
            write({tensor, matrix, false}, importances_of(tensor, matrix), weighted{});
            if (plan_.choices[tensor].is_encoded()) ++reports_[tensor].weighted;
        }
    }

    [[nodiscard]] std::vector<feedback_report> take_reports() { return std::move(reports_); }

private:
    struct matrix_of {
        std::size_t tensor;  // in the plan
        std::size_t matrix;  // of its stack
        bool is_table;       // embedding and output at once
        [[nodiscard]] bool operator==(const matrix_of&) const = default;
    };

    // Of a matrix that no input was shown for.
    [[nodiscard]] std::span<const float> importances_of(std::size_t tensor, std::size_t matrix) const {
        const bool is_stack = is_done_[tensor].size() > 1;
        if (is_stack && options_.rare.importances != nullptr)
            if (const auto known = options_.rare.importances->find(plan_.choices[tensor].target, matrix);
                !known.empty())
                return known;
        return importances_[tensor];
    }

    // The matrices of the plan that get this input, and are not done. Slices of one come several times.
    [[nodiscard]] std::vector<matrix_of> matrices_with(const decoder::linear_input& input) const {
        std::vector<matrix_of> found;
        for (const decoder::linear* layer : input.shared) {
            const std::string& name = layer->tensor->name;
            const auto matrix = static_cast<std::size_t>(layer->first_row / layer->tensor->dims[1]);
            // A table that the plan writes twice is an output under that name only.
            const bool written_twice =
                std::ranges::any_of(plan_.choices, [&](const auto& c) { return c.made_from == name; });
            for (std::size_t t = 0; t < plan_.choices.size(); ++t) {
                const select::choice& choice = plan_.choices[t];
                if (choice.source_name() != name || is_done_[t][matrix] || !choice.is_encoded()) continue;
                if (written_twice && choice.made_from.empty()) continue;
                const matrix_of m{t, matrix, choice.target.name == select::embedding_name};
                if (std::ranges::find(found, m) == found.end()) found.push_back(m);
            }
        }
        return found;
    }

    void encode(const matrix_of& m, const learned_input& learned) {
        const gram_factor& factor = learned.factor;
        feedback_report& report = reports_[m.tensor];
        report.most_damping = std::max(report.most_damping, factor.damping());
        report.least_coupling = std::min(report.least_coupling, factor.coupling());
        std::vector<float>& importances = importances_[m.tensor];  // their sum: of use for experts without tokens
        importances.resize(factor.columns());
        for (std::size_t c = 0; c < factor.columns(); ++c) importances[c] += factor.importance()[c];

        const error_feedback feedback{factor, options_.settings.refits};
        // Text that was learned from tells weights on the format's grid, which `weighted` keeps as they are, at least.
        const bool is_judged = learned.held_back.size() > 0;
        const auto [without, with] = sample_errors(m, feedback, is_judged ? learned.held_back : learned.seen);
        if (is_judged) {
            report.held_back_weighted += without;
            report.held_back_feedback += with;
        }
        if (with < without) {
            ++report.with_feedback;
            write(m, factor.importance(), feedback);
        } else {
            ++report.weighted;
            write(m, factor.importance(), weighted{});
        }
    }

    static constexpr std::size_t tile_rows = error_feedback::rows_at_once;

    // The rows of a matrix that encoders are tried on.
    [[nodiscard]] std::vector<std::size_t> sample_tiles(const matrix_of& m) const {
        return spread_tiles(plan_.choices[m.tensor].target.dims[1], 4);
    }
    struct row_tile {
        std::uint64_t first_row;
        std::vector<float> weights;
    };
    [[nodiscard]] row_tile read_tile(const matrix_of& m, std::size_t first) const {
        const select::choice& choice = plan_.choices[m.tensor];
        const std::size_t rows = choice.target.dims[1], count = std::min(tile_rows, rows - first);
        row_tile tile{m.matrix * rows + first, std::vector<float>(count * choice.target.columns())};
        writer_.read(writer_.stored(choice), tile.first_row, count, tile.weights);
        return tile;
    }

    // Whether `weighted` loses nothing.
    [[nodiscard]] bool is_exact(const matrix_of& m) const {
        return std::ranges::all_of(sample_tiles(m), [&](std::size_t first) {
            row_tile tile = read_tile(m, first);
            std::vector<std::byte> bytes;
            return encode_rows<Formats>(plan_.choices[m.tensor].target, tile.first_row, tile.weights, {}, weighted{},
                                        bytes)
                       .plain.squared_error == 0;
        });
    }

    // What rows of the matrix, 256 at most, lose on the text held back: with `weighted`, and with feedback.
    [[nodiscard]] std::array<double, 2> sample_errors(const matrix_of& m, const error_feedback& feedback,
                                                      const decoder::matrix& gram) const {
        const select::choice& choice = plan_.choices[m.tensor];
        const std::vector<std::size_t> tiles = sample_tiles(m);
        std::vector<std::array<double, 2>> errors(tiles.size());
        const decoder::serial_products guard;
        parallel_for(tiles.size(), options_.threads, [&](std::size_t i) {
            row_tile tile = read_tile(m, tiles[i]);
            const auto outputs = [&](const auto& encoder) {
                return try_encoder<Formats>(choice.target, tile.first_row, tile.weights, feedback.factor.importance(),
                                            encoder, gram)
                    .outputs;
            };
            errors[i] = {outputs(weighted{}), outputs(feedback)};
        });
        std::array<double, 2> sums{};
        for (const auto& [without, with] : errors) {
            sums[0] += without;
            sums[1] += with;
        }
        return sums;
    }

    // Encodes or copies a matrix to the sink.
    template <class Encoder>
    void write(const matrix_of& m, std::span<const float> importance, const Encoder& encoder) {
        const select::choice& choice = plan_.choices[m.tensor];
        const std::size_t rows = choice.target.dims[1];
        std::vector<encoding_error> errors((rows + tile_rows - 1) / tile_rows);
        const decoder::serial_products guard;
        parallel_for(errors.size(), options_.threads, [&](std::size_t i) {
            const std::size_t first = i * tile_rows, count = std::min(tile_rows, rows - first);
            errors[i] = writer_.write(choice, m.matrix * rows + first, count, importance, encoder);
            if (!callback_) return;
            const std::lock_guard lock(reporting_);
            done_ += count * choice.target.columns();
            callback_({.stage = "quantize", .unit = "weights", .done = done_, .total = total_});
        });
        for (const encoding_error& error : errors) reports_[m.tensor].error += error;
    }

    const select::plan& plan_;
    row_writer<Formats, Source, Sink> writer_;
    std::size_t used_tokens_;
    feedback_options options_;
    progress_callback callback_;
    std::vector<feedback_report> reports_;
    std::vector<std::vector<bool>> is_done_;       // tensor, matrix
    std::vector<std::vector<float>> importances_;  // tensor, column: sums over the matrices done
    std::mutex reporting_;
    std::uint64_t done_ = 0, total_ = 0;
};

}  // namespace detail

/// Writes every tensor of `source` to `sink` in the type the plan gives it, as quantize_model does, but with error
/// feedback where a matrix's inputs are known: the text goes through the model layer by layer, and a matrix is encoded
/// when its input is there. Of the text held back each matrix keeps the encoder, feedback or `weighted`, that loses
/// less on it, judged by up to 256 of its rows. Returns a report per tensor, in the plan's order.
///
/// Memory is the activations of the text, and less than four floats per pair of columns of one input. The bytes written
/// depend on source, plan, text and options only. Throws as quantize_model and the decoder do; the sink is then not
/// finished.
template <class Formats = builtin_formats, tensor_source Source, tensor_sink Sink>
std::vector<feedback_report> quantize_with_feedback(const Source& source, const select::plan& plan,
                                                    const metadata& properties, const feedback_text& text, Sink& sink,
                                                    const feedback_options& options = {},
                                                    progress_callback report = {}) {
    const std::vector<tensor_info> targets = plan.targets();
    const decoder::model<Source> decoder(source, decoder::model_options{.threads = options.threads});
    decoder::activations state = decoder.embed(text.tokens(), text.window);
    sink.begin(std::span<const tensor_info>(targets), properties);

    detail::feedback_pass<Formats, Source, Sink> pass(source, plan, sink, text.used.size(), options, report);
    for (std::size_t l = 0; l < decoder.spec().layers.size(); ++l) decoder.run_layer(l, state, pass);
    decoder.observe_output(state.view(), pass);
    pass.write_rest();
    sink.finish();
    return pass.take_reports();
}

}  // namespace tessera
