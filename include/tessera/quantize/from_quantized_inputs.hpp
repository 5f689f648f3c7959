// A schedule that knows the upstream error: layers are calibrated on the outputs of the layers already quantized.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/calibrate/compensation.hpp"
#include "tessera/calibrate/input_knowledge.hpp"
#include "tessera/core/block_index.hpp"
#include "tessera/core/bytes.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/core/tied_table.hpp"
#include "tessera/core/token_windows.hpp"
#include "tessera/decoder/matrix.hpp"
#include "tessera/decoder/model.hpp"
#include "tessera/decoder/observer.hpp"
#include "tessera/quantize/encoding_job.hpp"
#include "tessera/quantize/learning_pass.hpp"
#include "tessera/tensor/concepts.hpp"
#include "tessera/tensor/overlay_source.hpp"
#include "tessera/tensor/untied_source.hpp"

namespace tessera {

namespace detail {

// Tensors of an overlay that are what was written of them, and the base's rows where nothing was.
template <class Formats, tensor_source Source>
class written_tensors {
public:
    explicit written_tensors(overlay_source<Source>& overlay) : overlay_(overlay) {}

    // From now on reading `source`, a tensor of the overlay's base, gives what is written as `target`.
    void add(const tensor_info& source, const tensor_info& target) {
        written& w = tensors_[target.name];
        w = {&source, target, std::vector<std::byte>(target.bytes()), std::vector<char>(target.rows())};
        overlay_.replace(source, [this, &w](const tensor_info& info, std::uint64_t first_row, std::uint64_t rows,
                                            std::span<float> out) {
            for (std::uint64_t r = 0; r < rows; ++r)
                read_row(w, info, first_row + r, out.subspan(r * info.columns(), info.columns()));
        });
    }
    void clear() {
        for (const auto& [name, w] : tensors_) overlay_.replace(*w.source, {});
        tensors_.clear();
    }

    // What a job's write_observer sees.
    void operator()(const tensor_info& info, std::uint64_t first_row, byte_view bytes) {
        const auto found = tensors_.find(info.name);
        if (found == tensors_.end()) return;
        written& w = found->second;
        std::memcpy(w.bytes.data() + first_row * info.row_bytes(), bytes.data(), bytes.size());
        std::fill_n(w.is_there.begin() + static_cast<std::ptrdiff_t>(first_row), bytes.size() / info.row_bytes(),
                    char{1});
    }

private:
    struct written {
        const tensor_info* source;
        tensor_info target;
        std::vector<std::byte> bytes;
        std::vector<char> is_there;  // by row; threads write to different ones
    };

    void read_row(const written& w, const tensor_info& info, std::uint64_t row, std::span<float> out) const {
        if (!w.is_there[row]) return overlay_.base().read(info, row, 1, out);
        const std::size_t size = w.target.row_bytes();
        Formats::decode(w.target.type(), byte_view(w.bytes).subspan(row * size, size), out);
    }

    overlay_source<Source>& overlay_;
    std::map<std::string, written, std::less<>> tensors_;
};

}  // namespace detail

/// As from_text, but every layer is calibrated on the inputs that the quantized layers before it leave, and aims at the
/// outputs that the original weights give for the original inputs: the rows to encode are moved by a correction that
/// compensates most of the difference (matrix_knowledge::correction). Experts are not moved and are calibrated on the
/// original inputs, since the router may send other tokens to the quantized ones. Reported errors are against the moved
/// weights. (GPTAQ: Li et al. 2025)
///
/// Weights that lie on their format's grid stay as they are. A table that is embedding and output at once is encoded
/// last: the layers see it as it was.
///
/// Memory is twice the activations of the text, the inputs of a layer, and its packed tensors. Time is about twice.
struct from_quantized_inputs {
    divided_windows text;
    learning_options learning = {};

    template <class Job>
    void run(Job& job) const {
        using shown_source = untied_source<typename Job::source_type>;
        const shown_source shown(job.source());
        const overlay_source<shown_source> original(shown);
        overlay_source<shown_source> quantized(shown);
        const decoder::model_options options{.threads = job.threads()};
        const decoder::model original_model(original, options), quantized_model(quantized, options);
        const token_windows windows = text.all();
        decoder::activations original_state = original_model.embed(windows);

        detail::written_tensors<typename Job::formats, shown_source> written(quantized);
        job.watch(written);
        detail::expect_passes(job, original_model, windows.tokens().size(), 2);
        detail::learning_pass pass(job, text.used.tokens().size(), learning);
        const auto& choices = job.plan().choices;
        const auto place_of = [&](std::string_view name) {
            return std::ranges::find(choices, name, [](const auto& c) { return std::string_view(c.target.name); });
        };
        const auto show_written = [&](auto&& is_wanted) {
            written.clear();
            for (const tensor_info& info : shown.tensors()) {
                if (!is_wanted(info)) continue;
                const auto choice = place_of(info.name);
                if (choice != choices.end() && choice->is_encoded()) written.add(info, choice->target);
            }
        };
        // An embedding that is no output, too, comes first: it has no statistics.
        const auto embedding = place_of(embedding_name);
        if (embedding != choices.end() && place_of(output_name) != choices.end()) {
            show_written([](const tensor_info& info) { return info.name == embedding_name; });
            job.encode({{static_cast<std::size_t>(embedding - choices.begin()), 0}, {}});
        }
        decoder::activations quantized_state = quantized_model.embed(windows);

        struct original_input {
            std::string tensor;
            std::uint64_t first_row;
            decoder::matrix rows;
        };
        std::vector<original_input> inputs;  // of the layer at work
        const auto remember = [&](const decoder::linear_input& input) {
            const decoder::linear& first = *input.shared.front();
            if (!input.routed.empty()) return pass(input);
            if (!pass.waiting_for(input).empty()) inputs.push_back({first.tensor->name, first.first_row, input.rows});
        };
        const auto encode = [&](const decoder::linear_input& input) {
            const decoder::linear& first = *input.shared.front();
            const auto before = std::ranges::find_if(inputs, [&](const original_input& other) {
                return other.tensor == first.tensor->name && other.first_row == first.first_row;
            });
            if (!input.routed.empty() || before == inputs.end()) return;
            std::vector<plan_matrix> matrices = pass.waiting_for(input);
            std::erase_if(matrices, [&](const plan_matrix& m) { return job.encode_exact(m); });
            if (matrices.empty()) return;
            const input_knowledge learned = pass.learn(input, matrices, {.gram = true});
            matrix_knowledge known = learned.known();
            decoder::matrix correction;
            if (!pass.is_table(matrices.front()))  // an embedding is not to be moved
                correction = compensation(before->rows, input.rows, pass.used(input), learned.gram(), learning.damping,
                                          job.threads());
            known.correction = {{correction.data(), static_cast<std::size_t>(correction.size())},
                                static_cast<std::size_t>(correction.cols())};
            pass.encode(matrices, known);
            inputs.erase(before);
        };
        for (std::size_t l = 0; l < original_model.spec().layers.size(); ++l) {
            show_written([l](const tensor_info& info) { return block_index(info.name) == l; });
            inputs.clear();
            original_model.run_layer(l, original_state, remember);
            quantized_model.run_layer(l, quantized_state, encode);
        }
        written.clear();
        inputs.clear();
        original_model.observe_output(original_state.view(), remember);
        quantized_model.observe_output(quantized_state.view(), encode);
        pass.encode_unreached();
        job.watch({});
    }
};

}  // namespace tessera
