// Checkpoints whose checksum is right and whose content contradicts itself.
#include <functional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "support/support.hpp"
#include "tessera/calibrate/checkpoint.hpp"
#include "tessera/decoder/activations.hpp"
#include "tessera/decoder/tile_memory.hpp"

using namespace tessera;

namespace {

// What reading a checkpoint of these statistics says, once something was done to them.
std::string reading(const std::function<void(input_statistics&)>& change) {
    input_statistics input;
    input.tensors = {"blk.0.ffn_up_exps.weight"};
    input.sharing = token_sharing::routed;
    input.matrices.resize(2);  // the second saw no token
    input.matrices[0].tokens = 5;
    input.matrices[0].squares = {1.0, 2.0};
    input.matrices[0].sums = {0.5, -1.0};
    input.matrices[0].peaks = {1.0f, 0.0f};
    change(input);
    const support::scratch_dir folder;
    constexpr calibration_identity same{.model = 7, .text = 8, .start = 9};
    const decoder::matrix before{{1}, {2}, {3}}, saved{{4}, {5}, {6}};
    decoder::tile_memory memory({.tile_tokens = 2});
    decoder::activations activations(3, 1, 1, &memory), other(3, 1, 1, &memory);  // two tiles
    for (std::size_t i = 0; i < 2; ++i) {
        const auto first = static_cast<Eigen::Index>(2 * i), rows = static_cast<Eigen::Index>(other.rows_of(i));
        activations.put(i, before.middleRows(first, rows));
        other.put(i, saved.middleRows(first, rows));
    }
    write_checkpoint(folder / "checkpoint", same, 1, std::vector{input}, other);
    try {
        const std::string tensor = read_checkpoint(folder / "checkpoint", same, activations).inputs.at(0).tensors.at(0);
        CHECK(all_rows(activations) == saved);
        return tensor;
    } catch (const checkpoint_error& problem) {
        CHECK(all_rows(activations) == before);
        const std::string message = problem.what(), path = (folder / "checkpoint").string();
        CHECK(message.starts_with(path));
        return message.substr(path.size());
    }
}

}  // namespace

TEST_CASE("a checkpoint of another release is refused by its version") {
    const support::scratch_dir folder;
    constexpr calibration_identity same{.model = 7, .text = 8, .start = 9};
    decoder::activations activations(decoder::matrix{{0.0f}}, 1);
    write_checkpoint(folder / "checkpoint", same, 1, {}, activations);
    const std::string whole = support::read_text(folder / "checkpoint"), kind = "tessera calibration checkpoint ";
    REQUIRE(whole.starts_with(kind + "2"));
    const auto message = [&](const std::string& start) {
        support::write_text(folder / "checkpoint", start + whole.substr(start.size()));
        return support::message_of<checkpoint_error>(
            [&] { (void)read_checkpoint(folder / "checkpoint", same, activations); });
    };
    const std::string wanted = (folder / "checkpoint").string() + ": wanted a checkpoint of version 2, got version ";
    CHECK(message(kind + "1") == wanted + "1, which an earlier release wrote");
    CHECK(message(kind + "3") == wanted + "3, which a later release wrote");
    CHECK(support::has(message("tesserae"), ": wanted a checkpoint of a calibration, got something else"));
}

TEST_CASE("statistics in a checkpoint have all sums for the same columns") {
    const std::string wanted = ": wanted statistics of the same columns for each matrix, got others";
    CHECK(reading([](input_statistics&) {}) == "blk.0.ffn_up_exps.weight");
    CHECK(reading([](input_statistics& input) { input.matrices[1] = input.matrices[0]; }) ==
          "blk.0.ffn_up_exps.weight");
    CHECK(reading([](input_statistics& input) { input.matrices[0].sums.pop_back(); }) == wanted);
    CHECK(reading([](input_statistics& input) { input.matrices[0].peaks.push_back(0.0f); }) == wanted);
    CHECK(reading([](input_statistics& input) { input.matrices[1].tokens = 1; }) == wanted);
    CHECK(reading([](input_statistics& input) {
              input.matrices[1] = input.matrices[0];
              for (auto* sums : {&input.matrices[1].squares, &input.matrices[1].sums}) sums->pop_back();
              input.matrices[1].peaks.pop_back();
          }) == wanted);
    CHECK(reading([](input_statistics& input) { input.sharing = static_cast<token_sharing>(2); }) ==
          ": token sharing: wanted 0 or 1, got 2");
}
