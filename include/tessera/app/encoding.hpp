// What encodes a model: the encoders of the verbs over any list of formats.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "tessera/app/amounts.hpp"
#include "tessera/app/any_formats.hpp"
#include "tessera/app/any_model.hpp"
#include "tessera/app/any_sink.hpp"
#include "tessera/app/loaded_importances.hpp"
#include "tessera/app/memory.hpp"
#include "tessera/app/options.hpp"
#include "tessera/calibrate/importance_table.hpp"
#include "tessera/calibrate/input_knowledge.hpp"
#include "tessera/core/block_index.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/core/progress.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/core/token_windows.hpp"
#include "tessera/core/type_id.hpp"
#include "tessera/damage/curve_points.hpp"
#include "tessera/damage/kept_damage.hpp"
#include "tessera/damage/measure_damage.hpp"
#include "tessera/damage/plan_meter.hpp"
#include "tessera/decoder/tile_memory.hpp"
#include "tessera/encode/best_of.hpp"
#include "tessera/encode/encoders.hpp"
#include "tessera/encode/error_feedback.hpp"
#include "tessera/format/builtin.hpp"
#include "tessera/measure/kl_divergence.hpp"
#include "tessera/quantize/from_importances.hpp"
#include "tessera/quantize/from_quantized_inputs.hpp"
#include "tessera/quantize/from_text.hpp"
#include "tessera/quantize/kept_encoding.hpp"
#include "tessera/quantize/quantize.hpp"
#include "tessera/quantize/tensor_report.hpp"
#include "tessera/select/damage_table.hpp"
#include "tessera/select/menu.hpp"
#include "tessera/select/plan.hpp"
#include "tessera/tensor/simulating_sink.hpp"

namespace tessera::app {

namespace detail {

[[nodiscard]] inline const importance_table* table_of(const loaded_importances* importances) noexcept {
    return importances == nullptr ? nullptr : &importances->file.importances;
}

[[nodiscard]] inline learning_options learning(const loaded_importances& importances) noexcept {
    return {.rare = {importances.enough_tokens, &importances.file.importances}};
}

// The memory of a stage for activations, and for packed tensors once they are whole.
[[nodiscard]] inline decoder::tile_memory memory_of(memory_stage stage, const any_model& model,
                                                    const encoding& encoding, std::size_t window, int threads,
                                                    std::uint64_t encoded) {
    return decoder::tile_memory(
        tile_memory_of(encoding.memory, needs_of(stage, model.metadata(), model.tensors(), window, threads, encoded)));
}

// What is packed in the formats that a tensor is measured in, a byte and a half per weight: of one tensor, or of all
// the experts of a layer, whose matrices take turns.
[[nodiscard]] inline std::uint64_t bytes_of_trial(std::span<const tensor_info> tensors) {
    std::uint64_t most = 0;
    std::map<std::size_t, std::uint64_t> experts;  // weights, by layer
    for (const tensor_info& info : tensors) {
        most = std::max(most, info.weights());
        const auto layer = block_index(info.name);
        if (layer && matrix_count(info) > 1) most = std::max(most, experts[*layer] += info.weights());
    }
    return most + most / 2;
}

}  // namespace detail

/// A measuring of plans (see plan_meter), of any list.
class any_plan_meter {
public:
    template <class Meter>
    explicit any_plan_meter(std::unique_ptr<Meter> meter)
        : samples_(meter->samples()),
          measure_([held = std::shared_ptr<Meter>(std::move(meter))](const select::plan& plan, std::size_t samples) {
              return held->measure(plan, samples);
          }) {}

    [[nodiscard]] std::size_t samples() const noexcept { return samples_; }
    [[nodiscard]] kl_divergence measure(const select::plan& plan, std::size_t samples) {
        return measure_(plan, samples);
    }
    [[nodiscard]] std::vector<float> operator()(const select::plan& plan, std::size_t samples) {
        const kl_divergence measured = measure(plan, samples);
        return {measured.per_token().begin(), measured.per_token().end()};
    }

private:
    std::size_t samples_;
    std::function<kl_divergence(const select::plan&, std::size_t)> measure_;
};

// The functions that are compiled for every list: not inline, so that a program may declare those of a list `extern
// template` and compile them where it likes.

/// Writes a model by a plan. Of error feedback, each matrix gets that or `weighted`, whichever loses less on text held
/// out. What is done is noted in `kept`, and gone on from, where that is not null.
template <class Formats>
std::vector<tensor_report> write_encoded(const any_model& model, const select::plan& plan, const encoding& encoding,
                                         any_sink sink, const metadata& properties, kept_encoding* kept, int threads,
                                         progress_callback report) {
    const auto run = [&](const auto& encoder, const auto& schedule) {
        return tessera::quantize<Formats>(model, plan, encoder, schedule, sink, properties,
                                          {.threads = threads, .kept = kept}, report);
    };
    const from_importances table{detail::table_of(encoding.importances)};
    if (encoding.encoder == encoder_kind::nearest) return run(nearest{}, table);
    if (encoding.encoder == encoder_kind::weighted) return run(weighted{}, table);
    const best_of encoder{weighted{}, error_feedback{}};
    const loaded_importances& importances = *encoding.importances;
    const divided_windows text = *importances.text();
    std::map<std::size_t, std::uint64_t> layers;  // bytes of what is written of each
    for (const select::choice& c : plan.choices)
        if (const auto layer = block_index(c.target.name)) layers[*layer] += c.target.bytes();
    const std::uint64_t written =
        encoding.inputs == feedback_inputs::original || layers.empty()
            ? 0
            : std::ranges::max_element(layers, {}, [](const auto& l) { return l.second; })->second;
    decoder::tile_memory memory =
        detail::memory_of(memory_stage::learning, model, encoding, text.used.length(), threads, written);
    if (encoding.inputs == feedback_inputs::quantized)
        return run(encoder, from_quantized_inputs{text, detail::learning(importances), &memory});
    return run(encoder, from_text{text, detail::learning(importances), &memory});
}

/// Calls f(sink) with a sink that stores values of formats as options say, in front of another.
template <class Formats>
void store_values(any_sink sink, simulated_store store, simulated which, const std::function<void(any_sink)>& f) {
    const auto with = [&](auto simulating) { f(any_sink(simulating)); };
    switch (store) {
        case simulated_store::none: return f(sink);
        case simulated_store::f16: return with(simulate<Formats, tessera::f16>(sink, which));
        case simulated_store::bf16: return with(simulate<Formats, tessera::bf16>(sink, which));
        case simulated_store::q8_0: return with(simulate<Formats, tessera::q8_0>(sink, which));
    }
}

/// The damage of the menu's formats with an encoding. What is measured is noted in `kept`, and gone on from, where that
/// is not null.
template <class Formats>
select::damage_table damage_of(const any_model& model, const encoding& encoding, const token_windows& windows,
                               const select::menu& menu, std::span<const type_layout> fallback,
                               const measure_options& measuring, kept_damage* kept, int threads,
                               progress_callback report) {
    decoder::tile_memory memory = detail::memory_of(memory_stage::measuring, model, encoding, windows.length(), threads,
                                                    detail::bytes_of_trial(model.tensors()));
    const auto run = [&](const auto& encoder, const auto& schedule) {
        const auto with = [&](const auto& measure) {
            return measure_damage<Formats>(
                model, encoder, schedule, windows, menu, fallback, measure,
                {.evaluate = {.threads = threads, .memory = &memory}, .passes = passes_within(measuring), .kept = kept},
                report);
        };
        return measuring.measure == damage_measuring::noise ? with(perturbation{}) : with(direct{});
    };
    if (encoding.encoder != encoder_kind::feedback)
        return run(weighted{}, from_importances{detail::table_of(encoding.importances)});
    const loaded_importances& importances = *encoding.importances;
    select::damage_table table = run(best_of{weighted{}, error_feedback{}},
                                     from_text{*importances.text(), detail::learning(importances), &memory});
    table.encoder = error_feedback::name;
    return table;
}

/// Measures plans with `weighted`. Model, importances and windows must outlive the result.
template <class Formats>
any_plan_meter meter_of(const any_model& model, const importance_table& importances, const token_windows& windows,
                        int threads, const memory_options& options) {
    struct meter_in_memory {
        meter_in_memory(decoder::tile_memory all, const any_model& model, const importance_table& importances,
                        const token_windows& windows, int threads)
            : memory(std::move(all)),
              meter(model, importances, windows, weighted{}, {.threads = threads, .memory = &memory}) {}
        decoder::tile_memory memory;
        plan_meter<Formats, any_model, weighted> meter;

        [[nodiscard]] std::size_t samples() const { return meter.samples(); }
        [[nodiscard]] kl_divergence measure(const select::plan& plan, std::size_t samples) {
            return meter.measure(plan, samples);
        }
    };
    return any_plan_meter(std::make_unique<meter_in_memory>(
        detail::memory_of(memory_stage::measuring, model, {.memory = options}, windows.length(), threads,
                          detail::bytes_of_trial(model.tensors())),
        model, importances, windows, threads));
}

/// What verbs that encode need of a list of formats.
class any_encoders : public any_formats {
public:
    template <class... Formats>
    explicit any_encoders(format_list<Formats...> list)
        : any_formats(list),
          write(&write_encoded<format_list<Formats...>>),
          store(&store_values<format_list<Formats...>>),
          damage(&damage_of<format_list<Formats...>>),
          meter(&meter_of<format_list<Formats...>>) {}

    std::vector<tensor_report> (*write)(const any_model&, const select::plan&, const encoding&, any_sink,
                                        const metadata&, kept_encoding*, int, progress_callback);
    void (*store)(any_sink, simulated_store, simulated, const std::function<void(any_sink)>&);
    select::damage_table (*damage)(const any_model&, const encoding&, const token_windows&, const select::menu&,
                                   std::span<const type_layout>, const measure_options&, kept_damage*, int,
                                   progress_callback);
    any_plan_meter (*meter)(const any_model&, const importance_table&, const token_windows&, int,
                            const memory_options&);
};

}  // namespace tessera::app
