// What schedules that calibrate on text share: from an input that the decoder shows to matrices of the plan.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <span>
#include <vector>

#include "tessera/calibrate/input_knowledge.hpp"
#include "tessera/core/block_index.hpp"
#include "tessera/core/bytes.hpp"
#include "tessera/core/function_ref.hpp"
#include "tessera/core/tied_table.hpp"
#include "tessera/decoder/activations.hpp"
#include "tessera/decoder/matrix.hpp"
#include "tessera/decoder/observer.hpp"
#include "tessera/decoder/token_work.hpp"
#include "tessera/encode/knowledge.hpp"
#include "tessera/gguf/cursor.hpp"
#include "tessera/gguf/serialize.hpp"
#include "tessera/quantize/encoding_job.hpp"
#include "tessera/quantize/encoding_work.hpp"

namespace tessera::detail {

// Tells a job what running a model over so many tokens, so many times, and learning from what is seen will take.
template <class Job, class Model>
void expect_passes(Job& job, const Model& model, std::uint64_t tokens, int passes) {
    double work = decoder::work_of_layers(model.work_of(tokens));
    if (Job::needs().any()) work += learning_work(job.plan().targets(), tokens, model.spec().experts.used_share());
    job.expect(passes * work);
}

template <class Job>
class learning_pass {
public:
    learning_pass(Job& job, std::size_t used_tokens, const learning_options& options)
        : job_(job), used_tokens_(used_tokens), options_(options), importances_(job.plan().choices.size()) {}

    [[nodiscard]] Eigen::Index used(const decoder::linear_input& input) const { return used_rows(input, used_tokens_); }

    // The matrices that wait for this input and can use its statistics. Slices of one come several times.
    [[nodiscard]] std::vector<plan_matrix> waiting_for(const decoder::linear_input& input) const {
        std::vector<plan_matrix> found;
        if (used(input) == 0) return found;
        for (const decoder::linear* layer : input.shared)
            for (const plan_matrix& m :
                 job_.waiting_for(layer->tensor->name, layer->first_row / layer->tensor->dims[1]))
                if (std::ranges::find(found, m) == found.end()) found.push_back(m);
        return found;
    }

    // Whether a matrix is a table that is embedding and output at once.
    [[nodiscard]] bool is_table(const plan_matrix& m) const { return job_.target(m.tensor).name == embedding_name; }

    // What the input teaches of what the encoder needs. The schedule may look at the Gram matrix.
    [[nodiscard]] input_knowledge learn(const decoder::linear_input& input, std::span<const plan_matrix> matrices,
                                        function_ref<void(decoder::matrix& gram)> look = {}) const {
        const double damping = is_table(matrices.front()) ? options_.table_damping : options_.damping;
        return {input, used(input), Job::needs(), damping, options_.rare, job_.threads(), look};
    }

    void encode(std::span<const plan_matrix> matrices, const matrix_knowledge& known) {
        std::vector<known_matrix> all;
        for (const plan_matrix& m : matrices) {
            all.push_back({m, known});
            std::vector<float>& sums = importances_[m.tensor];  // of use for experts without tokens
            sums.resize(known.importance.size());
            for (std::size_t c = 0; c < sums.size(); ++c) sums[c] += known.importance[c];
        }
        job_.encode(all);
    }

    // Saves where the pass stands before a layer, where the job is kept. The states are those of the schedule.
    void save(std::size_t layer, std::initializer_list<const decoder::activations*> states) {
        if (!job_.is_kept()) return;
        gguf::byte_buffer sums;
        for (std::size_t t = 0; t < importances_.size(); ++t) {
            if (importances_[t].empty() || matrix_count(job_.target(t)) == 1) continue;
            gguf::detail::put(sums, std::uint64_t{t});
            gguf::detail::put(sums, std::uint64_t{importances_[t].size()});
            sums.append(importances_[t].data(), importances_[t].size() * sizeof(float));
        }
        job_.save(layer, {states.begin(), states.size()}, sums.bytes);
    }
    // Takes up where an earlier pass has stood: the layer to go on with, whose states these are then; the first, and no
    // states, where there was none. Of a stack, whose sums the states have, only what goes with them is taken over.
    // Calls begin_anew() where states that were loaded are of no use.
    template <class BeginAnew>
    [[nodiscard]] std::size_t resume(std::initializer_list<decoder::activations*> states, std::size_t layers,
                                     const BeginAnew& begin_anew) {
        const auto found = job_.load({states.begin(), states.size()});
        const std::size_t layer = found ? found->layer : 0;
        const auto is_wanted = [&](const tensor_info& info) {
            return layer == layers || matrix_count(info) == 1 || block_index(info.name).value_or(layer) < layer;
        };
        const bool is_whole = job_.resume(is_wanted, lost_tensors::one_by_one);
        if (found) load_sums(found->more);
        if (layer == 0 || is_whole) return layer;
        begin_anew();
        return 0;
    }
    // Adds up what an earlier pass has saved of tensors that it has begun.
    void load_sums(byte_view saved) {
        gguf::cursor in(saved, "hidden states");
        while (in.left() > 0) {
            const auto t = in.take<std::uint64_t>("place of a tensor");
            const auto columns = in.take_count(sizeof(float), "number of sums");
            const byte_view bytes = in.take_bytes(columns * sizeof(float), "sums");
            std::vector<float>& sums = importances_.at(t);
            bool is_begun = false;
            for (std::size_t m = 0; m < matrix_count(job_.target(t)); ++m) is_begun |= job_.is_done({t, m});
            if (!is_begun) continue;
            sums.resize(columns);
            std::memcpy(sums.data(), bytes.data(), bytes.size());
        }
    }

    // An input_observer.
    void operator()(const decoder::linear_input& input) {
        const std::vector<plan_matrix> matrices = waiting_for(input);
        if (!matrices.empty()) encode(matrices, learn(input, matrices).known());
    }

    // Experts that no token reached are encoded with importances: those known of them, or the sums of the others'.
    void encode_unreached() {
        std::vector<known_matrix> rest;
        for (std::size_t t = 0; t < importances_.size(); ++t) {
            const std::size_t matrices = matrix_count(job_.target(t));
            for (std::size_t m = 0; m < matrices && matrices > 1; ++m) {
                if (job_.is_done({t, m}) || !job_.plan().choices[t].is_encoded()) continue;
                std::span<const float> importance;
                if (options_.rare.importances != nullptr)
                    importance = options_.rare.importances->find(job_.target(t), m);
                rest.push_back({{t, m}, {.importance = importance.empty() ? importances_[t] : importance}});
            }
        }
        job_.encode(rest);
    }

private:
    Job& job_;
    std::size_t used_tokens_;
    const learning_options& options_;
    std::vector<std::vector<float>> importances_;  // tensor, column: sums over the matrices done
};

}  // namespace tessera::detail
