// Activations in tiles, in memory or not: what models make of them is the same bits.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "decoder/tiny_model.hpp"
#include "support/random.hpp"
#include "support/support.hpp"
#include "tessera/decoder/activations.hpp"
#include "tessera/decoder/model.hpp"
#include "tessera/decoder/routing.hpp"
#include "tessera/decoder/tile_memory.hpp"
#include "tessera/gguf/reader.hpp"

using namespace tessera;
using decoder::shown_inputs;

namespace {

decoder::matrix numbers(std::size_t rows, std::size_t columns) {
    return decoder::matrix::Random(static_cast<Eigen::Index>(rows), static_cast<Eigen::Index>(columns));
}

// Every row that was shown, by what is multiplied with it, and the states after the last layer.
struct pass {
    decoder::matrix states;
    std::map<std::pair<std::string, std::uint64_t>, std::vector<float>> shown{};
};

template <class Source>
pass run(const Source& source, const token_windows& windows, shown_inputs how, decoder::tile_memory* memory) {
    const decoder::model model(source, {.threads = 2});
    decoder::activations state = model.embed(windows, memory);
    pass result;
    const auto keep = [&](const decoder::linear_input& input) {
        std::vector<float>& to = result.shown[{input.shared.front()->tensor->name, input.shared.front()->first_row}];
        if (input.routed.empty())
            CHECK(to.size() == input.first_token * static_cast<std::size_t>(input.rows.cols()));
        else if (how != shown_inputs::parts)
            CHECK(to.empty());
        input.rows.for_each([&](Eigen::Index, const auto& rows) {
            for (Eigen::Index r = 0; r < rows.rows(); ++r)
                for (Eigen::Index c = 0; c < rows.cols(); ++c) to.push_back(rows(r, c));
        });
    };
    for (std::size_t l = 0; l < model.spec().layers.size(); ++l) model.run_layer(l, state, keep, how);
    model.observe_output(state, keep);
    result.states = all_rows(state);
    return result;
}

template <class Source>
void check_tiles(const Source& source, const token_windows& windows) {
    const pass whole = run(source, windows, shown_inputs::whole, nullptr);
    const decoder::model model(source, {.threads = 1});
    for (const std::uint64_t bytes : {std::uint64_t{0}, std::uint64_t{1} << 30}) {
        decoder::tile_memory memory({.bytes = bytes, .tile_tokens = 2 * windows.length()});
        {
            decoder::activations state = model.embed(windows, &memory);
            model.run(state);
            CHECK(all_rows(state) == whole.states);
        }
        for (const shown_inputs how : {shown_inputs::whole, shown_inputs::parts, shown_inputs::routed_whole}) {
            const pass tiles = run(source, windows, how, &memory);
            CHECK(tiles.states == whole.states);
            CHECK(tiles.shown == whole.shown);
        }
        CHECK((memory.scratch_bytes() > 0) == (bytes == 0));
        CHECK(memory.reserve(bytes));  // everything was given back
    }
}

}  // namespace

TEST_CASE("stores keep rows in memory as far as that goes, and the others in a file without a name") {
    const support::scratch_dir folder;
    decoder::tile_memory memory({.bytes = 3 * 4 * 5 * sizeof(float), .scratch = folder.path(), .tile_tokens = 4});
    const decoder::matrix all = numbers(18, 5);  // nine windows of two: tiles of 4, 4, 4, 4 and 2 rows
    decoder::activations store(18, 5, 2, &memory);
    REQUIRE(store.tiles() == 5);
    for (std::size_t i = 0; i < 5; ++i) {
        const auto first = static_cast<Eigen::Index>(store.first_row(i));
        store.put(i, all.middleRows(first, static_cast<Eigen::Index>(store.rows_of(i))));
    }
    CHECK(memory.scratch_bytes() == (4 + 2) * 5 * sizeof(float));
    CHECK(std::filesystem::is_empty(folder.path()));
    CHECK(all_rows(store) == all);
    const decoder::activations copy = store;
    const decoder::matrix fourth = store.take(3);
    CHECK(fourth == all.middleRows(12, 4));
    store.put(3, 2.0f * fourth);
    std::vector<float> rows(4 * 5);
    store.read_rows(10, rows);  // from memory, then from the file
    CHECK(decoder::const_matrix_map(rows.data(), 2, 5) == all.middleRows(10, 2));
    CHECK(decoder::const_matrix_map(rows.data() + 10, 2, 5) == 2.0f * all.middleRows(12, 2));
    store.write_rows(11, std::vector<float>(10, 7.0f));
    store.read_rows(10, rows);
    CHECK(rows[0] == all(10, 0));
    CHECK(rows[5] == 7.0f);
    CHECK(rows[10] == 7.0f);
    CHECK(all_rows(copy) == all);
    const std::uint64_t before = memory.scratch_bytes();
    for (int i = 0; i < 3; ++i) const decoder::activations again(18, 5, 2, &memory);  // rooms are used again
    CHECK(memory.scratch_bytes() == before + 18 * 5 * sizeof(float));
    CHECK(support::has(support::message_of<error>([&] { scratch_file((folder / "nowhere").string()); }),
                       "nowhere: cannot create a scratch file"));
}

TEST_CASE("what is taken in any case leaves less for tiles") {
    decoder::tile_memory memory({.bytes = 100});
    {
        const decoder::tile_memory::taken some(&memory, 80), none(nullptr, 1000);
        CHECK_FALSE(memory.reserve(30));
        CHECK(memory.reserve(15));
        const decoder::tile_memory::taken more(&memory, 50);
        CHECK_FALSE(memory.reserve(0));
    }
    CHECK(memory.reserved() == 15);
}

TEST_CASE("lists of the tokens of experts are counted") {
    const memory_source model = support::make_tiny_model({.experts = 4, .experts_used = 2});
    decoder::tile_memory memory;
    std::uint64_t at_router = 0;
    struct watched {
        const memory_source& model;
        const decoder::tile_memory& memory;
        std::uint64_t& at_router;

        [[nodiscard]] std::span<const tensor_info> tensors() const { return model.tensors(); }
        [[nodiscard]] const tessera::metadata& metadata() const { return model.metadata(); }
        void read(const tensor_info& info, std::uint64_t first_row, std::uint64_t rows, std::span<float> out) const {
            if (info.name == "blk.0.ffn_gate_inp.weight") at_router = memory.reserved();
            model.read(info, first_row, rows, out);
        }
    };
    const watched source{model, memory, at_router};
    const decoder::model decoder(source, decoder::model_options{.threads = 1});
    decoder::activations state = decoder.embed({support::random_tokens(70, 50), 10}, &memory);
    decoder.run(state);
    const std::uint64_t tiles = 70 * state.columns() * sizeof(float);  // of the states, and of their norms
    const std::uint64_t lists = decoder::routed_bytes(decoder.spec().experts, 70);
    CHECK(lists >= 70 * 2 * sizeof(decoder::routed_token));
    CHECK(at_router == 2 * tiles + lists);
    CHECK(memory.reserved() == tiles);
}

TEST_CASE("a pass in tiles makes the same bits") {
    for (const std::size_t experts : {0u, 3u}) {
        const memory_source source = support::make_tiny_model({.experts = experts, .experts_used = 2});
        check_tiles(source, {support::random_tokens(70, 50), 10});
    }
}

TEST_CASE("a pass in tiles makes the same bits in every architecture") {
    const auto folder = support::shared("golden/architectures");
    if (!folder) return;
    std::vector<std::int32_t> tokens;
    for (std::int32_t i = 0; i < 50; ++i) tokens.push_back(i * i % 37);
    for (const auto& file : support::fs::directory_iterator(*folder)) {
        if (file.path().extension() != ".gguf") continue;
        CAPTURE(file.path());
        check_tiles(gguf::reader(file.path()), {tokens, 10});
    }
}

TEST_CASE("what is not finite is reported by the token, whatever the tile") {
    memory_source source = support::make_tiny_model({});
    decoder::tile_memory memory({.bytes = 0, .tile_tokens = 6});
    const decoder::model model(source);
    std::vector<std::int32_t> tokens(24, 1);
    decoder::activations state = model.embed({tokens, 3}, &memory);
    decoder::matrix rows = state.take(2);
    rows(4, 1) = std::numeric_limits<float>::infinity();  // row 16; the window sees it
    state.put(2, std::move(rows));
    CHECK(support::has(support::message_of<error>([&] { model.run(state); }), "window 5, token 0: wanted finite"));
}
