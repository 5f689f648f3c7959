// An encoding that ends early goes on from what is in its output, and ends with the same bytes.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "decoder/tiny_model.hpp"
#include "support/support.hpp"
#include "tessera/core/stop.hpp"
#include "tessera/encode/best_of.hpp"
#include "tessera/encode/error_feedback.hpp"
#include "tessera/format/legacy_quants.hpp"
#include "tessera/format/plain.hpp"
#include "tessera/gguf/writer.hpp"
#include "tessera/quantize/from_importances.hpp"
#include "tessera/quantize/from_quantized_inputs.hpp"
#include "tessera/quantize/from_text.hpp"
#include "tessera/quantize/kept_encoding.hpp"
#include "tessera/quantize/quantize.hpp"
#include "tessera/select/strategies.hpp"

namespace {

using namespace tessera;
using support::scratch_dir;
using support::tiny_shape;

using few_formats = format_list<f32, f16, q4_0>;  // to compile fast
constexpr std::size_t window = 16;
const work_identity some_work = work_identity().add("model", 1);

// Experts of which some are reached by no token.
tiny_shape shape_of(std::size_t experts) {
    return {.layers = 3,
            .width = 32,
            .head_size = 16,
            .feed_forward = 64,
            .experts = experts,
            .experts_used = experts == 0 ? 0u : 2u};
}

divided_windows some_text(std::size_t vocabulary) {
    const auto tokens = support::random_tokens(3 * window, vocabulary);
    return {{{tokens.begin(), tokens.begin() + 2 * window}, window},
            token_windows{{tokens.begin() + 2 * window, tokens.end()}, window}};
}

struct run_of_encoding {
    std::vector<tensor_report> reports{};
    std::uint64_t weights = 0;  ///< that were encoded, not taken over
    bool is_stopped = false;
};

// Counts the weights that are written, on one thread.
struct counting_sink {
    gguf::writer& file;
    std::uint64_t weights = 0;

    void begin(std::span<const tensor_info> tensors, const metadata& properties) { file.begin(tensors, properties); }
    void write(const tensor_info& info, std::uint64_t first_row, byte_view bytes) {
        weights += bytes.size() / info.row_bytes() * info.columns();
        file.write(info, first_row, bytes);
    }
    void finish() { file.finish(); }
};

// Encodes to folder/x.gguf with unfinished work in folder/work, until about so many reports of progress have come.
template <class Encoder, class Schedule>
run_of_encoding run(const scratch_dir& folder, const memory_source& model, const Encoder& encoder,
                    const Schedule& schedule, std::optional<std::size_t> stop_at = std::nullopt) {
    const select::plan plan =
        select::make_plan(model.tensors(), select::uniform{*few_formats::find(type_id::q4_0)}, few_formats::layouts);
    support::fs::create_directory(folder / "work");
    gguf::writer file(folder / "x.gguf", {.unfinished = folder / "work", .noted_in = folder / "work/published"});
    kept_encoding kept(
        folder / "work/output.journal", some_work,
        {[&](std::string_view t, std::uint64_t first, std::uint64_t rows) { return file.sum_of_rows(t, first, rows); },
         [&](std::string_view t, std::uint64_t rows) { file.count_written(t, rows); }, [&] { file.sync(); }});
    run_of_encoding made;
    counting_sink sink{file};
    std::size_t reports = 0;
    const auto report = [&](const progress&) {
        if (reports++ == stop_at) request_stop();
    };
    try {
        made.reports = quantize<few_formats>(model, plan, encoder, schedule, sink, model.metadata(),
                                             {.threads = 1, .kept = &kept}, report);
    } catch (const stopped&) {
        made.is_stopped = true;
        CHECK(reports == *stop_at + 1);  // nothing further was encoded
    }
    withdraw_stop();
    made.weights = sink.weights;
    return made;
}

void require_same(const std::vector<tensor_report>& a, const std::vector<tensor_report>& b) {
    REQUIRE(a.size() == b.size());
    for (std::size_t t = 0; t < a.size(); ++t) {
        CHECK(a[t].error.plain.squared_error == b[t].error.plain.squared_error);
        CHECK(a[t].error.weighted.squared_norm == b[t].error.weighted.squared_norm);
        CHECK(a[t].most_damping == b[t].most_damping);
        CHECK(a[t].least_coupling == b[t].least_coupling);
        REQUIRE(a[t].encoders.size() == b[t].encoders.size());
        for (std::size_t e = 0; e < a[t].encoders.size(); ++e) {
            CHECK(a[t].encoders[e].encoder == b[t].encoders[e].encoder);
            CHECK(a[t].encoders[e].matrices == b[t].encoders[e].matrices);
            CHECK(a[t].encoders[e].held_out_error == b[t].encoders[e].held_out_error);
        }
    }
}

// Stops an encoding again and again, `step` reports after it began, until it comes to its end.
template <class Encoder, class Schedule>
void check_stops(const memory_source& model, const Encoder& encoder, const Schedule& schedule) {
    const scratch_dir undisturbed;
    const run_of_encoding whole = run(undisturbed, model, encoder, schedule);
    const std::string bytes = support::read_text(undisturbed / "x.gguf");
    for (const std::size_t step : {3u, 11u, 12u, 20u}) {
        CAPTURE(step);
        const scratch_dir folder;
        run_of_encoding made;
        std::size_t stops = 0;
        for (std::size_t at = step;; at += step) {  // one more each time: a layer has to be done at last
            made = run(folder, model, encoder, schedule, at);
            if (!made.is_stopped) break;
            CHECK_FALSE(support::fs::exists(folder / "x.gguf"));
            ++stops;
        }
        CHECK(stops > 0);
        CHECK(made.weights < whole.weights);  // the rest was taken over
        CHECK(support::read_text(folder / "x.gguf") == bytes);
        require_same(made.reports, whole.reports);

        // As if the process had been killed when the output had its name: nothing is encoded, and nothing refused.
        const run_of_encoding again = run(folder, model, encoder, schedule);
        CHECK(again.weights <= made.weights);
        CHECK(support::read_text(folder / "x.gguf") == bytes);
        require_same(again.reports, whole.reports);
        CHECK_FALSE(support::fs::exists(folder / "work/output-0.gguf"));
        // What somebody else has put there is in the way.
        support::write_text(folder / "x.gguf", bytes);
        CHECK_THROWS_AS((void)run(folder, model, encoder, schedule), const name_taken&);
    }
}

}  // namespace

TEST_CASE("an encoding from importances goes on with the tensors that are not whole") {
    const memory_source model = support::make_tiny_model(shape_of(0));
    check_stops(model, weighted{}, from_importances{});

    // What the output has lost of what was noted is encoded again.
    const scratch_dir folder, undisturbed;
    (void)run(undisturbed, model, weighted{}, from_importances{});
    REQUIRE(run(folder, model, weighted{}, from_importances{}, 9).is_stopped);
    std::string unfinished = support::read_text(folder / "work/output-0.gguf");
    const std::string whole = support::read_text(undisturbed / "x.gguf");
    REQUIRE(unfinished.size() == whole.size());
    std::size_t changed = 0;
    for (std::size_t i = 0; i < whole.size(); ++i)
        if (whole[i] != 0 && unfinished[i] == whole[i] && i % 97 == 0 && i > whole.size() / 4) {
            unfinished[i] ^= 1;
            ++changed;
        }
    REQUIRE(changed > 0);
    support::write_text(folder / "work/output-0.gguf", unfinished);
    CHECK_FALSE(run(folder, model, weighted{}, from_importances{}).is_stopped);
    CHECK(support::read_text(folder / "x.gguf") == whole);
}

TEST_CASE("an encoding from text goes on with the layer that it was at") {
    const best_of encoder{weighted{}, error_feedback{}};
    for (const std::size_t experts : {0u, 24u}) {
        CAPTURE(experts);
        const memory_source model = support::make_tiny_model(shape_of(experts));
        check_stops(model, encoder, from_text{some_text(50)});
        check_stops(model, encoder, from_quantized_inputs{some_text(50)});
    }
}

TEST_CASE("hidden states without the output that goes with them begin anew") {
    const best_of encoder{weighted{}, error_feedback{}};
    const memory_source model = support::make_tiny_model(shape_of(4));
    const scratch_dir undisturbed;
    (void)run(undisturbed, model, encoder, from_quantized_inputs{some_text(50)});
    for (const char* lost : {"work/output-0.gguf", "work/output.journal"}) {
        CAPTURE(std::string(lost));
        const scratch_dir folder;
        REQUIRE(run(folder, model, encoder, from_quantized_inputs{some_text(50)}, 20).is_stopped);
        REQUIRE(support::fs::remove(folder / lost));
        (void)run(folder, model, encoder, from_quantized_inputs{some_text(50)});
        CHECK(support::read_text(folder / "x.gguf") == support::read_text(undisturbed / "x.gguf"));
    }
}

TEST_CASE("a journal of an encoding that contradicts itself is refused") {
    const scratch_dir folder;
    tensor_info info;
    info.name = "blk.0.ffn_up.weight";
    info.dims = {32, 4, 1, 1};
    info.rank = 2;
    info.layout = layout_of<f32>;
    const std::vector<tensor_info> tensors{info};
    const resumable_output output{[](std::string_view, std::uint64_t, std::uint64_t) { return 5u; },
                                  [](std::string_view, std::uint64_t) {}, [] {}};
    const auto kept = [&] { return kept_encoding(folder / "journal", some_work, output); };
    const std::vector<std::string_view> encoders{"weighted"};
    using enum kept_encoding::part;
    tensor_report report;
    report.encoders = {{"weighted", 1, 2.5}};
    report.error.saturated = {3, 1, 2, 400.0f, 300.0f};
    kept().add(0, info, first, std::vector<std::size_t>{0}, report);
    const auto read = kept().read(tensors, encoders, 1);
    REQUIRE(read.size() == 1);
    CHECK(read[0].matrices == std::vector<std::pair<std::uint64_t, std::uint64_t>>{{0, 5}});
    CHECK(read[0].report.encoders[0].held_out_error == 2.5);
    CHECK(read[0].report.error.saturated.blocks == 3);
    CHECK(read[0].report.error.saturated.stored == 300.0f);
    CHECK_THROWS_AS((void)kept().read({}, encoders, 1), unfit_work);
    CHECK_THROWS_AS((void)kept().read(tensors, {}, 1), unfit_work);
    kept().add(0, info, further, std::vector<std::size_t>{0}, report);
    CHECK_THROWS_AS((void)kept().read(tensors, encoders, 1), unfit_work);
}
