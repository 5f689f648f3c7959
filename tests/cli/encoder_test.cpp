// The program's encoders: which one is taken, what it says, and that it is worth it.
#include <string>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "cli/program.hpp"
#include "support/support.hpp"

using nlohmann::json;
using support::has;
using support::outcome;
using support::program;
using support::read_text;
using support::scratch_dir;
using support::fs::exists;

TEST_CASE("error feedback is the default where there is text, and loses less") {
    const scratch_dir folder;
    REQUIRE(program(folder, "calibrate fable-3m --text fable-3m/generated_calibration.txt --tokens 16000 -o i.gguf")
                .status == 0);
    const outcome made = program(folder, "quantize fable-3m --imatrix i.gguf -f Q3_K -o feedback.gguf --report r.json");
    REQUIRE(made.status == 0);
    CHECK(has(made.out, "error feedback: 22 of 22 matrices; on held-out text the outputs' squared error is 0."));
    const json report = json::parse(read_text(folder / "r.json"));
    CHECK(report["version"] == 1);
    CHECK(report["encoder"] == "feedback");
    CHECK(report["feedback_inputs"] == "quantized");
    CHECK(report["tensors"].size() == 22);
    for (const json& tensor : report["tensors"]) {
        CAPTURE(tensor);
        CHECK(tensor["matrices_with_feedback"] == 1);
        CHECK(tensor["held_out_error_feedback"] < tensor["held_out_error_weighted"]);
        CHECK_FALSE(tensor["exact"]);
    }

    for (const std::string encoder : {"weighted", "nearest"}) {
        const outcome plain = program(
            folder, "quantize fable-3m --imatrix i.gguf -f Q3_K --encoder " + encoder + " -o " + encoder + ".gguf");
        REQUIRE(plain.status == 0);
        CHECK_FALSE(has(plain.out, "error feedback"));
    }
    REQUIRE(program(folder, "quantize fable-3m --imatrix i.gguf -f Q3_K --feedback-inputs original -o original.gguf")
                .status == 0);
    const outcome judged = program(folder,
                                   "evaluate fable-3m feedback.gguf original.gguf weighted.gguf nearest.gguf --text "
                                   "fable-3m/generated_heldout.txt --windows 12 --json");
    REQUIRE(judged.status == 0);
    const json result = json::parse(judged.out)["candidates"];
    const auto kld = [&](std::size_t i) { return result[i]["mean_kld"]["value"].get<double>(); };
    CHECK(kld(0) < 0.95 * kld(1));
    CHECK(kld(1) < 0.85 * kld(2));
    CHECK(kld(2) < 0.95 * kld(3));
}

TEST_CASE("texts named at once do what an importance matrix of them does") {
    const scratch_dir folder;
    const std::string text = "--text short.txt ";
    support::write_text(
        folder / "short.txt",
        read_text(support::project_dir() / "examples/models/fable-3m/generated_heldout.txt").substr(0, 12000));
    REQUIRE(program(folder, "calibrate fable-3m " + text + "-o i.gguf").status == 0);
    REQUIRE(program(folder, "quantize fable-3m -f Q4_0 --imatrix i.gguf -o a.gguf").status == 0);
    REQUIRE(program(folder, "quantize fable-3m -f Q4_0 " + text + "-o b.gguf").status == 0);
    REQUIRE(program(folder, "convert a.gguf --type F32 -o a32.gguf").status == 0);
    REQUIRE(program(folder, "convert b.gguf --type F32 -o b32.gguf").status == 0);
    REQUIRE(
        program(folder, "evaluate a32.gguf b32.gguf --text fable-3m/generated_heldout.txt --windows 1 --json > e.json")
            .status == 0);
    CHECK(json::parse(read_text(folder / "e.json"))["candidates"][0]["mean_kld"]["value"] == 0.0);

    // What was rounded once lies on the grid, and stays as it is.
    const outcome again = program(folder, "quantize a32.gguf -f Q4_0 " + text + "-o again.gguf");
    REQUIRE(again.status == 0);
    CHECK(has(again.out, "without loss, the weights lay on the format's grid: token_embd.weight"));
}

TEST_CASE("feedback without a text is refused") {
    const scratch_dir folder;
    const outcome bare = program(folder, "quantize fable-3m -f Q4_K --encoder feedback -o q.gguf");
    CHECK(bare.status == 1);
    CHECK(has(bare.err, "--encoder feedback: wanted texts (--text) or an importance matrix of tessera calibrate"));
    REQUIRE(
        program(folder, "calibrate fable-3m --text fable-3m/generated_calibration.txt --tokens 2000 -o i.dat").status ==
        0);
    const outcome older = program(folder, "quantize fable-3m -f Q4_K --imatrix i.dat --encoder feedback -o q.gguf");
    CHECK(older.status == 1);
    CHECK(has(older.err, "got i.dat"));
    CHECK_FALSE(exists(folder / "q.gguf"));
    CHECK(program(folder, "quantize fable-3m -f Q4_K --imatrix i.dat -o q.gguf").status == 0);  // weighted
    CHECK(program(folder, "quantize fable-3m -f Q4_K --encoder best -o q.gguf").status == 2);
    const outcome without = program(folder, "quantize fable-3m -f Q4_K --feedback-inputs original -o r.gguf");
    CHECK(without.status == 1);
    CHECK(has(without.err, "--feedback-inputs: wanted the encoder feedback"));
}
