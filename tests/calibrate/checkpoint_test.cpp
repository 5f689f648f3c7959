// Checkpoints whose checksum is right and whose content contradicts itself.
#include <array>
#include <functional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "support/support.hpp"
#include "tessera/calibrate/checkpoint.hpp"

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
    std::array<float, 3> activations{1, 2, 3};
    write_checkpoint(folder / "checkpoint", same, 1, std::vector{input}, std::array<float, 3>{4, 5, 6});
    try {
        return read_checkpoint(folder / "checkpoint", same, activations).inputs.at(0).tensors.at(0);
    } catch (const checkpoint_error& problem) {
        CHECK(activations == std::array<float, 3>{1, 2, 3});
        const std::string message = problem.what(), path = (folder / "checkpoint").string();
        CHECK(message.starts_with(path));
        return message.substr(path.size());
    }
}

}  // namespace

TEST_CASE("a checkpoint of another release is refused by its version") {
    const support::scratch_dir folder;
    constexpr calibration_identity same{.model = 7, .text = 8, .start = 9};
    std::array<float, 1> activations{};
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
