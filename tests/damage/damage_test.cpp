// What edits and plans cost, measured in the middle of a model, against whole models that were really changed.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "decoder/counting_source.hpp"
#include "decoder/tiny_model.hpp"
#include "support/random.hpp"
#include "support/support.hpp"
#include "tessera/core/journal.hpp"
#include "tessera/core/stop.hpp"
#include "tessera/damage/encoding_trial.hpp"
#include "tessera/damage/kept_damage.hpp"
#include "tessera/damage/measure_damage.hpp"
#include "tessera/damage/plan_meter.hpp"
#include "tessera/decoder/tile_memory.hpp"
#include "tessera/encode/best_of.hpp"
#include "tessera/encode/error_feedback.hpp"
#include "tessera/measure/evaluate.hpp"
#include "tessera/quantize/from_importances.hpp"
#include "tessera/quantize/from_text.hpp"
#include "tessera/quantize/quantize.hpp"
#include "tessera/quantize/tensor_encoding.hpp"
#include "tessera/select/budget.hpp"
#include "tessera/select/strategies.hpp"

namespace {

using namespace tessera;
using support::make_tiny_model;
using support::tiny_shape;

using formats = format_list<f32, f16, q8_0, q5_1, q5_0, q4_1, q4_0>;  // few, to compile fast
constexpr std::size_t window = 8;

// Rows of 32, so that formats of 32-weight blocks fit.
tiny_shape shape_of(bool tied, std::size_t experts = 0) {
    return {.width = 32,
            .heads = 4,
            .kv_heads = 2,
            .head_size = 16,
            .feed_forward = 64,
            .experts = experts,
            .experts_used = experts / 2,
            .tied = tied};
}

// A copy with an output matrix of its own in which the rows of one tensor are edited.
template <class Edit>
memory_source edited_copy(const memory_source& source, const std::string& edited, const Edit& edit) {
    memory_source copy;
    copy.metadata() = source.metadata();
    const auto add = [&](const tensor_info& info, const std::string& name) {
        std::vector<float> values(info.weights());
        source.read(info, 0, info.rows(), values);
        tensor_info named = info;
        named.name = name;
        if (name == edited) edit(named, 0, std::span(values));
        copy.add(name, std::span<const std::uint64_t>(info.dims.data(), info.rank), std::move(values));
    };
    for (const tensor_info& info : source.tensors()) add(info, info.name);
    if (copy.find("output.weight") == nullptr) add(*source.find("token_embd.weight"), "output.weight");
    return copy;
}

importance_table importances_of(const memory_source& source) {
    importance_table table;
    std::uint32_t seed = 0;
    for (const tensor_info& info : source.tensors())
        if (block_index(info.name) && info.effective_rank() >= 2) {
            tensor_importance entry{support::gaussian(info.columns() * matrix_count(info), ++seed), {}};
            for (float& x : entry.mean_squares) x *= x;
            for (std::uint64_t m = 0; m < matrix_count(info); ++m) entry.tokens.push_back(5 + m);
            table.add(info.name, std::move(entry));
        }
    return table;
}

}  // namespace

TEST_CASE("the damage of an edit is that of the model with that tensor changed") {
    for (const tiny_shape& shape : {shape_of(false), shape_of(true), shape_of(false, 4)}) {
        const memory_source source = make_tiny_model(shape);
        const auto tokens = support::random_tokens(4 * window, shape.vocabulary);
        const token_windows windows(tokens, window);
        damage_meter meter(source, windows);
        std::vector<std::string> seen;
        for (const damage_subject& subject : meter.subjects()) {
            CAPTURE(subject.info->name);
            seen.push_back(subject.info->name);
            const noise edit{0.3, 1};
            const auto got = meter(subject, edit);
            const memory_source changed = edited_copy(source, subject.info->name, edit);
            const auto wanted = evaluate(source, changed, windows);
            CHECK(std::ranges::equal(got.per_token(), wanted.per_token()));
            CHECK(got.result().mean.value > 1e-6);
            CHECK(meter(subject, noise{0.0}).result().mean.value == doctest::Approx(0.0).epsilon(1e-7));
        }
        CHECK(seen.front() == "token_embd.weight");
        CHECK(seen.back() == "output.weight");
        CHECK(seen.size() == 2 + shape.layers * 7);
    }
}

TEST_CASE("edits that share a run cost in their windows what each alone does") {
    for (const bool tied : {false, true}) {
        const memory_source source = make_tiny_model(shape_of(tied));
        const token_windows windows(support::random_tokens(5 * window, 50), window);
        damage_meter meter(source, windows);
        const auto subjects = meter.subjects();
        const auto in_place = [&](damage_role role, std::size_t layer) {
            std::vector<windowed_edit> edits;
            for (const damage_subject& s : subjects)
                if (s.role == role && s.layer == layer) edits.push_back({&s, noise{0.3, edits.size()}});
            if (edits.size() == 1) edits.push_back({edits.front().subject, noise{0.1}});
            for (std::size_t w = 0; w < windows.size(); ++w) edits[2 * w % 3 % edits.size()].windows.push_back(w);
            return edits;
        };
        for (const auto& edits :
             {in_place(damage_role::embedding, 0), in_place(damage_role::layer, 0), in_place(damage_role::layer, 1)}) {
            const kl_divergence together = meter(edits);
            const std::size_t scored = scored_positions::of_window(window).count;
            for (const windowed_edit& e : edits) {
                const kl_divergence alone = meter(*e.subject, e.edit);
                CHECK(alone.result().mean.value > 1e-6);
                for (const std::size_t w : e.windows)
                    for (std::size_t t = w * scored; t < (w + 1) * scored; ++t)
                        CHECK(together.per_token()[t] == doctest::Approx(alone.per_token()[t]).epsilon(1e-3));
            }
        }
    }
}

TEST_CASE("fewer passes give nearly the same table, and say what they interpolate") {
    const memory_source source = make_tiny_model([] {
        tiny_shape shape = shape_of(false);
        shape.layers = 9;
        return shape;
    }());
    const token_windows windows(support::random_tokens(80 * window, 50), window);
    const select::menu menu = select::parse_menu<formats>("legacy");
    const auto measure = [&](double passes) {
        return measure_damage<formats>(source, weighted{}, from_importances{}, windows, menu, formats::layouts,
                                       direct{}, {.passes = passes});
    };
    const auto whole = measure(1e9);
    const auto log_distance = [&](const select::damage_table& other) {
        double squares = 0;
        REQUIRE(other.tensors.size() == whole.tensors.size());
        for (std::size_t t = 0; t < whole.tensors.size(); ++t) {
            REQUIRE(other.tensors[t].name == whole.tensors[t].name);
            REQUIRE(other.tensors[t].options.size() == whole.tensors[t].options.size());
            const double off =
                std::log(*other.tensors[t].damage(type_id::q4_0) / *whole.tensors[t].damage(type_id::q4_0));
            squares += off * off;
        }
        return std::sqrt(squares / static_cast<double>(whole.tensors.size()));
    };
    const auto interpolated = [](const select::damage_table& table) {
        return std::ranges::count_if(table.tensors, [](const auto& t) { return !t.between.empty(); });
    };
    const auto shared = measure(40);
    CHECK(interpolated(shared) == 0);
    CHECK(log_distance(shared) > 0.0001);
    CHECK(log_distance(shared) < 0.25);
    const auto sparse = measure(12);
    CHECK(interpolated(sparse) > 0);
    CHECK(interpolated(sparse) % 7 == 0);  // whole layers
    CHECK(log_distance(sparse) < 1.0);
    for (const select::tensor_damage& t : sparse.tensors) {
        CAPTURE(t.name);
        CHECK(t.sensitivity > 0);
        CHECK(t.sensitivity_error > 0);
        CHECK((t.name.starts_with("blk.0.") || t.name.starts_with("blk.8.") ? t.between.empty() : true));
        for (const std::string& other : t.between) {
            CHECK(detail::part_of_layer(other) == detail::part_of_layer(t.name));
            CHECK(sparse.find(other)->between.empty());
        }
    }
}

TEST_CASE("what is kept of a measurement spares the layers before it") {
    const memory_source model = make_tiny_model(shape_of(false));
    const support::counting_source source(model);
    const token_windows windows(support::random_tokens(5 * window, 50), window);
    const support::scratch_dir folder;
    const kept_damage kept(folder / "damage.journal", work_identity().add("model", 1));
    struct figures {
        float first, last;
    };
    const auto measure = [&](std::size_t first, std::size_t last, const kept_damage* in) {
        damage_meter meter(source, windows, {}, in);
        const auto subjects = meter.subjects();
        const auto in_layer = [&](std::size_t layer) {
            const auto found = std::ranges::find_if(
                subjects, [&](const auto& s) { return s.role != damage_role::embedding && s.layer == layer; });
            REQUIRE(found != subjects.end());
            return meter(*found, noise{0.1}).per_token().front();
        };
        return figures{in_layer(first), in_layer(last)};
    };
    const auto reads_of_first_layer = [&] { return source.take().contains("blk.0.ffn_down.weight"); };
    const figures whole = measure(0, 1, nullptr);
    CHECK(measure(0, 1, &kept).last == whole.last);
    CHECK(reads_of_first_layer());
    CHECK(measure(1, 1, &kept).last == whole.last);
    CHECK_FALSE(reads_of_first_layer());
    CHECK(measure(0, 2, &kept).first == whole.first);
    CHECK(measure(1, 2, &kept).first == whole.last);  // what is kept of a later layer is of no use to an earlier one
}

TEST_CASE("noise has the size it was asked for, and is the same however rows are read") {
    const memory_source source = make_tiny_model(shape_of(false));
    const tensor_info& info = *source.find("blk.1.ffn_down.weight");
    const noise edit{0.2, 3};
    const weighted encoder;
    const encoding_trial<formats, memory_source, weighted> trial(source, info, info, encoder, {1u << 16, 2, 1});
    CHECK(trial.error_of(edit) == doctest::Approx(0.2).epsilon(1e-4));
    std::vector<float> whole(info.weights()), row(info.columns());
    source.read(info, 0, info.rows(), whole);
    edit(info, 0, std::span(whole));
    source.read(info, 5, 1, row);
    edit(info, 5, std::span(row));
    CHECK(std::ranges::equal(row, std::span(whole).subspan(5 * info.columns(), info.columns())));
}

TEST_CASE("a damage table has what was measured, and curves between") {
    const memory_source source = make_tiny_model(shape_of(true));
    const importance_table importances = importances_of(source);
    const token_windows windows(support::random_tokens(8 * window, 50), window);
    const select::menu menu = select::parse_menu<formats>("legacy");
    const auto table = measure_damage<formats>(source, weighted{}, from_importances{&importances}, windows, menu,
                                               formats::layouts, direct{{0.001, 0.07}});
    damage_meter meter(source, windows);
    std::size_t place = 0;
    const weighted encoder;
    for (const damage_subject& subject : meter.subjects()) {
        const select::tensor_damage& entry = table.tensors[place++];
        CAPTURE(entry.name);
        CHECK(entry.name == subject.info->name);
        CHECK(entry.options.size() == menu.formats.size());
        CHECK(entry.sensitivity > 0);
        const tensor_info& info = *subject.info;
        tensor_encoding<formats, memory_source, weighted> encoded(
            source, meter.shown().stored(info), with_layout(info, *find_type(type_id::q8_0)), encoder, 1);
        for (std::size_t m = 0; m < matrix_count(info); ++m)
            encoded.encode(m, {.importance = importances.find(info, m)});
        const stored_rows<decltype(encoded)> edit{encoded};
        CHECK(*entry.damage(type_id::q8_0) == doctest::Approx(meter(subject, edit).result().mean.value));
        CHECK(*entry.damage(type_id::q8_0) < *entry.damage(type_id::q5_0));
        CHECK(*entry.damage(type_id::q5_0) < *entry.damage(type_id::q4_0));
    }
    CHECK(place == table.tensors.size());

    const auto by_noise = measure_damage<formats>(source, weighted{}, from_importances{&importances}, windows, menu,
                                                  formats::layouts, perturbation{{0.05}});
    double log_ratio = 0;
    for (std::size_t t = 0; t < table.tensors.size(); ++t)
        log_ratio += std::log(*by_noise.tensors[t].damage(type_id::q4_0) / *table.tensors[t].damage(type_id::q4_0));
    const double mean_ratio = std::exp(log_ratio / static_cast<double>(table.tensors.size()));
    CHECK(mean_ratio > 0.4);
    CHECK(mean_ratio < 2.5);
}

TEST_CASE("tensors that the forward pass does not reach borrow the damage of others") {
    memory_source source = make_tiny_model(shape_of(false));
    source.metadata().set("llama.block_count", std::uint32_t{3});
    source.metadata().set("llama.nextn_predict_layers", std::uint32_t{1});
    source.add("blk.2.ffn_up.weight", {32, 64}, support::gaussian(32 * 64, 1));
    source.add("blk.2.nextn.eh_proj.weight", {64, 32}, support::gaussian(64 * 32, 2));
    source.add("blk.2.nextn.embed_tokens.weight", {32, 50}, support::gaussian(32 * 50, 3));
    source.add("blk.2.nextn.shared_head_head.weight", {32, 50}, support::gaussian(32 * 50, 4));
    source.add("blk.2.nextn.enorm.weight", {32}, support::gaussian(32, 5));
    const auto tokens = support::random_tokens(4 * window, 50);
    const select::menu menu = select::parse_menu<formats>("legacy");
    const auto table = measure_damage<formats>(source, weighted{}, from_importances{}, {tokens, window}, menu,
                                               formats::layouts, direct{{0.07}});

    std::vector<double> sensitivities;
    for (const select::tensor_damage& t : table.tensors)
        if (t.priced_as.empty()) sensitivities.push_back(t.sensitivity);
    std::ranges::sort(sensitivities);
    const double typical = sensitivities[sensitivities.size() / 2];
    struct pricing {
        std::string_view name, lender;
    };
    for (const pricing& p :
         std::initializer_list<pricing>{{"blk.2.ffn_up.weight", "blk.1.ffn_up.weight"},
                                        {"blk.2.nextn.eh_proj.weight", select::tensor_damage::typical},
                                        {"blk.2.nextn.embed_tokens.weight", "token_embd.weight"},
                                        {"blk.2.nextn.shared_head_head.weight", "output.weight"}}) {
        CAPTURE(p.name);
        const select::tensor_damage* entry = table.find(p.name);
        REQUIRE(entry != nullptr);
        CHECK(entry->priced_as == p.lender);
        const bool is_typical = p.lender == select::tensor_damage::typical;
        CHECK(entry->sensitivity == doctest::Approx(is_typical ? typical : table.find(p.lender)->sensitivity));
        REQUIRE(entry->damage(type_id::q4_0));
        CHECK(*entry->damage(type_id::q4_0) > *entry->damage(type_id::q8_0));
        CHECK(*entry->damage(type_id::q8_0) > 0);
    }
    CHECK(table.find("blk.2.nextn.enorm.weight") == nullptr);  // a vector

    // So a budget decides about them, too: none is left in full precision for want of a price.
    std::uint64_t all = 0;
    for (const tensor_info& info : source.tensors()) all += info.weights();
    const select::budget budget{.damage = table, .limit = select::at_most_bytes{all * 7 / 8}, .choices = menu};
    for (const select::choice& made : select::make_plan(source.tensors(), budget, formats::layouts).choices) {
        if (made.why == select::reason::kept) continue;
        CHECK(made.why == select::reason::budget);
        CHECK(made.target.layout.block_size == 32);
    }
}

TEST_CASE("a plan is measured as the model it makes is") {
    for (const bool tied : {false, true}) {
        const memory_source source = make_tiny_model(shape_of(tied, 4));
        const importance_table importances = importances_of(source);
        const auto tokens = support::random_tokens(4 * window, 50);
        const auto rule = [](const tensor_info& info) {
            return std::optional(
                *find_type(info.name.find("ffn") != std::string::npos ? type_id::q4_0 : type_id::q8_0));
        };
        select::plan plan = select::make_plan(source.tensors(), rule, formats::layouts);
        if (tied) {
            plan.choices.push_back(plan.choices.front());
            plan.choices.back().made_from = plan.choices.front().target.name;
            plan.choices.back().target = with_layout(plan.choices.front().target, *find_type(type_id::q5_1));
            plan.choices.back().target.name = "output.weight";
        }
        memory_sink sink;
        quantize<formats>(source, plan, weighted{}, from_importances{&importances}, sink, source.metadata());
        const token_windows windows(tokens, window);
        decoder::tile_memory memory({.bytes = 0, .tile_tokens = 2 * window});
        plan_meter<formats, memory_source> meter(source, importances, windows, {}, {.memory = &memory});
        for (int again = 0; again < 2; ++again) {
            CHECK(std::ranges::equal(meter.measure(plan, 99).per_token(), evaluate(source, sink, windows).per_token()));
            const auto half = evaluate(source, sink, windows.first(2));
            const std::vector<float> got = meter(plan, 2);  // products of fewer rows may differ in the last bit
            REQUIRE(got.size() == half.tokens());
            for (std::size_t t = 0; t < got.size(); ++t) CHECK(std::abs(got[t] - half.per_token()[t]) < 1e-5f);
        }
    }
}

TEST_CASE("damage is measured with the encoder that will be used, and what it may know") {
    const memory_source source = make_tiny_model(shape_of(false, 4));
    const auto tokens = support::random_tokens(60 * window, 50);
    const auto part = [&](std::size_t first, std::size_t count) {
        const auto some = std::span(tokens).subspan(first * window, count * window);
        return token_windows({some.begin(), some.end()}, window);
    };
    const divided_windows text{part(0, 40), part(40, 12)};
    const token_windows fresh = part(52, 8);
    const best_of encoder{weighted{}, error_feedback{}};
    const select::menu menu{.formats = {*find_type(type_id::q4_0)}, .stored = select::stored_type::excluded};
    decoder::tile_memory memory({.bytes = 0, .tile_tokens = 3 * window});
    const auto table = measure_damage<formats>(source, encoder, from_text{text, {}, &memory}, fresh, menu,
                                               formats::layouts, direct{}, {.evaluate = {.memory = &memory}});
    CHECK(memory.scratch_bytes() > 0);

    // The only format there is was measured: each price is the divergence of a model with that one tensor encoded.
    std::size_t compared = 0;
    for (const select::tensor_damage& entry : table.tensors) {
        CAPTURE(entry.name);
        const auto rule = [&](const tensor_info& info) -> std::optional<type_layout> {
            if (info.name == entry.name) return *find_type(type_id::q4_0);
            return info.layout;
        };
        const select::plan plan = select::make_plan(source.tensors(), rule, formats::layouts);
        memory_sink sink;
        quantize<formats>(source, plan, encoder, from_text{text}, sink, source.metadata());
        CHECK(*entry.damage(type_id::q4_0) ==
              doctest::Approx(evaluate(source, sink, fresh).result().mean.value).epsilon(1e-4));
        ++compared;
    }
    CHECK(compared == 2 + 2 * 7);
}

TEST_CASE("a damage table goes on with the tensors that are not measured, to the same numbers") {
    const memory_source model = make_tiny_model(shape_of(false, 12));
    const auto tokens = support::random_tokens(10 * window, 50);
    const auto part = [&](std::size_t first, std::size_t count) {
        const auto some = std::span(tokens).subspan(first * window, count * window);
        return token_windows({some.begin(), some.end()}, window);
    };
    const divided_windows text{part(0, 3), part(3, 2)};  // some experts are reached by no token
    const token_windows fresh = part(5, 5);
    const best_of encoder{weighted{}, error_feedback{}};
    const select::menu menu{.formats = {*find_type(type_id::q4_0)}, .stored = select::stored_type::excluded};
    const work_identity some_work = work_identity().add("model", 1);
    const auto measure = [&](const auto& source, kept_damage* kept, progress_callback report) {
        return measure_damage<formats>(source, encoder, from_text{text}, fresh, menu, formats::layouts, direct{},
                                       {.evaluate = {.threads = 2}, .kept = kept}, report);
    };
    const auto whole = measure(model, nullptr, {});
    constexpr std::array<std::size_t, 5> tensors{0, 7, 8, 15, 16};  // of the first groups that are measured
    constexpr std::size_t places = tensors.size() - 1;
    for (const std::size_t step : {1u, 2u, 3u}) {
        CAPTURE(step);
        const support::scratch_dir folder;
        std::size_t measured = 0, stops = 0;
        for (;;) {
            kept_damage kept(folder / "journal", some_work);
            CHECK(kept.tensors() == tensors.at(measured));
            REQUIRE(stops <= places);
            const std::size_t stop_at = measured + step;
            std::size_t begun = measured;
            const auto stop_later = [&](const progress& now) {
                if (now.number <= begun) return;  // still the same place
                CHECK(now.number == begun + 1);   // none twice
                begun = now.number;
                measured = begun - 1;
                if (measured == stop_at) request_stop();
            };
            try {
                const auto table = measure(model, &kept, stop_later);
                measured = begun;
                REQUIRE(table.tensors.size() == whole.tensors.size());
                for (std::size_t t = 0; t < table.tensors.size(); ++t) {
                    const select::tensor_damage &a = table.tensors[t], &b = whole.tensors[t];
                    CHECK(a.name == b.name);
                    CHECK(a.sensitivity == b.sensitivity);
                    CHECK(a.sensitivity_error == b.sensitivity_error);
                    CHECK(a.damage(type_id::q4_0) == b.damage(type_id::q4_0));
                    CHECK(a.options.size() == b.options.size());
                }
                break;
            } catch (const stopped&) {
                withdraw_stop();
                ++stops;
            }
        }
        CHECK(measured == places);
        CHECK(stops >= places / step - 1);
    }
}
