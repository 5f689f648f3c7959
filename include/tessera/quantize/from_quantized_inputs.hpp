// A schedule that knows the upstream error: layers are calibrated on the outputs of the layers already quantized.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/calibrate/compensation.hpp"
#include "tessera/calibrate/input_knowledge.hpp"
#include "tessera/core/block_index.hpp"
#include "tessera/core/bytes.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/core/tied_table.hpp"
#include "tessera/core/token_windows.hpp"
#include "tessera/decoder/activations.hpp"
#include "tessera/decoder/matrix.hpp"
#include "tessera/decoder/model.hpp"
#include "tessera/decoder/observer.hpp"
#include "tessera/decoder/tile_memory.hpp"
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
/// Where the job is kept, a run that was killed goes on with the layer that it was at, from that layer's begin.
///
/// Memory is what `memory` says of the activations of the text in both models, of the original's inputs of a layer and
/// of one input, and a few tiles of them; the packed tensors of a layer; and two and a half floats per pair of columns
/// of one input. Time is about twice.
struct from_quantized_inputs {
    divided_windows text;
    learning_options learning = {};
    decoder::tile_memory* memory = nullptr;  ///< where activations are kept; null: all in memory

    template <class Job>
    void run(Job& job) const {
        using shown_source = untied_source<typename Job::source_type>;
        const shown_source shown(job.source());
        const overlay_source<shown_source> original(shown);
        overlay_source<shown_source> quantized(shown);
        const decoder::model_options options{.threads = job.threads()};
        const decoder::model original_model(original, options), quantized_model(quantized, options);
        const token_windows windows = text.all();
        decoder::activations original_state = original_model.embed(windows, memory);

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
        const bool is_first = embedding != choices.end() && place_of(output_name) != choices.end();
        const std::size_t layers = original_model.spec().layers.size();
        std::optional<decoder::activations> quantized_state(std::in_place, original_state.rows(),
                                                            original_state.columns(), windows.length(), memory);
        const auto found = job.load(std::array{&original_state, &*quantized_state});
        std::size_t next = found ? found->layer : 0;
        const auto is_before = [&](const tensor_info& info) {
            if (next == layers || (is_first && info.name == embedding_name)) return true;
            return block_index(info.name).value_or(next) < next;
        };
        if (next > 0 && !job.resume(is_before, lost_tensors::all_together)) {
            next = 0;
            original_state = original_model.embed(windows, memory);
        }
        if (next > 0) pass.load_sums(found->more);
        if (next == 0) {
            if (is_first) {
                show_written([](const tensor_info& info) { return info.name == embedding_name; });
                job.encode({{static_cast<std::size_t>(embedding - choices.begin()), 0}, {}});
            }
            quantized_state.reset();  // its room is for the next
            quantized_state.emplace(quantized_model.embed(windows, memory));
        }

        struct original_input {
            std::string tensor;
            std::uint64_t first_row;
            decoder::activations rows;
        };
        std::vector<original_input> inputs;  // of the layer at work
        const auto find_input = [&](const decoder::linear& first) {
            return std::ranges::find_if(inputs, [&](const original_input& other) {
                return other.tensor == first.tensor->name && other.first_row == first.first_row;
            });
        };
        const auto remember = [&](const decoder::linear_input& input) {
            const decoder::linear& first = *input.shared.front();
            if (!input.routed.empty()) return pass(input);
            if (pass.waiting_for(input).empty()) return;
            auto to = find_input(first);
            if (to == inputs.end()) {
                const auto columns = static_cast<std::size_t>(input.rows.cols());
                inputs.push_back({first.tensor->name,
                                  first.first_row,
                                  {windows.tokens().size(), columns, windows.length(), memory}});
                to = inputs.end() - 1;
            }
            std::size_t tile = input.first_token / to->rows.tile_rows();
            input.rows.for_each([&](Eigen::Index, const auto& rows) { to->rows.put(tile++, decoder::matrix(rows)); });
        };
        const auto encode = [&](const decoder::linear_input& input) {
            const decoder::linear& first = *input.shared.front();
            const auto before = find_input(first);
            if (!input.routed.empty() || before == inputs.end()) return;
            std::vector<plan_matrix> matrices = pass.waiting_for(input);
            std::erase_if(matrices, [&](const plan_matrix& m) { return job.encode_exact(m); });
            if (matrices.empty()) return;
            decoder::matrix correction;
            const bool is_moved = !pass.is_table(matrices.front());  // an embedding is not to be moved
            const auto compensate = [&](decoder::matrix& gram) {
                if (!is_moved) return;
                const decoder::activations& x = before->rows;
                const auto read = [&](std::size_t i, decoder::matrix& buffer) -> const decoder::matrix& {
                    return x.look(i, buffer);
                };
                correction = compensation({read, x.rows(), x.tile_rows(), 0, x.columns()}, input.rows, pass.used(input),
                                          gram, learning.damping, job.threads());
            };
            const input_knowledge learned = pass.learn(input, matrices, compensate);
            inputs.erase(before);
            matrix_knowledge known = learned.known();
            known.correction = {{correction.data(), static_cast<std::size_t>(correction.size())},
                                static_cast<std::size_t>(correction.cols())};
            pass.encode(matrices, known);
        };
        while (next < layers) {
            show_written([next](const tensor_info& info) { return block_index(info.name) == next; });
            inputs.clear();
            original_model.run_layer(next, original_state, remember, decoder::shown_inputs::routed_whole);
            quantized_model.run_layer(next++, *quantized_state, encode);
            pass.save(next, {&original_state, &*quantized_state});
        }
        written.clear();
        inputs.clear();
        original_model.observe_output(original_state, remember);
        quantized_model.observe_output(*quantized_state, encode);
        pass.encode_unreached();
        job.watch({});
    }
};

}  // namespace tessera
