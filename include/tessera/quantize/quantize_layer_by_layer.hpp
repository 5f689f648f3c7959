// Error feedback that knows what was lost before: layers learn from the outputs of the layers already quantized.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tessera/calibrate/compensation.hpp"
#include "tessera/core/block_index.hpp"
#include "tessera/core/bytes.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/core/progress.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/decoder/matrix.hpp"
#include "tessera/decoder/model.hpp"
#include "tessera/decoder/observer.hpp"
#include "tessera/format/builtin.hpp"
#include "tessera/quantize/encoder_trial.hpp"
#include "tessera/quantize/feedback_report.hpp"
#include "tessera/quantize/feedback_text.hpp"
#include "tessera/quantize/quantize_with_feedback.hpp"
#include "tessera/select/plan.hpp"
#include "tessera/select/tied_table.hpp"
#include "tessera/tensor/concepts.hpp"
#include "tessera/tensor/overlay_source.hpp"

namespace tessera {

namespace detail {

// A source whose rows are moved, all by the same matrix: w becomes w + w M.
template <tensor_source Source>
class moved_source {
public:
    explicit moved_source(const Source& base) : base_(base) {}
    void move_by(decoder::matrix m) { move_ = std::move(m); }  // an empty one moves nothing

    [[nodiscard]] std::span<const tensor_info> tensors() const { return base_.tensors(); }
    [[nodiscard]] const tessera::metadata& metadata() const { return base_.metadata(); }
    void read(const tensor_info& info, std::uint64_t first_row, std::uint64_t rows, std::span<float> out) const {
        base_.read(info, first_row, rows, out);
        if (move_.size() == 0) return;
        decoder::matrix_map weights(out.data(), static_cast<Eigen::Index>(rows), move_.rows());
        const decoder::matrix moves = weights * move_;
        weights += moves;
    }
    // What is copied is not moved.
    [[nodiscard]] byte_view packed(const tensor_info& info, std::uint64_t first_row, std::uint64_t rows) const
    requires packed_tensor_source<Source>
    {
        return base_.packed(info, first_row, rows);
    }
    [[nodiscard]] std::vector<std::byte> repacked(const tensor_info& info, std::uint64_t first_row,
                                                  std::uint64_t rows) const
    requires requires { std::declval<const Source&>().repacked(info, first_row, rows); }
    {
        return base_.repacked(info, first_row, rows);
    }
    void release(const tensor_info& info, std::uint64_t first_row, std::uint64_t rows) const
    requires requires { std::declval<const Source&>().release(info, first_row, rows); }
    {
        base_.release(info, first_row, rows);
    }

private:
    const Source& base_;
    decoder::matrix move_;
};

// A sink that puts what is written of some tensors into an overlay, too.
template <class Formats, tensor_source Source, tensor_sink Sink>
class overlaid_sink {
public:
    overlaid_sink(overlay_source<Source>& overlay, Sink& sink) : overlay_(overlay), sink_(sink) {}

    // From now on reading `source`, a tensor of the overlay's base, gives what was written of it as `target`, and the
    // base's rows where nothing was.
    void overlay(const tensor_info& source, const tensor_info& target) {
        written_rows& written = written_[target.name];
        written = {&source, target, std::vector<std::byte>(target.bytes()), std::vector<char>(target.rows())};
        overlay_.replace(source, [this, &written](const tensor_info& info, std::uint64_t first_row, std::uint64_t rows,
                                                  std::span<float> out) {
            for (std::uint64_t r = 0; r < rows; ++r)
                read_row(written, info, first_row + r, out.subspan(r * info.columns(), info.columns()));
        });
    }
    void remove_overlays() {
        for (const auto& [name, written] : written_) overlay_.replace(*written.source, {});
        written_.clear();
    }

    void begin(std::span<const tensor_info> infos, const metadata& properties) { sink_.begin(infos, properties); }
    void write(const tensor_info& info, std::uint64_t first_row, byte_view bytes) {
        sink_.write(info, first_row, bytes);
        const auto found = written_.find(info.name);
        if (found == written_.end()) return;
        written_rows& written = found->second;
        std::memcpy(written.bytes.data() + first_row * info.row_bytes(), bytes.data(), bytes.size());
        std::fill_n(written.is_there.begin() + static_cast<std::ptrdiff_t>(first_row), bytes.size() / info.row_bytes(),
                    char{1});
    }
    void finish() { sink_.finish(); }

private:
    struct written_rows {
        const tensor_info* source;
        tensor_info target;
        std::vector<std::byte> bytes;
        std::vector<char> is_there;  // by row; threads write to different ones
    };

    void read_row(const written_rows& written, const tensor_info& info, std::uint64_t row, std::span<float> out) const {
        if (!written.is_there[row]) return overlay_.base().read(info, row, 1, out);
        const std::size_t size = written.target.row_bytes();
        Formats::decode(written.target.type(), byte_view(written.bytes).subspan(row * size, size), out);
    }

    overlay_source<Source>& overlay_;
    Sink& sink_;
    std::map<std::string, written_rows> written_;
};

}  // namespace detail

/// As quantize_with_feedback, but every layer learns from the inputs that the quantized layers before it leave, and
/// aims at the outputs that the original weights give for the original inputs: weights are moved, before they are
/// rounded, by what makes most of the difference good. Experts are not moved and learn from the original inputs, since
/// the quantized ones may take other tokens. Errors in the reports are against the moved weights.
///
/// Weights that lie on their format's grid stay as they are. A table that is embedding and output at once is encoded
/// last: the layers see it as it was.
///
/// Memory is twice the activations of the text, the inputs of a layer, and its packed tensors. Time is about twice.
template <class Formats = builtin_formats, tensor_source Source, tensor_sink Sink>
std::vector<feedback_report> quantize_layer_by_layer(const Source& source, const select::plan& plan,
                                                     const metadata& properties, const feedback_text& text, Sink& sink,
                                                     const feedback_options& options = {},
                                                     progress_callback report = {}) {
    using overlaid = detail::overlaid_sink<Formats, Source, Sink>;
    using moved_source = detail::moved_source<Source>;
    overlay_source<Source> quantized(source);
    const decoder::model<Source> original_model(source, decoder::model_options{.threads = options.threads});
    const decoder::model<overlay_source<Source>> quantized_model(quantized,
                                                                 decoder::model_options{.threads = options.threads});
    const std::vector<std::int32_t> tokens = text.tokens();
    decoder::activations original_state = original_model.embed(tokens, text.window);

    const std::vector<tensor_info> targets = plan.targets();
    overlaid out(quantized, sink);
    moved_source moved(source);
    out.begin(std::span<const tensor_info>(targets), properties);
    detail::feedback_pass<Formats, moved_source, overlaid> pass(moved, plan, out, text.used.size(), options, report);

    const auto overlay = [&](auto is_chosen) {
        out.remove_overlays();
        for (std::size_t t = 0; t < source.tensors().size(); ++t)
            if (plan.choices[t].is_encoded() && is_chosen(targets[t])) out.overlay(source.tensors()[t], targets[t]);
    };
    const auto embedding = std::ranges::find(targets, select::embedding_name, &tensor_info::name);
    const bool has_output = std::ranges::find(targets, select::output_name, &tensor_info::name) != targets.end();
    if (embedding != targets.end() && has_output) {
        overlay([](const tensor_info& info) { return info.name == select::embedding_name; });
        pass.write_rest(static_cast<std::size_t>(embedding - targets.begin()));
    }
    decoder::activations quantized_state = quantized_model.embed(tokens, text.window);

    struct original_input {
        std::string tensor;
        std::uint64_t first_row;
        decoder::matrix rows;
    };
    std::vector<original_input> inputs;  // of the layer at work
    const auto remember = [&](const decoder::linear_input& input) {
        const decoder::linear& first = *input.shared.front();
        if (!input.routed.empty()) return pass(input);
        if (pass.waits_for(input)) inputs.push_back({first.tensor->name, first.first_row, input.rows});
    };
    const auto encode = [&](const decoder::linear_input& input) {
        const decoder::linear& first = *input.shared.front();
        const auto original = std::ranges::find_if(inputs, [&](const original_input& other) {
            return other.tensor == first.tensor->name && other.first_row == first.first_row;
        });
        if (!input.routed.empty() || original == inputs.end()) return;
        pass.write_exact(input);
        if (!pass.waits_for(input)) return;
        const detail::learned_input learned = pass.learn(input);
        if (has_output || first.tensor->name != select::embedding_name)  // an embedding is not to be moved
            moved.move_by(compensation(original->rows, input.rows, detail::used_rows(input, text.used.size()),
                                       learned.seen, options.settings.damping, options.threads));
        pass.encode(input, learned);
        moved.move_by({});
        inputs.erase(original);
    };
    for (std::size_t l = 0; l < original_model.spec().layers.size(); ++l) {
        overlay([l](const tensor_info& info) { return block_index(info.name) == l; });
        inputs.clear();
        original_model.run_layer(l, original_state, remember);
        quantized_model.run_layer(l, quantized_state, encode);
    }
    out.remove_overlays();
    inputs.clear();
    original_model.observe_output(original_state.view(), remember);
    quantized_model.observe_output(quantized_state.view(), encode);
    pass.write_rest();
    out.finish();
    return pass.take_reports();
}

}  // namespace tessera
