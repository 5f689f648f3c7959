// What a change of one tensor costs at the model's output.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "tessera/core/block_index.hpp"
#include "tessera/damage/row_edits.hpp"
#include "tessera/decoder/model.hpp"
#include "tessera/measure/evaluate.hpp"
#include "tessera/measure/kept_logits.hpp"
#include "tessera/measure/kl_divergence.hpp"
#include "tessera/select/rules.hpp"
#include "tessera/select/tied_table.hpp"
#include "tessera/tensor/concepts.hpp"
#include "tessera/tensor/overlay_source.hpp"

namespace tessera {

/// Where in the forward pass a tensor acts. A table that is embedding and output at once is two subjects.
enum class damage_role { embedding, layer, output };

/// A tensor that plans decide about, in one of its roles.
struct damage_subject {
    const tensor_info* stored;  ///< as the source has it
    tensor_info info;  ///< the same under the name of its role: an embedding table as output is "output.weight"
    damage_role role;
    std::size_t layer = 0;  ///< where role is layer
};

/// Measures tensor by tensor what edits cost, on windows of tokens. The model runs up to a tensor's layer once; an edit
/// costs the layers from there on. Source and tokens must outlive it.
template <tensor_source Source>
class damage_meter {
public:
    damage_meter(const Source& source, std::span<const std::int32_t> tokens, std::size_t window,
                 const evaluate_options& options = {})
        : tokens_(tokens),
          window_(window),
          options_(options),
          original_(source),
          overlay_(source),
          reference_("reference", original_, options.threads),
          candidate_("candidate", overlay_, options.threads) {}

    /// The tensors that plans decide about, in the order of the forward pass.
    [[nodiscard]] std::vector<damage_subject> subjects() const {
        std::vector<damage_subject> all;
        const std::size_t layers = reference_.decoder().spec().layers.size();
        const tensor_info* embedding = nullptr;
        const tensor_info* output = nullptr;
        for (const tensor_info& info : overlay_.tensors()) {
            if (info.name == select::embedding_name) embedding = &info;
            if (info.name == select::output_name) output = &info;
        }
        all.push_back(
            {embedding, *embedding, damage_role::embedding});  // the decoder would not have opened without one
        for (std::size_t l = 0; l < layers; ++l)
            for (const tensor_info& info : overlay_.tensors())
                if (block_index(info.name) == l && !select::stays_full_precision(info))
                    all.push_back({&info, info, damage_role::layer, l});
        all.push_back({output == nullptr ? embedding : output, *embedding, damage_role::output});
        if (output != nullptr) all.back().info = *output;
        all.back().info.name = select::output_name;
        return all;
    }

    /// Calls visit(subject, measure) for every subject in turn. measure(edit) returns the divergence, as kl_divergence,
    /// of the model whose only change is the edit of this subject.
    template <class Visit>
    void for_each_subject(Visit&& visit) {
        decoder::activations below = reference_.decoder().embed(tokens_, window_);  // the layer at work
        {
            decoder::activations state = below;
            reference_.decoder().run(state);
            reference_.keep(tokens_, state);
        }
        const std::size_t positions = tokens_.size() / window_ * scored_positions::of_window(window_).count;
        const kept_logits reference(reference_, positions, 2 * options_.logits_bytes);
        std::size_t layer = 0;
        for (const damage_subject& subject : subjects()) {
            const std::size_t until = subject.role == damage_role::embedding ? 0
                                      : subject.role == damage_role::layer   ? subject.layer
                                                                           : reference_.decoder().spec().layers.size();
            for (; layer < until; ++layer) reference_.decoder().run_layer(layer, below);
            visit(subject, [&]<row_edit Edit>(const Edit& edit) {
                const edited scope(overlay_, subject, edit);
                if (subject.role == damage_role::output) {
                    candidate_.keep(tokens_, below);
                } else {
                    decoder::activations state =
                        subject.role == damage_role::embedding ? candidate_.decoder().embed(tokens_, window_) : below;
                    const std::size_t layers = candidate_.decoder().spec().layers.size();
                    if (subject.role == damage_role::layer) candidate_.decoder().run_layer(layer, state);
                    scope.end();
                    for (std::size_t l = subject.role == damage_role::layer ? layer + 1 : 0; l < layers; ++l)
                        candidate_.decoder().run_layer(l, state);
                    candidate_.keep(tokens_, state);
                }
                return compare(reference, candidate_, options_);
            });
        }
    }

private:
    // A tensor is edited while this lives, or until its end.
    class edited {
    public:
        template <class Edit>
        edited(overlay_source<Source>& overlay, const damage_subject& subject, const Edit& edit)
            : overlay_(overlay), stored_(*subject.stored) {
            overlay.replace(stored_, [&](const tensor_info& info, std::uint64_t first_row, std::uint64_t rows,
                                         std::span<float> out) {
                overlay_.base().read(info, first_row, rows, out);
                edit(subject.info, first_row, out);
            });
        }
        edited(const edited&) = delete;
        edited& operator=(const edited&) = delete;
        ~edited() { end(); }
        void end() const { overlay_.replace(stored_, {}); }

    private:
        overlay_source<Source>& overlay_;
        const tensor_info& stored_;
    };

    std::span<const std::int32_t> tokens_;
    std::size_t window_;
    evaluate_options options_;
    overlay_source<Source> original_;  // never edited: so both models are of one type, and compiled once
    overlay_source<Source> overlay_;
    scored_model<overlay_source<Source>> reference_, candidate_;
};

}  // namespace tessera
