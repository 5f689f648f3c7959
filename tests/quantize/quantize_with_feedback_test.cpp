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
#include "tessera/damage/measure_feedback_gains.hpp"
#include "tessera/encode/encoders.hpp"
#include "tessera/format/legacy_quants.hpp"
#include "tessera/format/plain.hpp"
#include "tessera/quantize/quantize.hpp"
#include "tessera/quantize/quantize_layer_by_layer.hpp"
#include "tessera/quantize/quantize_with_feedback.hpp"
#include "tessera/select/strategies.hpp"

namespace {

using namespace tessera;
using support::tiny_shape;

using short_list = format_list<f32, f16, q4_0>;  // few, to compile fast
constexpr std::size_t window_length = 16, windows = 40;

struct outcome {
    select::plan plan;
    memory_sink sink;
    std::vector<feedback_report> reports;
};

outcome run(const memory_source& model, std::span<const std::int32_t> used, std::span<const std::int32_t> held_back,
            int threads) {
    outcome result{
        select::make_plan(model.tensors(), select::uniform{*short_list::find(type_id::q4_0)}, short_list::layouts),
        {},
        {}};
    result.reports = quantize_with_feedback<short_list>(
        model, result.plan, model.metadata(), {used, held_back, window_length}, result.sink, {.threads = threads});
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
            const feedback_report& report = made.reports[t];
            const bool is_encoded = target.type() == type_id::q4_0;
            CHECK(report.with_feedback + report.weighted == (is_encoded ? target.dims[2] : 0));
            CHECK((report.error.plain.squared_error > 0) == is_encoded);
            if (is_encoded && target.name != "token_embd.weight") {
                by_feedback += report.with_feedback;
                unseen += report.weighted;
            }
        }
        CHECK(by_feedback > 0);
        CHECK((unseen > 0) == (experts > 0));  // one window reaches at most 32 of 40 experts
    }
}

TEST_CASE("what the forward pass does not run is looked at before it is written") {
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
        (void)quantize_layer_by_layer<short_list>(model, plan, model.metadata(), {tokens, {}, window_length}, sink,
                                                  {.threads = 2});
    });
    CHECK(layer_by_layer == complaint);
}

TEST_CASE("large weights lose as much as their share says, without overflow") {
    const auto values = support::gaussian(64 * 64, 3);
    const decoder::matrix gram = decoder::matrix::Identity(64, 64);
    const tensor_info target{.name = "t", .dims = {64, 64, 1, 1}, .rank = 2, .layout = *find_type(type_id::q4_0)};
    const auto lost = [&](float scale) {
        std::vector<float> scaled = values;
        for (float& x : scaled) x *= scale;
        return detail::try_encoder<short_list>(target, 0, scaled, {}, nearest{}, gram);
    };
    const trial_errors small = lost(1.0f),
                       large = lost(0x1p110f);  // beyond the scales: all is lost, 2^220 times as much
    CHECK(small.outputs == doctest::Approx(small.weights));
    CHECK(large.outputs == doctest::Approx(large.weights));
    double norm = 0;
    for (const float x : values) norm += double{x} * double{x};
    CHECK(large.weights == doctest::Approx(std::ldexp(norm, 220)));
    CHECK(small.weights < 0.02 * norm);
}

TEST_CASE("text that was held back decides, and chooses feedback where it holds for more than the text used") {
    const tiny_shape shape = of_whole_blocks(0);
    const memory_source model = support::make_tiny_model(shape);
    const auto tokens = support::random_tokens(window_length * windows, shape.vocabulary);
    const auto used = std::span(tokens).first(window_length * 30),
               held_back = std::span(tokens).subspan(window_length * 30);
    const outcome one = run(model, used, held_back, 1), three = run(model, used, held_back, 3);
    std::size_t chosen = 0;
    for (std::size_t t = 0; t < one.reports.size(); ++t) {
        const feedback_report& report = one.reports[t];
        CHECK((report.held_back_feedback < report.held_back_weighted) == (report.with_feedback > 0));
        if (report.held_back_weighted > 0) chosen += report.with_feedback;
        const tensor_info& info = one.sink.tensors()[t];
        CHECK(std::ranges::equal(one.sink.packed(info, 0, info.rows()),
                                 three.sink.packed(three.sink.tensors()[t], 0, info.rows())));
    }
    CHECK(chosen >= 5);
}

TEST_CASE("experts that only the text held back reaches are written as well") {
    const tiny_shape shape = of_whole_blocks(40);
    const memory_source model = support::make_tiny_model(shape);
    const auto tokens = support::random_tokens(window_length * windows, shape.vocabulary);
    const outcome made =
        run(model, std::span(tokens).first(window_length), std::span(tokens).subspan(window_length), 1);
    for (std::size_t t = 0; t < made.reports.size(); ++t) {
        const tensor_info& target = made.plan.choices[t].target;
        if (target.type() == type_id::q4_0)
            CHECK(made.reports[t].with_feedback + made.reports[t].weighted == target.dims[2]);
    }
}

TEST_CASE("experts that few tokens reached are blended with the others, down to what they have in common") {
    const tiny_shape shape = of_whole_blocks(40);
    const memory_source model = support::make_tiny_model(shape);
    const auto tokens = support::random_tokens(window_length * windows, shape.vocabulary);
    const feedback_text text{tokens, {}, window_length};
    const importance_table seen = make_importances(calibrate(model, tokens, window_length).inputs);
    const auto plan =
        select::make_plan(model.tensors(), select::uniform{*short_list::find(type_id::q4_0)}, short_list::layouts);
    const auto encode = [&](std::uint64_t enough, const importance_table& importances) {
        memory_sink sink;
        (void)quantize_with_feedback<short_list>(model, plan, model.metadata(), text, sink,
                                                 {.threads = 2, .rare = {enough, &importances}});
        return sink;
    };
    const memory_sink alone = encode(0, seen);
    for (const std::uint64_t enough : {std::uint64_t{32}, std::uint64_t{1} << 40}) {
        CAPTURE(enough);
        importance_table blended = seen;
        (void)blend_rare_matrices(blended, enough);
        const memory_sink made = encode(enough, blended);
        memory_sink weighed;
        (void)quantize_model<short_list>(model, plan, model.metadata(), weighted{}, weighed, {.importances = &blended});
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
                as_weighted += std::ranges::equal(of(made, m), of(weighed, m)) ? 1 : 0;
            }
        }
        CHECK(rare > 20);
        CHECK(changed > rare / 2);
        if (enough > 1000)
            CHECK(as_weighted > rare / 2);  // nothing of its own is left to feed back; damping still differs
    }
}

TEST_CASE("the gains measured beforehand are those of the real encoding") {
    const tiny_shape shape = of_whole_blocks(0);
    const memory_source model = support::make_tiny_model(shape);
    const auto tokens = support::random_tokens(window_length * windows, shape.vocabulary);
    const auto used = std::span(tokens).first(window_length * 30),
               held_back = std::span(tokens).subspan(window_length * 30);
    const feedback_gains gains = measure_feedback_gains<short_list>(model, {used, held_back, window_length},
                                                                    {.formats = {*short_list::find(type_id::q4_0)}},
                                                                    short_list::layouts, {.threads = 2});
    const outcome made = run(model, used, held_back, 2);
    std::size_t compared = 0;
    for (std::size_t t = 0; t < made.reports.size(); ++t) {
        const feedback_report& report = made.reports[t];
        const tensor_info& target = made.plan.choices[t].target;
        if (report.held_back_weighted == 0) {
            CHECK(gains.factor(target.name, type_id::q4_0) == 1.0);
            continue;
        }
        CAPTURE(target.name);
        const double ratio = std::min(1.0, report.held_back_feedback / report.held_back_weighted);
        CHECK(gains.factor(target.name, type_id::q4_0) == doctest::Approx(std::sqrt(ratio)));
        ++compared;
    }
    CHECK(compared >= 7);
    CHECK(gains.factor("output.weight", type_id::f16) == 1.0);
}
