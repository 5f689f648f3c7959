// Calibration: statistics against plain sums, and runs that are killed.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <limits>
#include <map>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "decoder/tiny_model.hpp"
#include "support/random.hpp"
#include "support/support.hpp"
#include "tessera/calibrate/calibrate.hpp"
#include "tessera/calibrate/imatrix.hpp"
#include "tessera/core/stop.hpp"
#include "tessera/gguf/reader.hpp"
#include "tessera/select/rules.hpp"
#include "tessera/text/tokenizer.hpp"
#include "tessera/text/windows.hpp"

namespace {

using namespace tessera;
using support::make_tiny_model;
using support::tiny_shape;

// Every row that a tensor's matrices were multiplied with, one after another.
struct seen_rows {
    std::size_t columns = 0;
    std::map<std::size_t, std::vector<float>> of_matrix;
};

std::map<std::string, seen_rows> record(const memory_source& source, std::span<const std::int32_t> tokens,
                                        std::size_t window) {
    std::map<std::string, seen_rows> all;
    const auto keep = [&](const decoder::linear_input& input) {
        for (const decoder::linear* layer : input.shared) {
            const tensor_info& info = *layer->tensor;
            if (layer->first_row % info.dims[1] != 0) continue;  // a later slice of a matrix
            seen_rows& seen = all[info.name];
            seen.columns = info.columns();
            std::vector<float>& rows = seen.of_matrix[layer->first_row / info.dims[1]];
            input.rows.for_each([&](Eigen::Index, const auto& shown) {
                for (Eigen::Index r = 0; r < shown.rows(); ++r)
                    for (Eigen::Index c = 0; c < shown.cols(); ++c) rows.push_back(shown(r, c));
            });
        }
    };
    const decoder::model<memory_source> decoder(source);
    decoder::activations state = decoder.embed({{tokens.begin(), tokens.end()}, window});
    decoder.run(state, {}, keep);
    decoder.observe_output(state, keep);
    return all;
}

std::string serialized(const calibration& result) {
    const std::vector<std::byte> bytes = detail::statistics_bytes(result.inputs);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

TEST_CASE("statistics are the sums of all rows that each matrix was multiplied with") {
    for (const tiny_shape& shape :
         {tiny_shape{}, tiny_shape{.experts = 5, .experts_used = 2}, tiny_shape{.tied = true, .fused_qkv = true}}) {
        const memory_source source = make_tiny_model(shape);
        const auto tokens = support::random_tokens(40 * 16, shape.vocabulary);
        const auto seen = record(source, tokens, 16);
        std::map<std::string, std::vector<decoder::matrix>> grams;
        const auto keep_grams = [&](std::size_t layer, std::span<const input_statistics> inputs) {
            for (const input_statistics& input : inputs) {
                CHECK(input.layer == layer);
                for (const column_statistics& matrix : input.matrices)
                    grams[input.tensors.front()].push_back(matrix.gram);
            }
        };
        const calibration result =
            calibrate(source, {tokens, 16}, {.threads = 2, .gram = gram_matrices::gathered}, {}, keep_grams);
        CHECK(result.windows == 40);
        std::size_t tensors = 0;
        for (const input_statistics& input : result.inputs) {
            tensors += input.tensors.size();
            for (const std::string& name : input.tensors) {
                CAPTURE(name);
                const seen_rows& rows = seen.at(name);
                CHECK(input.columns() == rows.columns);
                for (std::size_t m = 0; m < input.matrices.size(); ++m) {
                    const column_statistics& got = input.matrices[m];
                    CHECK(got.gram.size() == 0);
                    const auto own = rows.of_matrix.find(m);
                    if (own == rows.of_matrix.end()) {
                        CHECK(got.tokens == 0);
                        continue;
                    }
                    const std::vector<float>& x = own->second;
                    const std::size_t columns = rows.columns;
                    CHECK(got.tokens == x.size() / columns);
                    const decoder::matrix& gram = grams.at(input.tensors.front())[m];
                    REQUIRE(gram.rows() == static_cast<Eigen::Index>(columns));
                    for (std::size_t c = 0; c < columns; ++c) {
                        double squares = 0, sum = 0, magnitude = 0, product = 0;
                        float peak = 0;
                        for (std::size_t i = c; i < x.size(); i += columns) {
                            squares += double{x[i]} * x[i];
                            sum += x[i];
                            magnitude += std::abs(x[i]);
                            peak = std::max(peak, std::abs(x[i]));
                            product += double{x[i]} * x[i - c];
                        }
                        CHECK(got.squares[c] == doctest::Approx(squares).epsilon(1e-6));
                        CHECK(std::abs(got.sums[c] - sum) <= 1e-6 * magnitude);
                        CHECK(got.peaks[c] == peak);
                        const auto column = static_cast<Eigen::Index>(c);
                        CHECK(gram(column, column) == doctest::Approx(squares).epsilon(1e-5));
                        CHECK(std::abs(gram(0, column) - product) <= 1e-5 * std::sqrt(squares * got.squares[0]));
                        CHECK(gram(0, column) == gram(column, 0));
                    }
                }
            }
        }
        CHECK(tensors == seen.size());
        CHECK(serialized(result) == serialized(calibrate(source, {tokens, 16}, {.threads = 1})));
        CHECK(serialized(result) == serialized(calibrate(source, {tokens, 16}, {.threads = 3})));
    }
}

TEST_CASE("Gram matrices of many columns are made of tiles") {
    const std::size_t columns = 300, rows = 1100;
    const std::vector<float> x = support::gaussian(columns * rows, 3);
    const decoder::const_matrix_map all(x.data(), rows, columns);
    column_statistics one, three;
    add_gram(one, all, 1);
    add_gram(three, all, 3);
    CHECK(one.gram == three.gram);
    const decoder::matrix wanted = (all.cast<double>().transpose() * all.cast<double>()).cast<float>();
    CHECK((one.gram - wanted).cwiseAbs().maxCoeff() < 1e-5f * wanted.cwiseAbs().maxCoeff());
    add_gram(one, all.topRows(10), 2);
    const decoder::matrix more = all.topRows(10).transpose() * all.topRows(10);
    CHECK((one.gram - wanted - more).cwiseAbs().maxCoeff() < 1e-5f * wanted.cwiseAbs().maxCoeff());
}

TEST_CASE("importances have one count for heads and one each for experts") {
    const tiny_shape shape{.experts = 5, .experts_used = 1};
    const memory_source source = make_tiny_model(shape);
    const auto tokens = support::random_tokens(8 * 16, shape.vocabulary);
    const importance_table table = make_importances(calibrate(source, {tokens, 16}).inputs);
    table.require_fit(source.tensors());
    const tensor_importance* down = table.find("blk.1.ffn_down_exps.weight");
    REQUIRE(down != nullptr);
    CHECK(down->tokens.size() == 5);
    CHECK(std::accumulate(down->tokens.begin(), down->tokens.end(), std::uint64_t{0}) == 8 * 16);
    CHECK(down->mean_squares.size() == 5 * shape.feed_forward);
    CHECK(table.find("blk.0.attn_k.weight")->tokens == std::vector<std::uint64_t>{8 * 16});
    CHECK(*table.find("blk.0.attn_k.weight") == *table.find("blk.0.attn_v.weight"));
    CHECK(table.find("output.weight") != nullptr);
}

TEST_CASE("a number that is not finite ends the run with layer, tensor and window") {
    const auto refused = [](const char* tensor, float bad) {
        memory_source source = make_tiny_model({.experts = 4, .experts_used = 2});
        memory_source broken;
        broken.metadata() = source.metadata();
        for (const tensor_info& info : source.tensors()) {
            std::vector<float> values(info.weights());
            source.read(info, 0, info.rows(), values);
            if (info.name == tensor) values[values.size() / 2] = bad;
            broken.add(info.name, std::span(info.dims).first(info.rank), values);
        }
        const auto tokens = support::random_tokens(4 * 16, 50);
        return support::message_of<error>([&] { (void)calibrate(broken, {tokens, 16}); });
    };
    const float nan = std::numeric_limits<float>::quiet_NaN(), huge = 3e38f;
    for (const auto& [tensor, place] :
         {std::pair("blk.1.attn_v.weight", "layer 1, input of blk.1.attn_output.weight"),
          {"blk.1.attn_output.weight", "layer 1, after blk.1.attn_output.weight"},
          {"blk.0.ffn_up_exps.weight", "layer 0, input of blk.0.ffn_down_exps.weight, expert"},
          {"blk.0.ffn_down_exps.weight", "layer 0, after blk.0.ffn_down_exps.weight"}})
        for (const float bad : {nan, huge}) {
            const std::string message = refused(tensor, bad);
            CAPTURE(message);
            CHECK(message.find(place) == 0);
            CHECK(message.find(": window ") != std::string::npos);
        }
}

TEST_CASE("what is in memory of a text changes no bit of its statistics, and a checkpoint keeps what is not") {
    const tiny_shape shape{.experts = 4, .experts_used = 2};
    const memory_source source = make_tiny_model(shape);
    const token_windows windows(support::random_tokens(100 * 8, shape.vocabulary), 8);
    const auto in_tiles = [&](std::uint64_t bytes, const std::filesystem::path& checkpoint = {}) {
        decoder::tile_memory memory({.bytes = bytes, .tile_tokens = 256});
        const calibration result =
            calibrate(source, windows,
                      {.threads = 2, .gram = gram_matrices::gathered, .checkpoint = checkpoint, .memory = &memory});
        CHECK((memory.scratch_bytes() > 0) == (bytes < 1u << 30));
        return result;
    };
    const std::string wanted = serialized(in_tiles(1u << 30));
    CHECK(serialized(in_tiles(0)) == wanted);
    const support::scratch_dir folder;
    CHECK(serialized(in_tiles(256 * 24 * 4, folder / "checkpoint")) == wanted);
    const calibration again = in_tiles(0, folder / "checkpoint");
    CHECK(again.resumed == shape.layers);
    CHECK(serialized(again) == wanted);
    // Blocks of rows are summed apart: here a tile is a block.
    CHECK(serialized(calibrate(source, windows)) == wanted);
}

TEST_CASE("a run that is killed, again and again, ends with the bytes of one that was not") {
    const tiny_shape shape{.layers = 12, .experts = 4, .experts_used = 2};
    const memory_source source = make_tiny_model(shape);
    const auto tokens = support::random_tokens(64 * 32, shape.vocabulary);
    const support::scratch_dir folder;
    const auto run = [&](progress_callback report, layer_observer each_layer) {
        const calibration result =
            calibrate(source, {tokens, 32}, {.threads = 1, .checkpoint = folder / "checkpoint"}, report, each_layer);
        support::write_text(folder / "result", serialized(result));
    };
    enum class moment { before_saving, while_saving, after_saving };
    // A child goes on from the checkpoint, with this layer and no other, and is killed there. It works on one thread:
    // others do not survive a fork.
    const auto is_killed = [&](std::size_t layer, moment when) {
        const pid_t child = ::fork();
        REQUIRE(child >= 0);
        if (child == 0) {
            constexpr ::rlimit nothing{0, 0};
            ::setrlimit(RLIMIT_CORE, &nothing);
            try {
                bool is_worked_on = false;
                run(
                    [&](const progress&) {
                        if (is_worked_on) std::raise(SIGKILL);  // the next report comes after saving
                    },
                    [&](std::size_t at, std::span<const input_statistics>) {
                        if (at != layer) ::_exit(2);
                        is_worked_on = true;
                        if (when == moment::before_saving) std::raise(SIGKILL);
                        if (when == moment::while_saving) ::setrlimit(RLIMIT_FSIZE, &nothing);
                    });
            } catch (...) {
                ::_exit(1);
            }
            ::_exit(0);
        }
        int status = 0;
        ::waitpid(child, &status, 0);
        return WIFSIGNALED(status) && WTERMSIG(status) == (when == moment::while_saving ? SIGXFSZ : SIGKILL);
    };
    for (std::size_t layer = 0; layer < shape.layers; ++layer)
        for (const moment when : {moment::before_saving, moment::while_saving, moment::after_saving}) {
            CAPTURE(layer);
            CHECK(is_killed(layer, when));
        }
    CHECK_FALSE(support::fs::exists(folder / "result"));
    run({}, {});
    CHECK(support::read_text(folder / "result") == serialized(calibrate(source, {tokens, 32}, {.threads = 2})));

    // Nothing of the killed ones is left but the checkpoint.
    using strings = std::vector<std::string>;
    CHECK(support::names_in(folder.path()) == strings{"checkpoint", "checkpoint.states-12", "result"});

    // Other text, another window, another model: refused.
    const auto refused = [&](const memory_source& model, std::span<const std::int32_t> text, std::size_t window) {
        return support::message_of<error>([&] {
            (void)calibrate(model, {{text.begin(), text.end()}, window}, {.checkpoint = folder / "checkpoint"});
        });
    };
    CHECK(refused(source, std::span(tokens).first(32), 32)
              .ends_with("wanted work on the same inputs and options, got some that differs in text"));
    CHECK(refused(source, tokens, 16).ends_with("got some that differs in text"));
    tiny_shape other = shape;
    other.seed = 2;
    CHECK(refused(make_tiny_model(other), tokens, 32).ends_with("got some that differs in model"));
    CHECK(refused(make_tiny_model(other), tokens, 16).ends_with("got some that differs in model and text"));

    // What is left of a damaged one, or nothing, is gone on from.
    const std::string bytes = support::read_text(folder / "checkpoint");
    const std::string states = support::read_text(folder / "checkpoint.states-12");
    const auto goes_on = [&] {
        const calibration result = calibrate(source, {tokens, 32}, {.checkpoint = folder / "checkpoint"});
        CHECK(serialized(result) == support::read_text(folder / "result"));
        return result.resumed;
    };
    CHECK(goes_on() == 12);
    for (const std::size_t at : {bytes.size() / 2, bytes.size() - 1})
        for (const bool is_cut : {false, true}) {
            std::string bad = bytes;
            bad[at] ^= 1;
            support::write_text(folder / "checkpoint", is_cut ? bytes.substr(0, at) : bad);
            support::write_text(folder / "checkpoint.states-12", states);
            CHECK(goes_on() == 0);  // the states go with more layers than are left
            CHECK(goes_on() == 12);
        }
    for (const std::size_t at : {std::size_t{40}, states.size() / 2, states.size() - 1}) {
        std::string bad = states;
        bad[at] ^= 1;
        support::write_text(folder / "checkpoint.states-12", bad);
        CHECK(goes_on() == 0);
        support::write_text(folder / "checkpoint.states-12", states.substr(0, at));
        CHECK(goes_on() == 0);
    }
    std::string bad = bytes;
    bad[40] ^= 1;
    support::write_text(folder / "checkpoint", bad);
    CHECK(refused(source, tokens, 32).find("something else") != std::string::npos);
    support::write_text(folder / "checkpoint", "not mine");
    CHECK(refused(source, tokens, 32).find("something else") != std::string::npos);
    const calibration anew = calibrate(
        source, {tokens, 32}, {.checkpoint = folder / "checkpoint", .unfit_checkpoint = existing_file::replace});
    CHECK(anew.resumed == 0);
    CHECK(serialized(anew) == support::read_text(folder / "result"));
    CHECK(calibrate(source, {tokens, 32}, {.checkpoint = folder / "checkpoint"}).resumed > 0);
}

TEST_CASE("a calibration that is asked to stop ends no further layer, and goes on with that") {
    const memory_source model = make_tiny_model({.layers = 4});
    const auto tokens = support::random_tokens(4 * 32, 50);
    const support::scratch_dir folder;
    std::vector<std::size_t> layers;
    const auto run = [&](progress_callback report) {
        const auto note = [&](std::size_t layer, std::span<const input_statistics>) { layers.push_back(layer); };
        return calibrate(model, {tokens, 32}, {.threads = 2, .checkpoint = folder / "checkpoint"}, report, note);
    };
    const auto stop = [](const progress& now) {
        if (now.number == 3) request_stop();
    };
    CHECK_THROWS_AS((void)run(stop), stopped);
    withdraw_stop();
    CHECK(layers == std::vector<std::size_t>{0, 1});
    CHECK(serialized(run({})) == serialized(calibrate(model, {tokens, 32})));
    CHECK(layers == std::vector<std::size_t>{0, 1, 2, 3, 4});
}

TEST_CASE("every architecture has importances for all that is quantized") {
    const auto folder = support::shared("golden/architectures");
    if (!folder) return;
    for (const auto& entry : support::fs::directory_iterator(*folder)) {
        if (entry.path().extension() != ".gguf") continue;
        CAPTURE(entry.path().string());
        const gguf::reader source(entry.path());
        const auto tokens = support::random_tokens(4 * 32, source.find("token_embd.weight")->dims[1]);
        const std::vector<input_statistics> inputs = calibrate(source, {tokens, 32}).inputs;
        const importance_table table = make_importances(inputs);
        table.require_fit(source.tensors());
        const std::string unused = concat("blk.", inputs.back().layer, '.');  // for multi-token prediction, is not run
        for (const tensor_info& info : source.tensors()) {
            if (select::stays_full_precision(info) || info.name == "token_embd.weight" || info.name.starts_with(unused))
                continue;
            CAPTURE(info.name);
            const tensor_importance* found = table.find(info.name);
            CHECK(found != nullptr);
            if (found == nullptr || matrix_count(info) == 1) continue;
            const bool are_experts = info.name.find("_exps") != std::string::npos;
            CHECK(found->tokens.size() == (are_experts ? matrix_count(info) : 1));
            if (!are_experts) CHECK(found->tokens.front() == 4 * 32);
        }
    }
}

TEST_CASE("the figures of llama.cpp's tool on the same windows") {
    const auto golden = support::shared("golden/imatrix");
    const auto model = support::shared("golden/kld/fable-3m-f16.gguf");
    if (!golden || !model) return;
    const gguf::reader source(*model);
    const text::tokenizer tokenizer(source.metadata());
    const auto windows = text::cut_windows(tokenizer, support::read_text(*golden / "text.txt"), {.length = 256});
    CHECK(windows.size() == 133);
    const importance_table got = make_importances(calibrate(source, windows).inputs);
    const imatrix_file wanted = read_imatrix(*golden / "imatrix.dat");
    std::vector<double> deviations;
    for (const auto& [name, entry] : wanted.importances) {
        const tensor_importance* found = got.find(name);
        REQUIRE(found != nullptr);
        const std::vector<float>& ours = found->mean_squares;
        REQUIRE(ours.size() == entry.mean_squares.size());
        CHECK(found->tokens == std::vector<std::uint64_t>{133 * 256});
        const float largest = *std::ranges::max_element(entry.mean_squares);
        for (std::size_t c = 0; c < ours.size(); ++c) {
            if (entry.mean_squares[c] < 0.01f * largest) continue;
            deviations.push_back(std::abs(ours[c] / entry.mean_squares[c] - 1.0));
        }
    }
    std::ranges::sort(deviations);
    MESSAGE("deviations of " << deviations.size() << ": median " << deviations[deviations.size() / 2] << ", largest "
                             << deviations.back());
    CHECK(deviations[deviations.size() / 2] < 0.002);
    CHECK(deviations.back() < 0.01);
}
