#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <limits>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "support/random.hpp"
#include "support/support.hpp"
#include "tessera/gguf.hpp"
#include "tessera/quantize/output_metadata.hpp"
#include "tessera/quantize/pack.hpp"
#include "tessera/quantize/quantize.hpp"
#include "tessera/select.hpp"
#include "tessera/tensor/memory.hpp"

using namespace tessera;
using support::gaussian;

namespace {

memory_source small_model() {
    memory_source model;
    model.metadata().set("general.architecture", std::string("llama"));
    model.add("token_embd.weight", {512, 300}, gaussian(512 * 300, 1));
    model.add("blk.0.attn_norm.weight", {512}, gaussian(512, 2));
    model.add("blk.0.ffn_up_exps.weight", {512, 40, 4}, gaussian(512 * 40 * 4, 3));
    model.add("blk.0.ffn_down.weight", {96, 512}, gaussian(96 * 512, 4));
    return model;
}

select::plan plan_for(const memory_source& model, type_id id) {
    return select::make_plan(model.tensors(), select::uniform{*builtin_formats::find(id)}, fallback_formats::layouts);
}

std::string quantized_file(const memory_source& model, type_id id, int threads, std::uint64_t tile_weights) {
    const support::scratch_dir dir;
    const select::plan plan = plan_for(model, id);
    gguf::writer file(dir / "out.gguf", {});
    quantize(model, plan, weighted{}, from_importances{}, file, output_metadata(model.metadata(), plan),
             {.threads = threads, .tile_weights = tile_weights});
    return support::read_text(dir / "out.gguf");
}

}  // namespace

TEST_CASE("quantize writes what the plan says, with the error it reports") {
    const memory_source model = small_model();
    builtin_formats::for_each([&]<class F>(format_tag<F>) {
        CAPTURE(F::name);
        const select::plan plan = plan_for(model, F::type);
        memory_sink sink;
        const auto reports = quantize(model, plan, weighted{}, from_importances{}, sink,
                                      output_metadata(model.metadata(), plan), {.threads = 2, .tile_weights = 5000});
        REQUIRE(reports.size() == 4);
        for (std::size_t t = 0; t < 4; ++t) {
            const tensor_info& from = model.tensors()[t];
            const tensor_info& to = sink.tensors()[t];
            CHECK(to.name == from.name);
            CHECK(to.type() == plan.choices[t].target.type());
            std::vector<float> original(from.weights()), decoded(from.weights());
            model.read(from, 0, from.rows(), original);
            sink.read(to, 0, to.rows(), decoded);
            double error = 0, norm = 0;
            for (std::size_t i = 0; i < original.size(); ++i) {
                error += std::pow(double{decoded[i]} - double{original[i]}, 2);
                norm += std::pow(double{original[i]}, 2);
            }
            // Tensors copied byte for byte report nothing; the others what a decoder finds.
            CHECK(reports[t].error.plain.squared_error == doctest::Approx(error));
            if (to.type() == from.type())
                CHECK(error == 0);
            else
                CHECK(reports[t].error.plain.relative() == doctest::Approx(std::sqrt(error / norm)));
        }
        CHECK(sink.tensors()[1].type() == type_id::f32);
        if (F::block_size == 256) {  // does not fit rows of 96: the next larger that does
            constexpr double bits = bits_per_weight<F>;
            CHECK(sink.tensors()[3].type() == (bits < 4.5   ? type_id::iq4_nl
                                               : bits < 5.5 ? type_id::q5_0
                                               : bits < 6.0 ? type_id::q5_1
                                                            : type_id::q8_0));
        }
    });
}

TEST_CASE("every matrix is encoded with its own importances, whatever the tiles") {
    const memory_source model = small_model();
    const tensor_info& stack = model.tensors()[2];
    importance_table importances;
    tensor_importance entry{{}, {9, 0, 9, 9}};
    for (const float x : gaussian(512 * 4, 5)) entry.mean_squares.push_back(x * x);
    importances.add(stack.name, entry);

    const select::plan plan = plan_for(model, type_id::q4_k);
    memory_sink sink;
    const auto reports = quantize(model, plan, weighted{}, from_importances{&importances}, sink, {},
                                  {.threads = 2, .tile_weights = 512 * 7});
    std::vector<float> weights(512 * 40);
    weight_error wanted;
    for (std::size_t m = 0; m < 4; ++m) {
        model.read(stack, 40 * m, 40, weights);
        const matrix_view view(weights, 512);
        const auto own = std::span<const float>(entry.mean_squares).subspan(512 * m, m == 1 ? 0 : 512);
        const auto packed = quantize<q4_k>(view, {.importance = own});
        const byte_view got = sink.packed(sink.tensors()[2], 40 * m, 40);
        CHECK(std::equal(got.begin(), got.end(), std::as_bytes(packed.blocks()).begin()));
        if (m != 1) wanted += measure_error(view, packed, own);
    }
    CHECK(reports[2].error.weighted.squared_error == doctest::Approx(wanted.squared_error));
    CHECK(reports[2].error.weighted.relative() == doctest::Approx(wanted.relative()));
    CHECK(reports[0].error.weighted.squared_error == 0);

    importance_table foreign;
    foreign.add(stack.name, {{1, 2, 3}, {9}});
    memory_sink untouched;
    CHECK_THROWS_AS(quantize(model, plan, weighted{}, from_importances{&foreign}, untouched, {}), error);
    CHECK(untouched.tensors().empty());
}

TEST_CASE("the metadata tell which importance matrix was used") {
    metadata properties;
    const imatrix_file file{.datasets = {"\xc3\xa4" + std::string(124, 'x') + "\xc3\xa4"}, .chunk_count = 7};
    note_importances(properties, "dir/imatrix.gguf", file);
    CHECK(properties.require<std::string>("quantize.imatrix.file") == "dir/imatrix.gguf");
    CHECK(properties.require<std::string>("quantize.imatrix.dataset") == "\xc3\xa4" + std::string(124, 'x'));
    CHECK(properties.require<std::uint32_t>("quantize.imatrix.entries_count") == 0);
    CHECK(properties.require<std::uint32_t>("quantize.imatrix.chunks_count") == 7);
}

TEST_CASE("a tensor may be written twice, in two types, from one of the source") {
    const memory_source model = small_model();
    select::plan plan = plan_for(model, type_id::q4_k);
    select::choice second = plan.choices[0];
    second.made_from = second.target.name;
    second.target.name = "output.weight";
    second.target.layout = *find_type(type_id::q8_0);
    plan.choices.push_back(second);

    const support::scratch_dir dir;
    gguf::writer file(dir / "out.gguf", {});
    const metadata properties = output_metadata(model.metadata(), plan);
    quantize(model, plan, weighted{}, from_importances{}, file, properties, {.threads = 2, .tile_weights = 5000});
    const gguf::reader written(dir / "out.gguf");
    CHECK(support::fs::file_size(dir / "out.gguf") == gguf::file_size(plan.targets(), properties));
    REQUIRE(written.tensors().size() == 5);
    std::vector<float> original(512 * 300), table(original.size()), output(original.size());
    model.read(model.tensors()[0], 0, 300, original);
    written.read(*written.find("token_embd.weight"), 0, 300, table);
    written.read(*written.find("output.weight"), 0, 300, output);
    double table_error = 0, output_error = 0;
    for (std::size_t i = 0; i < original.size(); ++i) {
        table_error += std::pow(double{table[i]} - double{original[i]}, 2);
        output_error += std::pow(double{output[i]} - double{original[i]}, 2);
    }
    CHECK(output_error > 0);
    CHECK(table_error > 20 * output_error);  // four bits and eight
    CHECK(table_error < 1000 * output_error);
}

TEST_CASE("the file is the same for any number of threads and size of tiles") {
    const memory_source model = small_model();
    for (const type_id id : {type_id::q4_k, type_id::q6_k, type_id::q8_0, type_id::f16}) {
        const std::string one = quantized_file(model, id, 1, 1 << 20);
        CHECK(one == quantized_file(model, id, 2, 1 << 20));
        CHECK(one == quantized_file(model, id, 2, 700));
    }
}

TEST_CASE("metadata of the output: file type by weights, quantization version only when quantized") {
    const memory_source model = small_model();
    const metadata quantized = output_metadata(model.metadata(), plan_for(model, type_id::q4_k));
    CHECK(quantized.require<std::uint32_t>("general.file_type") == 14);
    CHECK(quantized.require<std::uint32_t>("general.quantization_version") == 2);
    const metadata plain = output_metadata(model.metadata(), plan_for(model, type_id::bf16));
    CHECK(plain.require<std::uint32_t>("general.file_type") == 32);
    CHECK_FALSE(plain.contains("general.quantization_version"));
}

TEST_CASE("weights that are not finite are reported by tensor, row and column; no file is left") {
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
        memory_source model;
        auto values = gaussian(256 * 8, 9);
        values[256 * 5 + 17] = bad;
        model.add("blk.0.ffn_up.weight", {256, 8}, values);
        const support::scratch_dir dir;
        const select::plan plan = plan_for(model, type_id::q4_k);
        std::string message;
        {
            gguf::writer file(dir / "out.gguf", {});
            message =
                support::message_of<error>([&] { quantize(model, plan, weighted{}, from_importances{}, file, {}); });
        }
        CHECK(message.find("blk.0.ffn_up.weight: row 5, column 17") != std::string::npos);
        CHECK(support::fs::is_empty(dir.path()));
    }
}

TEST_CASE("what is copied is checked as well") {
    for (const type_id stored :
         {type_id::f32, type_id::f16, type_id::bf16, type_id::f64, type_id::q8_0, type_id::q4_k}) {
        const type_layout& layout = *find_type(stored);
        CAPTURE(layout.name);
        const bool is_vector =
            stored == type_id::f32 || stored == type_id::f64;  // kept, or a matrix that stays as it is
        tensor_info info{.name = is_vector ? "output_norm.weight" : "output.weight",
                         .dims = {256, is_vector ? 1u : 4u, 1, 1},
                         .rank = is_vector ? 1u : 2u,
                         .layout = layout};
        std::vector<std::byte> bytes(info.bytes());
        memory_sink model;
        const auto write = [&] {
            model.begin(std::span(&info, 1), {});
            model.write(info, 0, bytes);
            model.finish();
            memory_sink sink;
            const auto same = [&](const tensor_info&) { return std::optional(layout); };
            quantize(model, select::make_plan(model.tensors(), same, fallback_formats::layouts), nearest{},
                     from_importances{}, sink, {});
            CHECK(std::ranges::equal(sink.packed(info, 0, info.rows()), bytes));
        };
        write();
        const std::size_t at = is_vector ? 17 * layout.block_bytes : 2 * info.row_bytes();
        const double infinity = std::numeric_limits<double>::infinity();
        if (stored == type_id::f64) {
            std::memcpy(bytes.data() + at, &infinity, sizeof infinity);
        } else {  // all other types end with the sign and the exponent, or begin with a half
            const std::size_t size = layout.block_size > 1 ? 2 : layout.block_bytes;
            bytes[at + size - 1] = std::byte{0x7f};
            bytes[at + size - 2] = std::byte{0xff};
        }
        if (layout.block_size > 1)
            std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(at) + 2, bytes.end(), std::byte{1});
        CHECK(support::message_of<error>(write).find(
                  info.name + (is_vector ? ": row 0, column 17: wanted a finite number"
                                         : ": row 2, column 0: wanted a finite number")) != std::string::npos);
    }
}

TEST_CASE("whole numbers and doubles that are kept keep every bit") {
    std::mt19937 random(3);
    memory_sink model;
    std::vector<tensor_info> tensors;
    for (const type_id type : {type_id::i8, type_id::i16, type_id::i32, type_id::i64})
        tensors.push_back({.name = "blk." + std::to_string(tensors.size()) + ".ffn_gate_tid2eid.weight",
                           .dims = {6, 50, 1, 1},
                           .rank = 2,
                           .layout = *find_type(type)});
    tensors.push_back(
        {.name = "output_norm.weight", .dims = {64, 1, 1, 1}, .rank = 1, .layout = *find_type(type_id::f64)});
    model.begin(tensors, {});
    for (const tensor_info& info : tensors) {
        std::vector<std::byte> bytes(info.bytes());
        for (std::byte& b : bytes) b = static_cast<std::byte>(random());
        if (info.type() == type_id::f64)
            for (std::size_t i = 0; i < info.weights(); ++i) {
                const double third = 1.0 / (3.0 + static_cast<double>(i));
                std::memcpy(bytes.data() + 8 * i, &third, 8);
            }
        model.write(info, 0, bytes);
    }
    model.finish();
    for (const type_id target : {type_id::q4_k, type_id::f16, type_id::f32}) {
        memory_sink sink;
        quantize(model,
                 select::make_plan(model.tensors(), select::uniform{*find_type(target)}, fallback_formats::layouts),
                 weighted{}, from_importances{}, sink, {}, {.tile_weights = 13});
        for (const tensor_info& info : tensors) {
            REQUIRE(sink.find(info.name)->type() == info.type());
            CHECK(std::ranges::equal(sink.packed(info, 0, info.rows()), model.packed(info, 0, info.rows())));
        }
    }
}

TEST_CASE("weights that saturate a format's scales are named, and their errors are numbers") {
    struct outcome {
        type_id format;
        float weight;
        bool is_held;
    };
    for (const outcome& o : std::initializer_list<outcome>{{type_id::q4_0, 3e38f, false},
                                                           {type_id::q4_0, 6e5f, false},
                                                           {type_id::q4_0, 4e5f, true},
                                                           {type_id::q8_0, 1e7f, false},
                                                           {type_id::q8_0, 8e6f, true},
                                                           {type_id::q4_k, -3e38f, false},
                                                           {type_id::q4_k, 1e6f, true},
                                                           {type_id::q6_k, 3e38f, false},
                                                           {type_id::iq4_xs, 3e38f, false},
                                                           {type_id::iq2_xxs, 3e38f, false},
                                                           {type_id::iq1_s, 3e38f, false},
                                                           {type_id::nvfp4, 1e4f, false},
                                                           {type_id::nvfp4, 2000.0f, true},
                                                           {type_id::mxfp4, 1e28f, true},
                                                           {type_id::mxfp4, 3e38f, false},
                                                           {type_id::q1_0, 1e6f, true},
                                                           {type_id::q1_0, 3e38f, false},
                                                           {type_id::tq2_0, 1e6f, false},
                                                           {type_id::bf16, 3e38f, true}}) {
        CAPTURE(find_type(o.format)->name);
        CAPTURE(o.weight);
        memory_source model;
        auto values = gaussian(256 * 8, 9);
        values[256 * 5 + 17] = o.weight;
        model.add("blk.0.ffn_up.weight", {256, 8}, values);
        for (const int encoder : {0, 1}) {
            memory_sink sink;
            const select::plan plan = plan_for(model, o.format);
            const auto reports =
                encoder == 0 ? quantize(model, plan, nearest{}, from_importances{}, sink, {}, {.tile_weights = 300})
                             : quantize(model, plan, weighted{}, from_importances{}, sink, {}, {.tile_weights = 300});
            const saturation& found = reports[0].error.saturated;
            CHECK(found.blocks == (o.is_held ? 0 : 1));
            CHECK(std::isfinite(reports[0].error.plain.squared_error));
            CHECK(reports[0].error.plain.squared_norm > 0.9 * std::pow(double{o.weight}, 2));
            if (o.is_held) continue;
            CHECK(found.row == 5);
            CHECK(found.column == 17);
            CHECK(found.weight == o.weight);
            CHECK(std::fabs(found.stored) < 0.9f * std::fabs(o.weight));
        }
    }
    // Of several blocks the first is named, whatever the tiles.
    memory_source model;
    model.add("blk.0.ffn_up.weight", {256, 8}, std::vector<float>(256 * 8, 1e12f));
    memory_sink sink;
    const auto reports = quantize(model, plan_for(model, type_id::q8_0), weighted{}, from_importances{}, sink, {},
                                  {.tile_weights = 300});
    CHECK(reports[0].error.saturated.blocks == 64);
    CHECK(reports[0].error.saturated.row == 0);
    CHECK(reports[0].error.saturated.column < 32);

    CHECK(plain_type_for(-65504.0f).id == type_id::f16);
    CHECK(plain_type_for(1e5f).id == type_id::bf16);
    CHECK(plain_type_for(3.4e38f).id == type_id::f32);
}

TEST_CASE("a weight that its type cannot hold is reported, not turned into infinity") {
    memory_source model;
    auto values = gaussian(256 * 2, 9);
    values[300] = 70000.0f;
    model.add("blk.0.ffn_up.weight", {256, 2}, values);
    memory_sink sink;
    const std::string message = support::message_of<error>(
        [&] { quantize(model, plan_for(model, type_id::f16), nearest{}, from_importances{}, sink, {}); });
    CHECK(
        message.find("blk.0.ffn_up.weight: row 1, column 44: wanted a number that F16 can hold, got 70000; BF16 can") !=
        std::string::npos);
    quantize(model, plan_for(model, type_id::bf16), nearest{}, from_importances{}, sink, {});
}

TEST_CASE("progress never falls and ends at the total") {
    const memory_source model = small_model();
    memory_sink sink;
    std::uint64_t last = 0, total = 0;
    auto watch = [&](const progress& p) {
        CHECK(p.done >= last);
        last = p.done;
        total = p.total;
    };
    quantize(model, plan_for(model, type_id::q8_0), nearest{}, from_importances{}, sink, {},
             {.threads = 2, .tile_weights = 1000}, watch);
    CHECK(last == total);
    CHECK(total == 512 * 300 + 512 + 512 * 160 + 96 * 512);
}

TEST_CASE("quantize packs a matrix in memory") {
    const auto x = gaussian(512 * 3, 8);
    const packed_matrix<q4_k> packed = quantize<q4_k>(matrix_view(x, 512));
    CHECK(packed.bytes() == 3 * 288);
    std::vector<float> decoded(512);
    packed.decode_row(2, decoded);
    for (std::size_t i = 0; i < 512; ++i) CHECK(std::abs(decoded[i] - x[1024 + i]) < 0.01f);
    CHECK_THROWS_AS((void)quantize<q4_k>(matrix_view(std::span(x).first(300), 100)), error);
}
