// Measures the divergence of whole plans before they become files.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/calibrate/importance_table.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/stage_meter.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/core/tied_table.hpp"
#include "tessera/core/token_windows.hpp"
#include "tessera/core/view.hpp"
#include "tessera/encode/encoders.hpp"
#include "tessera/format/builtin.hpp"
#include "tessera/measure/compare.hpp"
#include "tessera/measure/kept_logits.hpp"
#include "tessera/measure/kl_divergence.hpp"
#include "tessera/measure/scored_model.hpp"
#include "tessera/quantize/encoding_work.hpp"
#include "tessera/quantize/tensor_encoding.hpp"
#include "tessera/select/plan.hpp"
#include "tessera/select/refined.hpp"
#include "tessera/tensor/concepts.hpp"
#include "tessera/tensor/memory.hpp"
#include "tessera/tensor/overlay_source.hpp"
#include "tessera/tensor/untied_source.hpp"

namespace tessera {

/// Measures the divergence of plans of one model on windows of tokens. Every tensor is encoded once in each format that
/// some plan gives it, by an encoder that needs no more than importances; the blocks are kept, in memory or in the
/// scratch file, as the options' memory says. Source, importances and windows must outlive it.
template <class Formats, tensor_source Source, class Encoder = weighted>
class plan_meter {
    static_assert(!Encoder::needs.any(), "plans are measured with an encoder that needs no text");

public:
    plan_meter(const Source& source, const importance_table& importances, const token_windows& windows,
               const Encoder& encoder = {}, const evaluate_options& options = {})
        : source_(source),
          importances_(importances),
          windows_(windows),
          encoder_(encoder),
          options_(options),
          shown_(source),
          original_(shown_),
          overlay_(shown_),
          reference_("reference", original_, options.threads),
          candidate_("candidate", overlay_, options.threads) {
        importances.require_fit(source.tensors());
        reference_.run(windows, {}, options.memory);
        kept_.emplace(reference_, 2 * options.logits_bytes);
    }

    /// The windows there are.
    [[nodiscard]] std::size_t samples() const noexcept { return windows_.size(); }

    /// The divergence of every scored token of the first `windows` windows, in nats.
    [[nodiscard]] std::vector<float> operator()(const select::plan& plan, std::size_t windows) {
        const kl_divergence measured = measure(plan, windows);
        return {measured.per_token().begin(), measured.per_token().end()};
    }

    /// The divergence on the first `windows` windows, at most all of them. The plan is one of the model's tensors.
    [[nodiscard]] kl_divergence measure(const select::plan& plan, std::size_t windows) {
        const token_windows first = windows_.first(windows);
        const select::choice* embedding = nullptr;
        bool has_output = false;
        for (const select::choice& choice : plan.choices) {
            replace(find(choice.target.name), choice);
            if (choice.target.name == embedding_name) embedding = &choice;
            has_output = has_output || choice.target.name == output_name;
        }
        if (embedding != nullptr && !has_output) replace(find(output_name), *embedding);
        candidate_.run(first, {}, options_.memory);
        return compare(first_logits{*kept_, first}, candidate_, options_);
    }

private:
    using shown_source = untied_source<Source>;
    using model = scored_model<overlay_source<shown_source>>;
    using encoding = tensor_encoding<Formats, Source, Encoder>;

    // The reference on fewer windows.
    struct first_logits {
        const kept_logits<model>& all;
        const token_windows& first;

        [[nodiscard]] std::string_view role() const noexcept { return all.role(); }
        [[nodiscard]] std::size_t vocabulary() const noexcept { return all.vocabulary(); }
        [[nodiscard]] const token_windows& windows() const noexcept { return first; }
        void logits(std::size_t position, mutable_matrix_view out) const { all.logits(position, out); }
    };

    [[nodiscard]] const tensor_info& find(std::string_view name) const {
        const auto found = std::ranges::find(shown_.tensors(), name, &tensor_info::name);
        if (found == shown_.tensors().end()) fail("plan: wanted tensors of the model, got ", name);
        return *found;
    }

    // From now on a tensor is what the choice makes of it.
    void replace(const tensor_info& shown, const select::choice& choice) {
        const tensor_info& target = choice.target;
        const tensor_info& stored = shown_.stored(shown);
        if (target.type() == stored.type()) return overlay_.replace(shown, {});
        std::unique_ptr<encoding>& made = encoded_[{target.name, target.type()}];
        if (made == nullptr) {
            made = std::make_unique<encoding>(source_, stored, target, encoder_, options_.threads, options_.memory);
            for (std::size_t m = 0; m < matrix_count(target); ++m)
                made->encode(m, {.importance = importances_.find(target, m)});
            made->finish();
            count_work(search_work(target), target.name);
        }
        overlay_.replace(shown, [&made](const tensor_info&, std::uint64_t first_row, std::uint64_t rows,
                                        std::span<float> out) { made->read(first_row, rows, out); });
    }

    const Source& source_;
    const importance_table& importances_;
    const token_windows& windows_;
    Encoder encoder_;
    evaluate_options options_;
    shown_source shown_;
    overlay_source<shown_source> original_;  // never changed: so both models are of one type, and compiled once
    overlay_source<shown_source> overlay_;
    model reference_, candidate_;
    std::optional<kept_logits<model>> kept_;
    std::map<std::pair<std::string, type_id>, std::unique_ptr<encoding>> encoded_;
};

static_assert(select::meter_of_plans<plan_meter<builtin_formats, memory_source>>);

}  // namespace tessera
