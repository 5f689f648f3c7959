// From an input of matrices to what encoders may know of them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "tessera/calibrate/column_statistics.hpp"
#include "tessera/calibrate/importance_table.hpp"
#include "tessera/core/function_ref.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/core/view.hpp"
#include "tessera/decoder/matrix.hpp"
#include "tessera/decoder/observer.hpp"
#include "tessera/encode/gram_factor.hpp"
#include "tessera/encode/knowledge.hpp"

namespace tessera {

/// What is done about matrices of a stack (experts) that few tokens reached: their second moments are blended with what
/// is known of the whole stack, as blend_rare_matrices does with importances.
struct rare_experts {
    std::uint64_t enough_tokens = 0;                ///< fewer are few
    const importance_table* importances = nullptr;  ///< of all matrices, blended already; null: the matrices' own
};

/// How calibration statistics become what encoders know.
struct learning_options {
    double damping = 0.1;  ///< see gram_factor_options
    /// The same for a table that is embedding and output at once: as embedding all its columns count alike.
    double table_damping = 0.5;
    /// Experts that no token reached get these importances or, where there are none, the others'.
    rare_experts rare = {};
};

/// How many of an input's rows come from the first `used_tokens` tokens.
[[nodiscard]] inline Eigen::Index used_rows(const decoder::linear_input& input, std::size_t used_tokens) {
    const auto used = static_cast<Eigen::Index>(used_tokens);
    if (input.routed.empty()) return std::min(input.rows.rows(), used);
    return std::ranges::lower_bound(input.routed, used, {}, &decoder::routed_token::token) - input.routed.begin();
}

/// The statistics of one input that encoders ask for: of the rows calibrated on, and of those held out.
class input_knowledge {
public:
    /// The first `used` rows are calibrated on, the others are held out. `damping` is the factor's. (A template: Gram
    /// matrices and their factors are compiled where somebody learns.)
    ///
    /// Two and a half matrices of columns^2 floats are there at a time: what nobody needs any more goes before the next
    /// is made. `look` is called with the Gram matrix while it is there, and may use its room if it leaves it as it
    /// was.
    template <class = void>
    input_knowledge(const decoder::linear_input& input, Eigen::Index used, const encoder_needs& needs, double damping,
                    const rare_experts& rare, int threads, function_ref<void(decoder::matrix& gram)> look = {})
        : tokens_(static_cast<std::uint64_t>(used)) {
        if (!needs.any() && !look) {
            find_importance(input, used, rare, threads);
            return;
        }
        column_statistics moments;
        input.rows.for_each(0, used, [&](Eigen::Index first, const activation_rows& rows) {
            add_gram(moments, rows.topRows(std::min(rows.rows(), used - first)), threads);
        });
        gram_ = std::move(moments.gram);
        blend(*input.shared.front(), rare);
        if (needs.factor) {
            factor_.emplace(gram_, tokens_, gram_factor_options{.damping = damping, .threads = threads});
            importance_.assign(factor_->importance().begin(), factor_->importance().end());
        } else {
            for (Eigen::Index c = 0; c < gram_.cols(); ++c)
                importance_.push_back(gram_(c, c) / static_cast<float>(std::max<std::uint64_t>(tokens_, 1)));
        }
        if (look) look(gram_);
        const bool is_judge = needs.held_out && used == input.rows.rows();
        if (!needs.gram && !is_judge) gram_.resize(0, 0);
        if (!needs.held_out || is_judge) return;
        column_statistics held_out;
        input.rows.for_each(used, input.rows.rows(), [&](Eigen::Index first, const activation_rows& rows) {
            const Eigen::Index seen = std::clamp<Eigen::Index>(used - first, 0, rows.rows());
            add_gram(held_out, rows.bottomRows(rows.rows() - seen), threads);
        });
        held_out_ = std::move(held_out.gram);
    }

    [[nodiscard]] std::span<const float> importance() const noexcept { return importance_; }

    /// As encoders get it; lives as long as this.
    [[nodiscard]] matrix_knowledge known() const {
        return {.importance = importance_,
                .gram = view(gram_),
                .tokens = tokens_,
                .factor = factor_ ? &*factor_ : nullptr,
                .held_out = view(held_out_)};
    }

private:
    [[nodiscard]] static matrix_view view(const decoder::matrix& m) {
        return {{m.data(), static_cast<std::size_t>(m.size())}, static_cast<std::size_t>(m.cols())};
    }

    // The importances of a stack's matrix that few tokens reached; nothing for others.
    [[nodiscard]] std::span<const float> blended_importance(const decoder::linear& first,
                                                            const rare_experts& rare) const {
        const tensor_info& info = *first.tensor;
        if (rare.importances == nullptr) return {};
        return rare.importances->find(info, first.first_row / info.dims[1]);
    }
    [[nodiscard]] bool is_rare(const decoder::linear& first, const rare_experts& rare) const {
        return matrix_count(*first.tensor) > 1 && tokens_ < rare.enough_tokens;
    }

    template <class = void>
    void find_importance(const decoder::linear_input& input, Eigen::Index used, const rare_experts& rare, int threads) {
        const decoder::linear& first = *input.shared.front();
        if (is_rare(first, rare))
            if (const std::span<const float> blended = blended_importance(first, rare); !blended.empty()) {
                importance_.assign(blended.begin(), blended.end());
                return;
            }
        column_statistics sums;
        input.rows.for_each(0, used, [&](Eigen::Index first, const activation_rows& rows) {
            add_rows(sums, rows.topRows(std::min(rows.rows(), used - first)), threads);
        });
        for (const double squares : sums.squares)
            importance_.push_back(static_cast<float>(squares / static_cast<double>(sums.tokens)));
    }

    // Of the second moments over a few tokens, the diagonal becomes that of the importances, where there are some. Of
    // what lies off it nothing is known of other experts: it shrinks as if it was zero there.
    void blend(const decoder::linear& first, const rare_experts& rare) {
        if (!is_rare(first, rare)) return;
        const std::span<const float> importances = blended_importance(first, rare);
        Eigen::VectorXf diagonal = gram_.diagonal();
        for (std::size_t c = 0; c < importances.size(); ++c)
            diagonal[static_cast<Eigen::Index>(c)] = importances[c] * static_cast<float>(tokens_);
        gram_ *= static_cast<float>(static_cast<double>(tokens_) / static_cast<double>(rare.enough_tokens));
        gram_.diagonal() = diagonal;
    }

    std::uint64_t tokens_;
    std::vector<float> importance_;
    decoder::matrix gram_, held_out_;
    std::optional<gram_factor> factor_;
};

}  // namespace tessera
