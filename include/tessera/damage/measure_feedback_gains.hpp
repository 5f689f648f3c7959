// Finding out what error feedback saves, so that plans can count on it.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/core/parallel.hpp"
#include "tessera/core/progress.hpp"
#include "tessera/damage/feedback_gains.hpp"
#include "tessera/decoder/model.hpp"
#include "tessera/decoder/observer.hpp"
#include "tessera/encode/error_feedback.hpp"
#include "tessera/quantize/encoder_trial.hpp"
#include "tessera/quantize/feedback_text.hpp"
#include "tessera/select/menu.hpp"
#include "tessera/select/rules.hpp"
#include "tessera/select/tied_table.hpp"
#include "tessera/tensor/concepts.hpp"

namespace tessera {

struct feedback_gains_options {
    int threads = 0;  ///< 0: all of the machine's
    feedback_settings settings = {};
    rare_experts rare = {};
    std::size_t tiles = 2;  ///< of 64 rows, that are tried of each tensor, from as many matrices of a stack
};

namespace detail {

// An input_observer.
template <class Formats, tensor_source Source>
class gains_pass {
public:
    gains_pass(const Source& source, std::size_t used_tokens, const select::menu& menu,
               std::span<const type_layout> fallback, const feedback_gains_options& options)
        : source_(source), used_tokens_(used_tokens), menu_(menu), fallback_(fallback), options_(options) {}

    void operator()(const decoder::linear_input& input) {
        const Eigen::Index used = used_rows(input, used_tokens_);
        if (used == 0 || used == input.rows.rows()) return;
        const decoder::linear& first = *input.shared.front();
        const auto matrix = static_cast<std::size_t>(first.first_row / first.tensor->dims[1]);
        std::vector<const tensor_info*> tensors;  // slices of one come several times
        for (const decoder::linear* layer : input.shared)
            if (!select::stays_full_precision(*layer->tensor) &&
                std::ranges::find(tensors, layer->tensor) == tensors.end())
                tensors.push_back(layer->tensor);
        std::erase_if(tensors, [&](const tensor_info* t) { return !is_sampled(matrix, t->dims[2] * t->dims[3]); });
        if (tensors.empty()) return;

        const learned_input learned =
            learn(input, used, options_.rare, options_.settings.factor(is_table(*tensors.front()), options_.threads));
        for (const tensor_info* tensor : tensors)
            try_formats(*tensor, matrix, {learned.factor, options_.settings.refits}, learned.held_back);
    }

    [[nodiscard]] feedback_gains gains() const {
        feedback_gains gains;
        for (const tried_tensor& tensor : tried_) {
            auto& outputs = gains.tensors.emplace_back(feedback_gains::tensor_gains{tensor.info.name});
            feedback_gains::tensor_gains embeddings{tensor.info.name};
            for (const tried_format& f : tensor.formats) {
                const bool is_better = f.feedback.outputs < f.weighted.outputs;  // or else it is not used
                outputs.formats.push_back(
                    {f.layout, is_better ? std::sqrt(f.feedback.outputs / f.weighted.outputs) : 1.0});
                embeddings.formats.push_back(
                    {f.layout, is_better ? std::sqrt(f.feedback.weights / f.weighted.weights) : 1.0});
            }
            if (!is_table(tensor.info)) continue;
            outputs.name = select::output_name;
            gains.tensors.push_back(std::move(embeddings));
        }
        return gains;
    }

private:
    struct tried_format {
        type_layout layout;
        trial_errors weighted{}, feedback{};
    };
    struct tried_tensor {
        tensor_info info;
        std::vector<tried_format> formats{};
    };

    [[nodiscard]] static bool is_table(const tensor_info& info) { return info.name == select::embedding_name; }
    // As many matrices of a stack as there are tiles to try.
    [[nodiscard]] bool is_sampled(std::size_t matrix, std::size_t matrices) const {
        return matrix % std::max<std::size_t>(1, matrices / options_.tiles) == 0;
    }

    [[nodiscard]] std::vector<tried_format>& formats_of(const tensor_info& tensor) {
        const auto known = std::ranges::find(tried_, tensor.name, [](const tried_tensor& t) { return t.info.name; });
        if (known != tried_.end()) return known->formats;
        tried_tensor& added = tried_.emplace_back(tried_tensor{tensor});
        for (const type_layout& layout : menu_.of(tensor, fallback_))
            if (layout.block_size > 1 && layout.id != tensor.type()) added.formats.push_back({layout});
        return added.formats;
    }

    void try_formats(const tensor_info& tensor, std::size_t matrix, const error_feedback& feedback,
                     const decoder::matrix& gram) {
        std::vector<tried_format>& formats = formats_of(tensor);
        const std::size_t columns = tensor.columns(), rows = tensor.dims[1];
        const bool is_stack = tensor.dims[2] * tensor.dims[3] > 1;
        for (const std::size_t tile : spread_tiles(rows, is_stack ? 1 : options_.tiles)) {
            const std::size_t count = std::min(error_feedback::rows_at_once, rows - tile);
            const std::uint64_t first_row = matrix * rows + tile;
            std::vector<float> weights(count * columns);
            source_.read(tensor, first_row, count, weights);
            const decoder::serial_products guard;
            parallel_for(formats.size(), options_.threads, [&](std::size_t f) {
                tensor_info target = tensor;
                target.layout = formats[f].layout;
                const auto errors = [&](const auto& encoder) {
                    return try_encoder<Formats>(target, first_row, weights, feedback.factor.importance(), encoder,
                                                gram);
                };
                formats[f].weighted += errors(weighted{});
                formats[f].feedback += errors(feedback);
            });
        }
    }

    const Source& source_;
    std::size_t used_tokens_;
    const select::menu& menu_;
    std::span<const type_layout> fallback_;
    feedback_gains_options options_;
    std::vector<tried_tensor> tried_;
};

}  // namespace detail

/// Tries every format of the menu on some rows of every matrix, with feedback and without, as the text goes through the
/// model. Nothing is learned without text held back. Memory is the activations of the text, and less than four floats
/// per pair of columns of one input. Throws as the decoder does.
template <class Formats = builtin_formats, tensor_source Source>
[[nodiscard]] feedback_gains measure_feedback_gains(const Source& source, const feedback_text& text,
                                                    const select::menu& menu, std::span<const type_layout> fallback,
                                                    const feedback_gains_options& options = {},
                                                    progress_callback report = {}) {
    const decoder::model<Source> decoder(source, decoder::model_options{.threads = options.threads});
    decoder::activations state = decoder.embed(text.tokens(), text.window);
    detail::gains_pass<Formats, Source> pass(source, text.used.size(), menu, fallback, options);
    const std::size_t layers = decoder.spec().layers.size();
    for (std::size_t l = 0; l <= layers; ++l) {
        if (l < layers)
            decoder.run_layer(l, state, pass);
        else
            decoder.observe_output(state.view(), pass);
        if (report) report({.stage = "try error feedback", .unit = "layers", .done = l + 1, .total = layers + 1});
    }
    return pass.gains();
}

}  // namespace tessera
