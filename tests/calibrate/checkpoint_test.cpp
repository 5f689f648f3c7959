// Checkpoints whose checksums are right and whose content contradicts itself.
#include <array>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "support/support.hpp"
#include "tessera/calibrate/checkpoint.hpp"

using namespace tessera;

namespace {

const work_identity some_work = work_identity().add("model", 7).add("text", 8);

decoder::activations some_state(float first) {
    decoder::matrix values(1, 3);
    values << first, first + 1, first + 2;
    return {std::move(values), 1};
}

input_statistics some_input(std::size_t layer) {
    input_statistics input;
    input.layer = layer;
    input.tensors = {"blk.0.ffn_up_exps.weight"};
    input.sharing = token_sharing::routed;
    input.matrices.resize(2);  // the second saw no token
    input.matrices[0].tokens = 5;
    input.matrices[0].squares = {1.0, 2.0};
    input.matrices[0].sums = {0.5, -1.0};
    input.matrices[0].peaks = {1.0f, 0.0f};
    return input;
}

// What opening a checkpoint of these statistics says, once something was done to them.
std::string reading(const std::function<void(input_statistics&)>& change) {
    input_statistics input = some_input(0);
    change(input);
    const support::scratch_dir folder;
    calibration_checkpoint(folder / "checkpoint", some_work, 9).add(0, std::vector{input}, some_state(4));
    try {
        calibration_checkpoint saved(folder / "checkpoint", some_work, 9);
        std::vector<input_statistics> inputs;
        decoder::activations state = some_state(0);
        CHECK(saved.resume(inputs, state) == 1);
        CHECK(all_rows(state) == all_rows(some_state(4)));
        return inputs.at(0).tensors.at(0);
    } catch (const unfit_work& problem) {
        const std::string message = problem.what(), path = (folder / "checkpoint").string();
        CHECK(message.starts_with(path));
        return message.substr(path.size());
    }
}

}  // namespace

TEST_CASE("a checkpoint goes on with the latest states, and the statistics of the layers before them") {
    const support::scratch_dir folder;
    const auto path = folder / "checkpoint";
    const auto resumed = [&](std::uint64_t start = 9) {
        std::vector<input_statistics> inputs;
        decoder::activations state = some_state(0);
        const std::size_t layers = calibration_checkpoint(path, some_work, start).resume(inputs, state);
        CHECK(inputs.size() == layers);
        CHECK(all_rows(state) == all_rows(some_state(static_cast<float>(layers))));
        return layers;
    };
    for (std::size_t layer = 0; layer < 3; ++layer)
        calibration_checkpoint(path, some_work, 9)
            .add(layer, std::vector{some_input(layer)}, some_state(static_cast<float>(layer + 1)));
    using strings = std::vector<std::string>;
    CHECK(support::names_in(folder.path()) == strings{"checkpoint", "checkpoint.states-3"});
    CHECK(calibration_checkpoint::layers_in(path, some_work) == 3);
    CHECK(calibration_checkpoint::layers_in(path, work_identity().add("model", 8)) == 0);
    CHECK(calibration_checkpoint::layers_in(folder / "none", some_work) == 0);
    CHECK(resumed() == 3);
    CHECK(resumed(8) == 0);  // states of other embeddings
    // States that were not saved any more: the layer is done again, and noted again.
    support::fs::copy_file(folder / "checkpoint.states-3", folder / "checkpoint.states-2");
    calibration_checkpoint(path, some_work, 9).add(1, std::vector{some_input(1)}, some_state(2));
    CHECK(resumed() == 2);
    calibration_checkpoint::remove(path);
    CHECK(support::names_in(folder.path()).empty());
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
    CHECK(reading([](input_statistics& input) { input.layer = 4; }) ==
          ": wanted statistics of layer 0, got those of layer 4");
}
