// What the long parts of the verbs have to compute, from a model's shapes and a number of tokens alone.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

#include "tessera/app/amounts.hpp"
#include "tessera/app/options.hpp"
#include "tessera/core/block_index.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/core/tied_table.hpp"
#include "tessera/damage/measuring_design.hpp"
#include "tessera/decoder/matrix_inputs.hpp"
#include "tessera/decoder/model_metadata.hpp"
#include "tessera/decoder/model_spec.hpp"
#include "tessera/decoder/token_work.hpp"
#include "tessera/select/rules.hpp"

namespace tessera::app {

/// Amounts of the kinds of work that take time.
struct work_cost {
    double products = 0;  ///< floating-point operations of products of activations and weights, of attention too
    double moments = 0;   ///< the same of sums of x x' and x y', and of decompositions and solutions
    double factors = 0;   ///< pairs of columns of triangular factors, for what these take beside
    double searched = 0;  ///< weights encoded with `weighted`
    double fed_back = 0;  ///< weights encoded with error feedback, without what moves the columns after them
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
        groups_ = measuring_groups(tensors, spec);
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
            moves_ += weights * columns;
            if (matrices == 1) dense_moves_ += weights * columns;
        }
        std::vector<double> inputs(spec.layers.size());
        for (const decoder::matrix_input& input : decoder::matrix_inputs(tensors)) {
            if (input.layer >= spec.layers.size()) continue;
            const auto columns = static_cast<double>(input.columns), matrices = static_cast<double>(input.matrices);
            moments_ += (input.matrices > 1 ? matrices * used_share : 1.0) * columns * columns;
            squares_ += matrices * columns * columns;
            cubes_ += matrices * columns * columns * columns;
            if (input.matrices == 1) {
                dense_squares_ += columns * columns;
                dense_cubes_ += columns * columns * columns;
                inputs[input.layer] += columns;
                widest_input_ = std::max(widest_input_, columns);
            }
        }
        for (const double floats : inputs) inputs_of_layer_ = std::max(inputs_of_layer_, floats);
    }

    /// Numbers of a hidden state.
    [[nodiscard]] double width() const noexcept { return width_; }
    /// Numbers that from_text keeps of a token: its hidden state, and one input on its way to a matrix.
    [[nodiscard]] double state_and_input() const noexcept { return width_ + widest_input_; }
    /// Those that from_quantized_inputs keeps: hidden states in two models, the original model's inputs of a layer, and
    /// one input on its way in the quantized model, when those of the matrices before it are gone.
    [[nodiscard]] double states_and_inputs() const noexcept {
        return 2 * width_ + std::max(inputs_of_layer_, 2 * widest_input_);
    }

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
        return forward(tokens, window) + rounding() +
               work_cost{.products = 4.0 * moves_,  // e H e' of two candidates
                         .moments = tokens * moments_ + cubes_ / 3.0,
                         .factors = squares_,
                         .searched = weights_};
    }
    /// The same on the inputs that quantized layers leave.
    [[nodiscard]] work_cost quantized_feedback(double tokens, double window) const {
        return feedback(tokens, window) + forward(tokens, window) +
               work_cost{.products = 2.0 * dense_moves_,
                         .moments = 2.2 * tokens * dense_squares_ + (1.0 / 3.0 + 2.0) * dense_cubes_};
    }

    /// Passes that a damage table takes at most.
    [[nodiscard]] double measuring_passes(const measure_options& measuring) const {
        return std::min(passes_within(measuring), all_passes(groups_, points_of(measuring)));
    }

    /// A damage table on so many tokens, for an encoder that learns from `text_tokens` tokens; 0: for one by
    /// importances.
    [[nodiscard]] work_cost damage(double tokens, double window, const measure_options& measuring,
                                   double text_tokens) const {
        const auto windows = static_cast<std::size_t>(std::max(1.0, tokens / window));
        const std::vector<group_design> design =
            design_measuring(groups_, measuring_limits::on(windows, static_cast<std::size_t>(window),
                                                           points_of(measuring), passes_within(measuring)));
        double runs = 0, edits = 0;
        for (std::size_t g = 0; g < groups_.size(); ++g) {
            runs += static_cast<double>(design[g].runs);
            edits += static_cast<double>(groups_[g].tensors * design[g].points);
        }
        const double scored = tokens / 2.0, subjects = static_cast<double>(subjects_), points = edits / subjects;
        work_cost all = passes_of(groups_, design) * (forward(tokens, window) + logits(scored));
        all += runs * work_cost{.compared = scored * vocabulary_};
        all += work_cost{.searched = points * weights_, .tried = subjects * sampled_weights};
        if (text_tokens > 0) all += feedback(text_tokens, window) + std::max(0.0, points - 1.0) * rounding();
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

private:
    static constexpr double sampled_weights = 65536;

    // With error feedback: the errors of a column move the columns after it, half of all in the mean.
    [[nodiscard]] work_cost rounding() const { return {.products = moves_, .fed_back = weights_}; }

    std::vector<measuring_group> groups_;
    double layers_ = 0, output_ = 0;  // multiply-adds of a token
    std::vector<double> of_layers_;
    double heads_ = 0;  // numbers of all layers' queries and values
    double vocabulary_ = 0, width_ = 0;
    double weights_ = 0;                             // of layers
    double moves_ = 0, dense_moves_ = 0;             // weights times columns; of matrices that are no experts
    double moments_ = 0;                             // squares of inputs' widths, by the tokens that each gets
    double squares_ = 0, cubes_ = 0;                 // of inputs' widths
    double dense_squares_ = 0, dense_cubes_ = 0;     // of those of matrices that are no experts
    double widest_input_ = 0, inputs_of_layer_ = 0;  // numbers of a token, of matrices that are no experts
    std::size_t subjects_ = 0;
};

}  // namespace tessera::app
