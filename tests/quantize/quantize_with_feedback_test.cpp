// Error feedback over a whole model: every tensor is written once, by the encoder that loses less.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "decoder/tiny_model.hpp"
#include "support/random.hpp"
#include "support/support.hpp"
#include "tessera/calibrate/calibrate.hpp"
#include "tessera/calibrate/rare_matrices.hpp"
#include "tessera/encode/best_of.hpp"
#include "tessera/encode/encoders.hpp"
#include "tessera/encode/error_feedback.hpp"
#include "tessera/encode/output_error.hpp"
#include "tessera/format/legacy_quants.hpp"
#include "tessera/format/plain.hpp"
#include "tessera/measure/evaluate.hpp"
#include "tessera/quantize/encoding_job.hpp"
#include "tessera/quantize/from_quantized_inputs.hpp"
#include "tessera/quantize/from_text.hpp"
#include "tessera/quantize/quantize.hpp"
#include "tessera/select/strategies.hpp"

namespace {

using namespace tessera;
using support::tiny_shape;

using short_list = format_list<f32, f16, q4_0>;  // few, to compile fast
constexpr std::size_t window_length = 16, windows = 40;

const best_of encoder{weighted{}, error_feedback{}};

struct outcome {
    select::plan plan;
    memory_sink sink;
    std::vector<tensor_report> reports;
};

divided_windows text_of(std::span<const std::int32_t> used, std::span<const std::int32_t> held_out = {}) {
    divided_windows text{{{used.begin(), used.end()}, window_length}};
    if (!held_out.empty()) text.held_out.emplace(std::vector(held_out.begin(), held_out.end()), window_length);
    return text;
}

outcome run(const memory_source& model, std::span<const std::int32_t> used, std::span<const std::int32_t> held_out,
            int threads) {
    outcome result{
        select::make_plan(model.tensors(), select::uniform{*short_list::find(type_id::q4_0)}, short_list::layouts),
        {},
        {}};
    result.reports = quantize<short_list>(model, result.plan, encoder, from_text{text_of(used, held_out)}, result.sink,
                                          model.metadata(), {.threads = threads});
    return result;
}

tiny_shape of_whole_blocks(std::size_t experts) {
    return {
        .width = 32, .head_size = 16, .feed_forward = 64, .experts = experts, .experts_used = experts == 0 ? 0u : 2u};
}

}  // namespace

TEST_CASE("matrices whose inputs are seen are encoded with feedback, the others as by weighted") {
    for (const std::size_t experts : {0, 40}) {
        CAPTURE(experts);
        const tiny_shape shape = of_whole_blocks(experts);
        const memory_source model = support::make_tiny_model(shape);
        const auto tokens = support::random_tokens(window_length * (experts == 0 ? windows : 1), shape.vocabulary);
        const outcome made = run(model, tokens, {}, 2);
        REQUIRE(made.reports.size() == model.tensors().size());
        std::size_t by_feedback = 0, unseen = 0;
        for (std::size_t t = 0; t < made.reports.size(); ++t) {
            const tensor_info& target = made.plan.choices[t].target;
            CAPTURE(target.name);
            const tensor_report& report = made.reports[t];
            const bool is_encoded = target.type() == type_id::q4_0;
            CHECK(report.matrices("feedback") + report.matrices("weighted") == (is_encoded ? target.dims[2] : 0));
            CHECK((report.error.plain.squared_error > 0) == is_encoded);
            if (is_encoded && target.name != "token_embd.weight") {
                by_feedback += report.matrices("feedback");
                unseen += report.matrices("weighted");
            }
        }
        CHECK(by_feedback > 0);
        CHECK((unseen > 0) == (experts > 0));  // one window reaches at most 32 of 40 experts
    }
}

TEST_CASE("what the forward pass does not run is checked before it is written") {
    const tiny_shape shape = of_whole_blocks(0);
    memory_source model = support::make_tiny_model(shape);
    model.metadata().set("llama.block_count", std::uint32_t{3});
    model.metadata().set("llama.nextn_predict_layers", std::uint32_t{1});
    std::vector<float> norm(32, 1.0f);
    norm[7] = std::nanf("");
    model.add("blk.2.nextn.enorm.weight", {32}, norm);
    const auto tokens = support::random_tokens(window_length, shape.vocabulary);
    const auto complaint = support::message_of<error>([&] { (void)run(model, tokens, {}, 2); });
    CHECK(complaint.find("blk.2.nextn.enorm.weight: row 0, column 7: wanted a finite number") != std::string::npos);
    memory_sink sink;
    const select::plan plan =
        select::make_plan(model.tensors(), select::uniform{*short_list::find(type_id::q4_0)}, short_list::layouts);
    const auto layer_by_layer = support::message_of<error>([&] {
        (void)quantize<short_list>(model, plan, encoder, from_quantized_inputs{text_of(tokens)}, sink, model.metadata(),
                                   {.threads = 2});
    });
    CHECK(layer_by_layer == complaint);
}

TEST_CASE("large weights lose as much as their share says, without overflow") {
    const auto values = support::gaussian(64 * 64, 3);
    const decoder::matrix gram = decoder::matrix::Identity(64, 64);
    const auto lost = [&](float scale) {
        std::vector<float> scaled = values;
        for (float& x : scaled) x *= scale;
        return measure_output_error<q4_0>(nearest{}, {scaled, 64}, {}, {{gram.data(), 64 * 64}, 64});
    };
    const output_error small = lost(1.0f),
                       large = lost(0x1p110f);  // beyond the scales: all is lost, 2^220 times as much
    CHECK(small.outputs == doctest::Approx(small.weights));
    CHECK(large.outputs == doctest::Approx(large.weights));
    double norm = 0;
    for (const float x : values) norm += double{x} * double{x};
    CHECK(large.weights == doctest::Approx(std::ldexp(norm, 220)));
    std::vector<float> scaled = values;
    for (float& x : scaled) x *= 0x1p110f;
    CHECK(energy_of({scaled, 64}, {}).weights == doctest::Approx(std::ldexp(norm, 220)));
    CHECK(small.weights < 0.02 * norm);
}

TEST_CASE("held-out text decides, and chooses feedback where its gain is not limited to the calibration text") {
    const tiny_shape shape = of_whole_blocks(0);
    const memory_source model = support::make_tiny_model(shape);
    const auto tokens = support::random_tokens(window_length * windows, shape.vocabulary);
    const auto used = std::span(tokens).first(window_length * 30),
               held_out = std::span(tokens).subspan(window_length * 30);
    const outcome one = run(model, used, held_out, 1), three = run(model, used, held_out, 3);
    std::size_t chosen = 0;
    for (std::size_t t = 0; t < one.reports.size(); ++t) {
        const tensor_report& report = one.reports[t];
        CHECK((report.held_out_error("feedback") < report.held_out_error("weighted")) ==
              (report.matrices("feedback") > 0));
        if (report.held_out_error("weighted") > 0) chosen += report.matrices("feedback");
        const tensor_info& info = one.sink.tensors()[t];
        CHECK(std::ranges::equal(one.sink.packed(info, 0, info.rows()),
                                 three.sink.packed(three.sink.tensors()[t], 0, info.rows())));
    }
    CHECK(chosen >= 5);
}

TEST_CASE("experts that only held-out text reaches are written as well") {
    const tiny_shape shape = of_whole_blocks(40);
    const memory_source model = support::make_tiny_model(shape);
    const auto tokens = support::random_tokens(window_length * windows, shape.vocabulary);
    const outcome made =
        run(model, std::span(tokens).first(window_length), std::span(tokens).subspan(window_length), 1);
    for (std::size_t t = 0; t < made.reports.size(); ++t) {
        const tensor_info& target = made.plan.choices[t].target;
        if (target.type() == type_id::q4_0)
            CHECK(made.reports[t].matrices("feedback") + made.reports[t].matrices("weighted") == target.dims[2]);
    }
}

TEST_CASE("experts that few tokens reached are blended with the others, down to what they have in common") {
    const tiny_shape shape = of_whole_blocks(40);
    const memory_source model = support::make_tiny_model(shape);
    const auto tokens = support::random_tokens(window_length * windows, shape.vocabulary);
    const divided_windows text = text_of(tokens);
    const importance_table seen = make_importances(calibrate(model, text.used).inputs);
    const auto plan =
        select::make_plan(model.tensors(), select::uniform{*short_list::find(type_id::q4_0)}, short_list::layouts);
    const auto encode = [&](std::uint64_t enough, const importance_table& importances) {
        memory_sink sink;
        const from_text schedule{text, {.rare = {enough, &importances}}};
        (void)quantize<short_list>(model, plan, encoder, schedule, sink, model.metadata(), {.threads = 2});
        return sink;
    };
    const memory_sink alone = encode(0, seen);
    for (const std::uint64_t enough : {std::uint64_t{32}, std::uint64_t{1} << 40}) {
        CAPTURE(enough);
        importance_table blended = seen;
        (void)blend_rare_matrices(blended, enough);
        const memory_sink made = encode(enough, blended);
        memory_sink as_if_weighted;
        (void)quantize<short_list>(model, plan, weighted{}, from_importances{&blended}, as_if_weighted,
                                   model.metadata());
        std::size_t rare = 0, changed = 0, as_weighted = 0;
        for (const auto& [name, counts] : seen) {
            const auto info = std::ranges::find(made.tensors(), name, &tensor_info::name);
            const std::size_t matrices = info->dims[2], bytes = info->bytes() / matrices;
            const auto of = [&](const memory_sink& sink, std::size_t matrix) {
                return sink.packed(*info, 0, info->rows()).subspan(matrix * bytes, bytes);
            };
            CAPTURE(name);
            for (std::size_t m = 0; m < matrices; ++m) {
                const bool is_same = std::ranges::equal(of(made, m), of(alone, m));
                if (matrices == 1 || counts.tokens[m] >= enough) {
                    CHECK(is_same);
                    continue;
                }
                ++rare;
                changed += is_same ? 0 : 1;
                as_weighted += std::ranges::equal(of(made, m), of(as_if_weighted, m)) ? 1 : 0;
            }
        }
        CHECK(rare > 20);
        CHECK(changed > rare / 2);
        if (enough > 1000)
            CHECK(as_weighted > rare / 2);  // nothing of its own is left to feed back; damping still differs
    }
}

namespace {

// A researcher's encoder: rounds a row to the nearest levels, then moves single codes where e H e' falls, the columns
// that matter most first. It needs the Gram matrix of the inputs, and nothing else of the library.
struct coordinate_descent {
    static constexpr std::string_view name = "descent";
    static constexpr encoder_needs needs{.gram = true};
    static constexpr std::size_t rows_at_once = 1;

    template <class F>
    void operator()(format_tag<F> format, matrix_view rows, const matrix_knowledge& known,
                    std::span<typename F::block> out) const {
        weighted{}(format, rows, known, out);
        if constexpr (std::is_same_v<F, q4_0>) {
            const std::span<const float> row = rows.values();
            std::vector<float> error(row.size());
            decode_blocks<F>(out, error);
            for (std::size_t c = 0; c < row.size(); ++c) error[c] -= row[c];
            for (std::size_t c = 0; c < row.size(); ++c) {
                double slope = 0;  // of e H e' over the value of column c, halved
                for (std::size_t k = 0; k < row.size(); ++k) slope += double{known.gram.row(c)[k]} * double{error[k]};
                auto& block = out[c / 32];
                const std::size_t at = c % 32;
                const unsigned shift = at < 16 ? 0 : 4, old = (block.codes[at % 16] >> shift) & 15u;
                const double scale = double{static_cast<float>(block.scale)}, curvature = known.gram.row(c)[c];
                if (scale == 0 || curvature <= 0) continue;
                const double wanted = std::clamp(old - std::round(slope / curvature / scale), 0.0, 15.0);
                const auto code = static_cast<unsigned>(wanted);
                error[c] += static_cast<float>(scale * (double(code) - double(old)));
                block.codes[at % 16] =
                    static_cast<std::uint8_t>((block.codes[at % 16] & ~(15u << shift)) | code << shift);
            }
        }
    }
};

}  // namespace

TEST_CASE("every encoder gets rows that make good what its inputs have lost, whether it learns or not") {
    const tiny_shape shape = of_whole_blocks(0);
    const memory_source model = support::make_tiny_model(shape);
    const auto tokens = support::random_tokens(window_length * windows, shape.vocabulary);
    const auto plan =
        select::make_plan(model.tensors(), select::uniform{*short_list::find(type_id::q4_0)}, short_list::layouts);
    const divided_windows text =
        text_of(std::span(tokens).first(window_length * 30), std::span(tokens).subspan(window_length * 30));
    const auto divergence_with = [&](const auto& schedule) {
        memory_sink sink;
        (void)quantize<short_list>(model, plan, weighted{}, schedule, sink, model.metadata());
        return evaluate(model, sink, text.used).result().mean.value;
    };
    const double moved = divergence_with(from_quantized_inputs{text}), original = divergence_with(from_text{text});
    CAPTURE(moved / original);
    CHECK(moved < original);
    CHECK(moved > 0.1 * original);
}

TEST_CASE("an encoder of one's own learns from the inputs, with every schedule") {
    const tiny_shape shape = of_whole_blocks(0);
    const memory_source model = support::make_tiny_model(shape);
    const auto tokens = support::random_tokens(window_length * windows, shape.vocabulary);
    const auto plan =
        select::make_plan(model.tensors(), select::uniform{*short_list::find(type_id::q4_0)}, short_list::layouts);
    const best_of rivals{weighted{}, coordinate_descent{}};
    const auto run = [&](const auto& schedule) {
        memory_sink alone, sink;
        const auto own = quantize<short_list>(model, plan, coordinate_descent{}, schedule, alone, model.metadata());
        const auto reports = quantize<short_list>(model, plan, rivals, schedule, sink, model.metadata());
        std::size_t better = 0, judged = 0;
        for (std::size_t t = 0; t < reports.size(); ++t) {
            if (!plan.choices[t].is_encoded()) continue;
            const bool has_input = plan.choices[t].target.name != "token_embd.weight";
            CHECK(own[t].matrices(has_input ? "descent" : "weighted") == 1);  // what is not learned about is weighted
            if (reports[t].held_out_error("weighted") == 0) continue;
            ++judged;
            better += reports[t].held_out_error("descent") < reports[t].held_out_error("weighted") ? 1 : 0;
            CHECK(reports[t].matrices("descent") ==
                  (reports[t].held_out_error("descent") < reports[t].held_out_error("weighted") ? 1 : 0));
        }
        CHECK(judged >= 7);
        CHECK(better > judged / 2);
    };
    const divided_windows text =
        text_of(std::span(tokens).first(window_length * 30), std::span(tokens).subspan(window_length * 30));
    run(from_text{text});
    run(from_quantized_inputs{text});
}
