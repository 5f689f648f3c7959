// Measures the damage of a change of one tensor.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "tessera/config.hpp"
#include "tessera/core/block_index.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/core/tied_table.hpp"
#include "tessera/core/token_windows.hpp"
#include "tessera/damage/kept_damage.hpp"
#include "tessera/damage/measuring_design.hpp"
#include "tessera/damage/row_edits.hpp"
#include "tessera/decoder/activations.hpp"
#include "tessera/decoder/model.hpp"
#include "tessera/measure/compare.hpp"
#include "tessera/measure/kept_logits.hpp"
#include "tessera/measure/kl_divergence.hpp"
#include "tessera/measure/scored_model.hpp"
#include "tessera/select/rules.hpp"
#include "tessera/tensor/concepts.hpp"
#include "tessera/tensor/overlay_source.hpp"
#include "tessera/tensor/untied_source.hpp"

namespace tessera {

/// A tensor that plans decide about. A table that is embedding and output at once is two (see untied_source).
struct damage_subject {
    const tensor_info* info;
    damage_role role;
    std::size_t layer = 0;  ///< where the pass has to be: 0 for embeddings, one past the last for the output
};

/// An edit, type-erased, and the windows of a run that have it.
struct windowed_edit {
    const damage_subject* subject;
    std::function<void(const tensor_info& info, std::uint64_t first_row, std::span<float> rows)> edit;
    std::vector<std::size_t> windows{};
};

/// Measures tensor by tensor what edits cost, on windows of tokens. The model runs up to a tensor's layer once; an edit
/// costs the layers from there on. Where it is kept, a later process goes on from the layer that was measured last.
/// Source, windows and what keeps it must outlive it.
template <tensor_source Source>
class damage_meter {
public:
    damage_meter(const Source& source, const token_windows& windows, const evaluate_options& options = {},
                 const kept_damage* kept = nullptr)
        : windows_(windows),
          options_(options),
          kept_(kept),
          shown_(source),
          original_(shown_),
          overlay_(shown_),
          reference_("reference", original_, options.threads),
          candidate_("candidate", overlay_, options.threads),
          below_(reference_.decoder().embed(windows, options.memory)) {
        const std::size_t layers = reference_.decoder().spec().layers.size();
        decoder::activations state = below_;
        const auto found = kept == nullptr ? std::nullopt : kept->reference().load(0, std::array{&state});
        if (!found) {
            reference_.decoder().run(state);
            if (kept != nullptr) kept->reference().save(layers, 0, std::array{&std::as_const(state)}, {});
        }
        reference_.keep(windows_, state);
        logits_.emplace(reference_, 2 * options.logits_bytes);
    }

    /// The source with embedding and output apart.
    [[nodiscard]] const untied_source<Source>& shown() const noexcept { return shown_; }

    /// What the layers and the output are estimated to take (see decoder::token_work).
    [[nodiscard]] std::vector<double> work() const { return reference_.decoder().work_of(windows_.tokens().size()); }

    /// The tensors that plans decide about, in the order of the forward pass.
    [[nodiscard]] std::vector<damage_subject> subjects() const {
        std::vector<damage_subject> all;
        const std::size_t layers = reference_.decoder().spec().layers.size();
        for (const tensor_info& info : shown_.tensors()) {
            const auto block = block_index(info.name);
            if (info.name == embedding_name)
                all.push_back({&info, damage_role::embedding});
            else if (info.name == output_name)
                all.push_back({&info, damage_role::output, layers});
            else if (block && *block < layers && !select::stays_full_precision(info))
                all.push_back({&info, damage_role::layer, *block});
        }
        std::ranges::stable_sort(all, {}, [](const damage_subject& s) {
            return s.role == damage_role::embedding ? std::size_t{0} : s.layer + 1;
        });
        return all;
    }

    /// The divergence of the model whose only change is the edit of this subject. Layers never fall from call to call
    /// but for embeddings, which are measured at any time.
    template <row_edit Edit>
    [[nodiscard]] kl_divergence operator()(const damage_subject& subject, const Edit& edit) {
        go_below(subject);
        const edited scope(overlay_, *subject.info, edit);
        decoder::activations state =
            subject.role == damage_role::embedding ? candidate_.decoder().embed(windows_, options_.memory) : below_;
        std::size_t next = subject.layer;
        if (subject.role == damage_role::layer) candidate_.decoder().run_layer(next++, state);
        if (subject.role != damage_role::output) scope.end();
        return finish(state, next);
    }

    /// The same of several edits in one run, each in windows of its own, which together are all: window by window the
    /// divergence of the model whose only change is the edit that the window has. The subjects act at the same place;
    /// one of the output is alone.
    [[nodiscard]] kl_divergence operator()(std::span<const windowed_edit> edits) {
        const damage_subject& place = *edits.front().subject;
        if (edits.size() == 1 && edits.front().windows.size() == windows_.size())
            return (*this)(place, edits.front().edit);
        TESSERA_ASSERT(place.role != damage_role::output, "edits of the output have all windows");
        go_below(place);
        const bool is_embedding = place.role == damage_role::embedding;
        decoder::activations state = is_embedding ? reference_.decoder().embed(windows_, options_.memory) : below_;
        for (const windowed_edit& e : edits) {
            TESSERA_ASSERT(e.subject->role == place.role && e.subject->layer == place.layer, "edits of one place");
            if (e.windows.empty()) continue;
            const edited scope(overlay_, *e.subject->info, e.edit);
            decoder::activations part = is_embedding
                                            ? candidate_.decoder().embed(windows_.some(e.windows), options_.memory)
                                            : below_.windows(e.windows);
            if (!is_embedding) candidate_.decoder().run_layer(place.layer, part);
            state.put_windows(e.windows, part);
        }
        return finish(state, is_embedding ? 0 : place.layer + 1);
    }

private:
    // Brings states through the layers from `next` on, and compares.
    [[nodiscard]] kl_divergence finish(decoder::activations& state, std::size_t next) {
        for (; next < reference_.decoder().spec().layers.size(); ++next) candidate_.decoder().run_layer(next, state);
        candidate_.keep(windows_, state);
        return compare(*logits_, candidate_, options_);
    }

    void go_below(const damage_subject& subject) {
        if (subject.role == damage_role::embedding) return;
        TESSERA_ASSERT(layer_ <= subject.layer, "the pass does not go back");
        go_below(subject.layer);
    }
    // Brings the states to a layer that comes later, from where an earlier process had them.
    void go_below(std::size_t layer) {
        if (layer_ == layer) return;
        if (kept_ != nullptr && layer_ == 0)
            if (const auto found = kept_->below().load(layer, std::array{&below_})) layer_ = found->layer;
        const std::size_t first = layer_;
        for (; layer_ < layer; ++layer_) reference_.decoder().run_layer(layer_, below_);
        // Their number of records is the layer: so only those of layers that are not behind this one are found.
        if (kept_ != nullptr && layer_ > first)
            kept_->below().save(layer_, layer_, std::array{&std::as_const(below_)}, {});
    }

    // A tensor is edited while this lives, or until its end.
    class edited {
    public:
        template <class Edit>
        edited(overlay_source<untied_source<Source>>& overlay, const tensor_info& tensor, const Edit& edit)
            : overlay_(overlay), tensor_(tensor) {
            overlay.replace(tensor, [&](const tensor_info& info, std::uint64_t first_row, std::uint64_t rows,
                                        std::span<float> out) {
                overlay_.base().read(info, first_row, rows, out);
                edit(info, first_row, out);
            });
        }
        edited(const edited&) = delete;
        edited& operator=(const edited&) = delete;
        ~edited() { end(); }
        void end() const { overlay_.replace(tensor_, {}); }

    private:
        overlay_source<untied_source<Source>>& overlay_;
        const tensor_info& tensor_;
    };

    using model = scored_model<overlay_source<untied_source<Source>>>;

    const token_windows& windows_;
    evaluate_options options_;
    const kept_damage* kept_;
    untied_source<Source> shown_;
    overlay_source<untied_source<Source>> original_;  // never edited: so both models are of one type, and compiled once
    overlay_source<untied_source<Source>> overlay_;
    model reference_, candidate_;
    decoder::activations below_;  // the layer at work
    std::size_t layer_ = 0;
    std::optional<kept_logits<model>> logits_;
};

}  // namespace tessera
