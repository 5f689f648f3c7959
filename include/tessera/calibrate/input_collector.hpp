// An observer of the decoder that collects the calibration statistics of a layer.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tessera/calibrate/column_statistics.hpp"
#include "tessera/calibrate/importance_table.hpp"
#include "tessera/calibrate/input_statistics.hpp"
#include "tessera/core/error.hpp"
#include "tessera/decoder/observer.hpp"

namespace tessera {

/// Whether Gram matrices are collected. They take columns^2 floats per input and some time.
enum class gram_matrices { none, gathered };

/// Collects statistics of the inputs of linear layers, which may come in parts. Tensors that share an input share its
/// statistics.
class input_collector {
public:
    struct options {
        std::size_t window;  ///< tokens in a window, for messages
        gram_matrices gram = gram_matrices::none;
        int threads = 0;
    };
    explicit input_collector(options options) : options_(options) {}

    /// An input_observer. Throws naming layer, tensor, window and token when a number is not finite.
    template <class = void>
    void operator()(const decoder::linear_input& input) {
        const tensor_info& first = *input.shared.front()->tensor;
        const auto matrix = static_cast<std::size_t>(input.shared.front()->first_row / first.dims[1]);
        column_statistics& statistics = place_of(input).matrices[matrix];
        input.rows.for_each([&](Eigen::Index, const activation_rows& rows) {
            add_rows(statistics, rows, options_.threads);
            if (!std::ranges::all_of(statistics.squares, [](double x) { return std::isfinite(x); }))
                report_not_finite(input, matrix);
            if (options_.gram == gram_matrices::gathered) add_gram(statistics, rows, options_.threads);
        });
    }

    /// What was collected, in the order in which the inputs were first seen; the collector begins anew.
    [[nodiscard]] std::vector<input_statistics> take() { return std::exchange(inputs_, {}); }

private:
    input_statistics& place_of(const decoder::linear_input& input) {
        const tensor_info& first = *input.shared.front()->tensor;
        const auto found =
            std::ranges::find_if(inputs_, [&](const auto& known) { return known.tensors.front() == first.name; });
        if (found != inputs_.end()) return *found;
        input_statistics& added = inputs_.emplace_back();
        added.layer = input.layer;
        added.sharing = input.routed.empty() ? token_sharing::all : token_sharing::routed;
        added.matrices.resize(matrix_count(first));
        for (const decoder::linear* layer : input.shared)  // several may be slices of one tensor
            if (std::ranges::find(added.tensors, layer->tensor->name) == added.tensors.end())
                added.tensors.push_back(layer->tensor->name);
        return added;
    }

    [[noreturn]] void report_not_finite(const decoder::linear_input& input, std::size_t matrix) const {
        const std::string where = concat("layer ", input.layer, ", input of ", input.shared.front()->tensor->name,
                                         input.routed.empty() ? "" : concat(", expert ", matrix));
        input.rows.for_each([&](Eigen::Index first, const activation_rows& rows) {
            for (Eigen::Index r = 0; r < rows.rows(); ++r)
                for (Eigen::Index c = 0; c < rows.cols(); ++c) {
                    const float x = rows(r, c);
                    if (std::isfinite(x) && std::isfinite(x * x)) continue;
                    const auto at = static_cast<std::size_t>(first + r);
                    const std::size_t token = input.routed.empty() ? input.first_token + at
                                                                   : static_cast<std::size_t>(input.routed[at].token);
                    fail(where, ": window ", token / options_.window, ", token ", token % options_.window, ", column ",
                         c, ": wanted a finite number with a finite square, got ", x);
                }
        });
        fail(where, ": wanted a finite sum of squares, got more than floats hold");
    }

    options options_;
    std::vector<input_statistics> inputs_;
};

}  // namespace tessera
