// Plans measured before they become files.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/calibrate/importance_table.hpp"
#include "tessera/core/bytes.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/parallel.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/core/view.hpp"
#include "tessera/encode/encoders.hpp"
#include "tessera/format/builtin.hpp"
#include "tessera/measure/evaluate.hpp"
#include "tessera/measure/kept_logits.hpp"
#include "tessera/measure/kl_divergence.hpp"
#include "tessera/quantize/quantize.hpp"
#include "tessera/select/plan.hpp"
#include "tessera/select/refined.hpp"
#include "tessera/select/tied_table.hpp"
#include "tessera/tensor/concepts.hpp"
#include "tessera/tensor/decode_rows.hpp"
#include "tessera/tensor/memory.hpp"
#include "tessera/tensor/overlay_source.hpp"

namespace tessera {

/// Measures the divergence of plans of one model on windows of tokens. Every tensor is encoded once in each format that
/// some plan gives it; the blocks stay in memory. Source, importances and tokens must outlive it.
template <tensor_source Source, class Encoder = weighted, class Formats = builtin_formats>
class plan_meter {
public:
    plan_meter(const Source& source, const importance_table& importances, std::span<const std::int32_t> tokens,
               std::size_t window, const Encoder& encoder = {}, const evaluate_options& options = {})
        : source_(source),
          importances_(importances),
          tokens_(tokens),
          window_(window),
          encoder_(encoder),
          options_(options),
          original_(source),
          overlay_(source),
          reference_("reference", original_, options.threads),
          candidate_("candidate", overlay_, options.threads) {
        importances.require_fit(source.tensors());
        reference_.run(tokens, window);
        const std::size_t positions = tokens.size() / window * scored_positions::of_window(window).count;
        kept_ = std::make_unique<kept_logits<scored_model<overlay_source<Source>>>>(reference_, positions,
                                                                                    2 * options.logits_bytes);
    }

    /// The windows there are.
    [[nodiscard]] std::size_t samples() const noexcept { return tokens_.size() / window_; }

    /// The divergence of every scored token of the first `windows` windows, in nats.
    [[nodiscard]] std::vector<float> operator()(const select::plan& plan, std::size_t windows) {
        const kl_divergence measured = measure(plan, windows);
        return {measured.per_token().begin(), measured.per_token().end()};
    }

    /// The divergence on the first `windows` windows, at most all of them. The plan is one of the model's tensors.
    [[nodiscard]] kl_divergence measure(const select::plan& plan, std::size_t windows) {
        const auto tokens = tokens_.first(std::min(windows, samples()) * window_);
        const tensor_info* table = nullptr;
        const select::choice* output = nullptr;  // of a table that the plan writes twice
        for (const select::choice& choice : plan.choices) {
            const tensor_info& stored = find(choice.source_name());
            if (!choice.made_from.empty()) {
                table = &stored;
                output = &choice;
                continue;
            }
            replace(stored, choice);
        }
        decoder::activations state = candidate_.decoder().embed(tokens, window_);
        if (output != nullptr) replace(*table, *output);
        candidate_.decoder().run(state);
        candidate_.keep(tokens, state);
        return compare(first_logits{*kept_, tokens}, candidate_, options_);
    }

private:
    // The reference on fewer tokens.
    struct first_logits {
        const kept_logits<scored_model<overlay_source<Source>>>& all;
        std::span<const std::int32_t> first;

        [[nodiscard]] std::string_view role() const noexcept { return all.role(); }
        [[nodiscard]] std::size_t vocabulary() const noexcept { return all.vocabulary(); }
        [[nodiscard]] std::span<const std::int32_t> tokens() const noexcept { return first; }
        [[nodiscard]] std::size_t window() const noexcept { return all.window(); }
        void logits(std::size_t position, mutable_matrix_view out) const { all.logits(position, out); }
    };

    [[nodiscard]] const tensor_info& find(std::string_view name) const {
        const auto found = std::ranges::find(source_.tensors(), name, &tensor_info::name);
        if (found == source_.tensors().end()) fail("plan: wanted tensors of the model, got ", name);
        return *found;
    }

    // From now on the tensor is what the choice makes of it.
    void replace(const tensor_info& stored, const select::choice& choice) {
        const tensor_info& target = choice.target;
        if (target.type() == stored.type()) return overlay_.replace(stored, {});
        auto& bytes = encoded_[{target.name, target.type()}];
        if (bytes.empty()) bytes = encode(stored, target);
        overlay_.replace(stored, [&bytes, target](const tensor_info&, std::uint64_t first_row, std::uint64_t rows,
                                                  std::span<float> out) {
            const byte_view all(bytes);
            decode_rows<Formats>(target, rows, all.subspan(first_row * target.row_bytes(), rows * target.row_bytes()),
                                 out, "plan");
        });
    }

    [[nodiscard]] std::vector<std::byte> encode(const tensor_info& stored, const tensor_info& target) const {
        std::vector<std::byte> all(target.bytes());
        const std::uint64_t step = std::clamp<std::uint64_t>((1u << 18) / target.columns(), 1, target.dims[1]);
        const std::uint64_t pieces = (target.dims[1] + step - 1) / step;  // of a matrix
        parallel_for(pieces * matrix_count(target), options_.threads, [&](std::size_t p) {
            const std::uint64_t matrix = p / pieces, row = p % pieces * step;
            const std::uint64_t first_row = matrix * target.dims[1] + row, rows = std::min(step, target.dims[1] - row);
            std::vector<float> values(rows * target.columns());
            source_.read(stored, first_row, rows, std::span(values));
            std::vector<std::byte> bytes;
            detail::encode_rows<Formats>(target, first_row, values, importances_.find(target, matrix), encoder_, bytes);
            std::ranges::copy(bytes, all.begin() + static_cast<std::ptrdiff_t>(first_row * target.row_bytes()));
        });
        return all;
    }

    const Source& source_;
    const importance_table& importances_;
    std::span<const std::int32_t> tokens_;
    std::size_t window_;
    Encoder encoder_;
    evaluate_options options_;
    overlay_source<Source> original_;  // never changed: so both models are of one type, and compiled once
    overlay_source<Source> overlay_;
    scored_model<overlay_source<Source>> reference_, candidate_;
    std::unique_ptr<kept_logits<scored_model<overlay_source<Source>>>> kept_;
    std::map<std::pair<std::string, type_id>, std::vector<std::byte>> encoded_;
};

static_assert(select::plan_measure<plan_meter<memory_source>>);

}  // namespace tessera
