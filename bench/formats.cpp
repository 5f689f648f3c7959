// Speed and error of every built-in format, packing and unpacking, on one thread:
//   formats [--peer LIBRARY] [--format NAME]... [--rounds N] [options of Google Benchmark]
// With a peer (a shared libggml-base) each measurement has a twin on the same data, and tables compare the two.
// Answers are compared before anything is timed; the exit status is 1 when they differ.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <functional>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "comparison.hpp"
#include "peer_ggml.hpp"
#include "tessera/core/printable.hpp"
#include "tessera/encode.hpp"
#include "tessera/format.hpp"

namespace {

using namespace tessera;

constexpr std::size_t columns = 4096;
constexpr std::size_t packed_rows = 64;     // 1 MiB of float
constexpr std::size_t cached_rows = 16;     // 256 KiB, stays in the second-level cache
constexpr std::size_t memory_rows = 16384;  // 256 MiB, more than any cache holds

// --- the data ---

/// Weights as models have them, rows of different scale with a few outlying columns and weights, and how much each
/// column matters, as activations would tell.
struct workload {
    std::vector<float> weights, importance;

    workload() : weights(packed_rows * columns), importance(columns) {
        std::mt19937 random(1);
        std::normal_distribution<float> normal;
        std::bernoulli_distribution outlying_column(0.005), outlying_weight(0.002);
        std::vector<float> column_scale(columns);
        for (float& scale : column_scale) scale = outlying_column(random) ? 4.0f : 1.0f;
        for (float& i : importance) i = std::exp(1.5f * normal(random));
        for (std::size_t r = 0; r < packed_rows; ++r) {
            const float row_scale = 0.02f * std::exp(0.3f * normal(random));
            for (std::size_t c = 0; c < columns; ++c)
                weights[r * columns + c] =
                    row_scale * column_scale[c] * normal(random) * (outlying_weight(random) ? 8.0f : 1.0f);
        }
    }

    [[nodiscard]] matrix_view rows() const { return {weights, columns}; }

    /// Root of the mean squared error, weighted by importance, relative to that of all zeros.
    [[nodiscard]] double relative_error(std::span<const float> decoded) const {
        double error = 0, norm = 0;
        for (std::size_t i = 0; i < weights.size(); ++i) {
            const double weight = importance[i % columns], x = weights[i], difference = decoded[i] - x;
            error += weight * difference * difference;
            norm += weight * x * x;
        }
        return std::sqrt(error / norm);
    }
};

// --- one measurement ---

constexpr const char* speed = "float_bytes";  // a second
constexpr const char* error_percent = "error_percent";

/// Room for `rows` rows, touched once so that no measurement pays for its pages.
std::span<float> output(std::size_t rows) {
    static std::vector<float> room(memory_rows * columns);
    return std::span(room).first(rows * columns);
}

/// Timed in this order, round after round: a measurement and its twin are neighbours.
using measurements = std::vector<std::pair<std::string, std::function<void(benchmark::State&)>>>;

/// A measurement of what prepare() returns: work on `rows` rows of float.
template <class Prepare>
void add(measurements& all, std::string name, std::size_t rows, Prepare prepare,
         const benchmark::UserCounters& counters = {}) {
    all.emplace_back(std::move(name), [=](benchmark::State& state) {
        auto work = prepare();
        for (auto _ : state) {
            work();
            benchmark::ClobberMemory();
        }
        state.counters = counters;
        const auto bytes = static_cast<double>(rows * columns * sizeof(float));
        state.counters[speed] = {bytes, benchmark::Counter::kIsIterationInvariantRate};
    });
}

struct working_set {
    const char* name;
    std::size_t rows;
};
constexpr std::array working_sets{working_set{"cached", cached_rows}, working_set{"memory", memory_rows}};

/// What the machine can do: copying and filling as many floats.
void add_ceilings(measurements& all) {
    for (const auto [name, rows] : working_sets) {
        add(all, concat("unpack/memcpy/", name), rows, [out = output(rows)] {
            return [out, source = std::vector<float>(out.begin(), out.end())] {
                std::memcpy(out.data(), source.data(), out.size_bytes());
            };
        });
        add(all, concat("unpack/memset/", name), rows,
            [out = output(rows)] { return [out] { std::memset(out.data(), 0, out.size_bytes()); }; });
    }
}

// --- one format and its twin ---

/// Looks at the answers of F, and lists its measurements; those of the peer have the same names and "/ggml".
template <gguf_format F>
class format_bench {
    using block = typename F::block;
    using blocks = std::vector<block>;

public:
    format_bench(const workload& data, const peer_ggml* peer, measurements& all)
        : data_(data), all_(all), peer_(peer != nullptr && peer->has(layout_of<F>) ? peer : nullptr) {}

    void add_all() const {
        blocks packed = add_encoder("nearest", nearest{}, {});
        if constexpr (F::block_size > 1) packed = add_encoder("weighted", weighted{}, data_.importance);
        for (const auto [size, rows] : working_sets) {
            const std::string name = concat("unpack/", F::name, "/", size);
            add_unpacking(name, packed, rows, decode_blocks<F>);
            if (peer_ != nullptr)
                add_unpacking(name + "/ggml", packed, rows,
                              [peer = peer_](std::span<const block> in, std::span<float> out) {
                                  peer->unpack(F::type, in.data(), out);
                              });
        }
    }

private:
    /// Returns what `encoder` made of the data.
    template <class Encoder>
    blocks add_encoder(std::string_view title, Encoder encoder, std::span<const float> importance) const {
        const std::string name = concat("pack/", F::name, "/", title);
        const matrix_view rows = data_.rows();
        const auto [ours, error] = add_packing(name, [=](std::span<block> out) {
            constexpr std::size_t row_blocks = columns / F::block_size;
            for (std::size_t r = 0; r < rows.rows(); ++r)
                encode_rows<F>(encoder, {rows.row(r), rows.columns()}, {.importance = importance},
                               out.subspan(r * row_blocks, row_blocks));
        });
        if (peer_ == nullptr || (importance.empty() && peer_->needs_importance(F::type))) return ours;
        const auto [theirs, peer_error] = add_packing(name + "/ggml", [=, peer = peer_](std::span<block> out) {
            peer->pack(F::type, rows, importance, out.data());
        });
        if (error > 3 * peer_error || peer_error > 3 * error)
            fail(name, ": wanted errors within a factor of 3, got ", error, " and the peer's ", peer_error);
        return ours;
    }

    /// Packs once to look at the answer: returns the blocks and their error.
    template <class Pack>
    std::pair<blocks, double> add_packing(const std::string& name, Pack pack) const {
        blocks packed(data_.weights.size() / F::block_size);
        pack(std::span(packed));
        const double error = data_.relative_error(decode(name, packed));
        add(all_, name, packed_rows, [=] { return [pack, room = packed]() mutable { pack(std::span(room)); }; },
            {{error_percent, 100 * error}});
        return {std::move(packed), error};
    }

    /// Unpacks `packed` again and again, until it makes `rows` rows.
    template <class Unpack>
    void add_unpacking(const std::string& name, const blocks& packed, std::size_t rows, Unpack unpack) const {
        add(all_, name, rows, [=, out = output(rows)] {
            blocks source(out.size() / F::block_size);
            for (std::size_t b = 0; b < source.size(); ++b) source[b] = packed[b % packed.size()];
            return [=, source = std::move(source)] { unpack(std::span<const block>(source), out); };
        });
    }

    /// Decodes; throws unless weights are finite and the peer's, bit by bit but for the sign of zeros.
    std::vector<float> decode(const std::string& name, const blocks& packed) const {
        std::vector<float> ours(packed.size() * F::block_size);
        decode_blocks<F>(packed, ours);
        if (!std::ranges::all_of(ours, [](float x) { return std::isfinite(x); }))
            fail(name, ": wanted finite weights, got others");
        if (peer_ != nullptr) {
            std::vector<float> theirs(ours.size());
            peer_->unpack(F::type, packed.data(), theirs);
            const auto differ = std::ranges::mismatch(ours, theirs, std::equal_to<float>());
            if (differ.in1 != ours.end())
                fail(name, ": weight ", differ.in1 - ours.begin(), " decodes to ", *differ.in1, ", by the peer to ",
                     *differ.in2 - *differ.in1, " more");
        }
        return ours;
    }

    const workload& data_;
    measurements& all_;
    const peer_ggml* peer_;
};

// --- tables ---

void print_tables(const results& measured) {
    comparison table(measured);
    std::puts(
        "\nPacking, MB/s of float, and weighted error in percent of the weights:\n\n"
        "| format | encoder | tessera | ggml | ratio | error, tessera | error, ggml | ratio |\n"
        "|---|---|---|---|---|---|---|---|");
    for (const char* encoder : {"nearest", "weighted"}) {
        for (const type_layout& layout : builtin_formats::layouts) {
            const std::string name = concat("pack/", layout.name, "/", encoder);
            table.line(concat(layout.name, " | ", encoder), {{{name, speed, 1e6}, {name, error_percent, 1}}});
        }
        table.mean(concat("geometric mean | ", encoder));
    }
    std::puts(
        "\nUnpacking, GB/s of float, to 256 KiB (cached) and to 256 MiB (memory):\n\n"
        "| format | cached, tessera | ggml | ratio | memory, tessera | ggml | ratio |\n"
        "|---|---|---|---|---|---|---|");
    const auto line = [&](std::string_view what) {
        const std::string name = concat("unpack/", what);
        table.line(std::string(what), {{{name + "/cached", speed, 1e9}, {name + "/memory", speed, 1e9}}});
    };
    for (const type_layout& layout : builtin_formats::layouts) line(layout.name);
    table.mean("geometric mean");
    line("memcpy");
    line("memset");
}

// --- the command line ---

struct options {
    std::optional<std::string> peer;
    std::vector<std::string> formats;  // all when empty
    int rounds = 7;

    [[nodiscard]] bool wants(std::string_view format) const {
        return formats.empty() ||
               std::ranges::any_of(formats, [&](const std::string& name) { return same_format_name(name, format); });
    }
};

void print_help() {
    std::puts(
        "formats [--peer LIBRARY] [--format NAME]... [--rounds N] [OPTIONS OF GOOGLE BENCHMARK]\n"
        "  --peer LIBRARY  a shared libggml-base to compare with\n"
        "  --format NAME   this format only; may be given more than once\n"
        "  --rounds N      how often everything is measured; medians count (7)\n");
    benchmark::PrintDefaultHelp();
}

/// Leaves Google Benchmark what is its own; null when something else is left over.
std::optional<options> parse(int argc, char** argv) {
    std::string short_runs = "--benchmark_min_time=0.05";  // there are many
    std::vector<char*> arguments(argv, argv + argc);
    arguments.insert(arguments.begin() + 1, short_runs.data());
    int count = static_cast<int>(arguments.size());
    benchmark::Initialize(&count, arguments.data(), print_help);
    arguments.resize(static_cast<std::size_t>(count));

    options result;
    for (std::size_t i = 1; i < arguments.size(); i += 2) {
        const std::string_view name = arguments[i];
        if (i + 1 == arguments.size()) return {};
        const std::string value = arguments[i + 1];
        if (name == "--peer")
            result.peer = value;
        else if (name == "--rounds" && std::atoi(value.c_str()) > 0)
            result.rounds = std::atoi(value.c_str());
        else if (name != "--format")
            return {};
        else if (builtin_formats::find(value) == nullptr)
            fail("--format: wanted one of ", builtin_formats::names(), ", got ", value);
        else
            result.formats.push_back(value);
    }
    return result;
}

}  // namespace

int main(int argc, char** argv) {
    try {
        const auto chosen = parse(argc, argv);
        if (!chosen) {
            print_help();
            return 2;
        }
        std::optional<peer_ggml> peer;
        if (chosen->peer) {
            peer.emplace(*chosen->peer);
            benchmark::AddCustomContext("peer", "ggml " + peer->version());
        }
        const workload data;
        measurements all;
        add_ceilings(all);
        builtin_formats::for_each([&]<class F>(format_tag<F>) {
            if (chosen->wants(F::name)) format_bench<F>(data, peer ? &*peer : nullptr, all).add_all();
        });
        // On a machine with other work neighbours in time are comparable, distant repetitions are not.
        for (int round = 0; round < chosen->rounds; ++round)
            for (const auto& [name, run] : all)
                benchmark::RegisterBenchmark(name.c_str(), run)->Unit(benchmark::kMicrosecond);
        results measured;
        benchmark::RunSpecifiedBenchmarks(&measured);
        if (peer && !measured.empty()) print_tables(measured);
    } catch (const std::exception& e) {
        std::fprintf(stderr, "formats: %s\n", tessera::printable(e.what()).c_str());
        return 1;
    }
}
