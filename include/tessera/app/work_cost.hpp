// What the long parts of the verbs have to compute, from a model's shapes and a number of tokens alone.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

#include "tessera/core/block_index.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/core/tied_table.hpp"
#include "tessera/decoder/matrix_inputs.hpp"
#include "tessera/decoder/model_metadata.hpp"
#include "tessera/decoder/model_spec.hpp"
#include "tessera/decoder/token_work.hpp"
#include "tessera/select/rules.hpp"

namespace tessera::app {

/// Amounts of the kinds of work that take time.
struct work_cost {
    double products = 0;  ///< floating-point operations of products of activations and weights, of attention too
    double moments = 0;   ///< the same of sums of x x' and x y'
    double factors = 0;   ///< the same of triangular factors and solutions
    double searched = 0;  ///< weights encoded with `weighted`
    double fed_back = 0;  ///< weights encoded with error feedback, times what their width makes of it (see below)
    double compared = 0;  ///< logits compared with a reference's
    double tried = 0;     ///< sampled weights of which the errors of all formats are found

    work_cost& operator+=(const work_cost& other) noexcept {
        products += other.products;
        moments += other.moments;
        factors += other.factors;
        searched += other.searched;
        fed_back += other.fed_back;
        compared += other.compared;
        tried += other.tried;
        return *this;
    }
    [[nodiscard]] friend work_cost operator*(double n, const work_cost& one) noexcept {
        return {n * one.products, n * one.moments,  n * one.factors, n * one.searched,
                n * one.fed_back, n * one.compared, n * one.tried};
    }
    [[nodiscard]] friend work_cost operator+(work_cost a, const work_cost& b) noexcept { return a += b; }
};

/// The shapes of a model that cost depends on.
class model_work {
public:
    /// Throws when the decoder does not know the model.
    model_work(std::span<const tensor_info> tensors, const metadata& properties) {
        const decoder::model_spec spec = decoder::make_model_spec(properties);
        const double used_share = spec.experts.used_share();
        const std::vector<double> of_token = decoder::token_work(tensors, spec.layers.size(), used_share);
        layers_ = decoder::work_of_layers(of_token);
        of_layers_.assign(of_token.begin(), of_token.end() - 1);
        output_ = of_token.back();
        vocabulary_ = static_cast<double>(spec.vocabulary);
        width_ = static_cast<double>(spec.width);
        if (tied_table(tensors) != nullptr) ++subjects_;  // embedding and output
        heads_ = static_cast<double>(spec.heads * (spec.head_size + spec.value_size) * spec.layers.size());

        for (const tensor_info& info : tensors) {
            const auto layer = block_index(info.name);
            if (info.name == embedding_name || info.name == output_name) ++subjects_;
            if (!layer || *layer >= spec.layers.size() || select::stays_full_precision(info)) continue;
            const double weights = static_cast<double>(info.weights()), columns = static_cast<double>(info.columns());
            const double matrices = static_cast<double>(matrix_count(info));
            ++subjects_;
            weights_ += weights;
            widened_ += weights * feedback_widening(columns);
            if (matrices == 1) moved_ += weights * columns;
        }
        for (const decoder::matrix_input& input : decoder::matrix_inputs(tensors)) {
            if (input.layer >= spec.layers.size()) continue;
            const auto columns = static_cast<double>(input.columns), matrices = static_cast<double>(input.matrices);
            moments_ += (input.matrices > 1 ? matrices * used_share : 1.0) * columns * columns;
            factors_ += matrices * columns * columns * columns;
            if (input.matrices == 1) {
                dense_moments_ += columns * columns;
                solves_ += columns * columns * columns;
            }
        }
    }

    /// Numbers of a hidden state.
    [[nodiscard]] double width() const noexcept { return width_; }

    /// Multiply-adds with the weights of all layers, as decoder::token_work counts them.
    [[nodiscard]] double pass(std::uint64_t tokens) const noexcept { return layers_ * static_cast<double>(tokens); }

    /// What a damage table has an entry for, borrowed ones left out.
    [[nodiscard]] std::size_t subjects() const noexcept { return subjects_; }

    /// How much of a pass the first so many layers are.
    [[nodiscard]] double share_of(std::size_t first_layers) const noexcept {
        const auto end = of_layers_.begin() + static_cast<std::ptrdiff_t>(std::min(first_layers, of_layers_.size()));
        return layers_ > 0 ? std::accumulate(of_layers_.begin(), end, 0.0) / layers_ : 0.0;
    }

    /// All layers, without the output.
    [[nodiscard]] work_cost forward(double tokens, double window) const {
        return {.products = 2.0 * tokens * (layers_ + heads_ * window / 2.0)};
    }
    /// The output for positions that are scored.
    [[nodiscard]] work_cost logits(double positions) const { return {.products = 2.0 * positions * output_}; }

    /// Encoding by importances.
    [[nodiscard]] work_cost search() const { return {.searched = weights_ + output_}; }

    /// Error feedback, with `weighted` beside it and a judge, for texts of so many tokens.
    [[nodiscard]] work_cost feedback(double tokens, double window) const {
        return forward(tokens, window) +
               work_cost{
                   .moments = tokens * moments_, .factors = factors_, .searched = weights_, .fed_back = widened_} +
               work_cost{.products = 4.0 * moved_};  // e H e' of two candidates
    }
    /// The same on the inputs that quantized layers leave.
    [[nodiscard]] work_cost quantized_feedback(double tokens, double window) const {
        return feedback(tokens, window) + forward(tokens, window) +
               work_cost{.products = 2.0 * moved_, .moments = 2.2 * tokens * dense_moments_, .factors = 2.0 * solves_};
    }

    /// A damage table on so many tokens with `points` measurements of every tensor, for an encoder that learns from
    /// `text_tokens` tokens; 0: for one by importances.
    [[nodiscard]] work_cost damage(double tokens, double window, double points, double text_tokens) const {
        const double scored = tokens / 2.0, edits = static_cast<double>(subjects_) * points;
        work_cost all = 2.0 * forward(tokens, window) + logits(scored);
        all += (edits / 2.0) * forward(tokens, window);
        all += edits * (logits(scored) + work_cost{.compared = scored * vocabulary_});
        all += work_cost{.searched = points * weights_, .tried = static_cast<double>(subjects_) * sampled_weights};
        if (text_tokens > 0) all += feedback(text_tokens, window) + work_cost{.fed_back = (points - 1.0) * widened_};
        return all;
    }

    /// The predictions of two models that have run over a text, compared.
    [[nodiscard]] work_cost comparison(double tokens) const {
        const double scored = tokens / 2.0;
        return 2.0 * logits(scored) + work_cost{.compared = scored * vocabulary_};
    }

    /// So many passes of models in the formats of plans, each compared with the original.
    [[nodiscard]] work_cost plans(double tokens, double window, double passes) const {
        const double scored = tokens / 2.0;
        return passes * (forward(tokens, window) + logits(scored) + work_cost{.compared = scored * vocabulary_}) +
               search();
    }

    /// Error feedback takes so many times longer in rows of this width than in narrow ones: beside rounding, every
    /// column's error moves all columns after it.
    [[nodiscard]] static constexpr double feedback_widening(double columns) noexcept { return 1.0 + columns / 1500.0; }

private:
    static constexpr double sampled_weights = 65536;

    double layers_ = 0, output_ = 0;  // multiply-adds of a token
    std::vector<double> of_layers_;
    double heads_ = 0;  // numbers of all layers' queries and values
    double vocabulary_ = 0, width_ = 0;
    double weights_ = 0;                // of layers
    double widened_ = 0;                // weights times feedback_widening
    double moved_ = 0;                  // weights times columns, of matrices that are no experts
    double moments_ = 0, factors_ = 0;  // squares and cubes of inputs' widths
    double dense_moments_ = 0, solves_ = 0;
    std::size_t subjects_ = 0;
};

}  // namespace tessera::app
