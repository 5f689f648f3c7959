// The program measures damage, reaches targets with it, and tells what other formats would do.
#include <cmath>
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
using support::shell;
using support::fs::exists;
using support::fs::file_size;

TEST_CASE("a target size is met from calibration to file, and its predictions hold") {
    const scratch_dir folder;
    REQUIRE(program(folder, "calibrate fable-3m --text fable-3m/generated_calibration.txt --tokens 8000 -o i.gguf")
                .status == 0);
    // The first time the model is larger than a file may be. What was measured is kept.
    const std::string unnamed = "fable-3m --imatrix i.gguf --encoder weighted --formats kquants --target-size 1.5MB ";
    const outcome failed =
        shell(folder, "ulimit -f 1600; '" TESSERA_PROGRAM "' quantize " + unnamed + "--measure-tokens 512 -o q.gguf");
    CHECK(failed.status == 1);
    CHECK(has(failed.out, "measuring damage on 2 windows of 256 tokens"));
    CHECK(has(failed.out, "kept in q.gguf.work/damage.json"));
    CHECK_FALSE(exists(folder / "q.gguf"));
    REQUIRE(exists(folder / "q.gguf.work/damage.json"));
    support::fs::copy(folder / "q.gguf.work/damage.json", folder / "d.json");
    const outcome other = program(folder, "quantize " + unnamed + "--measure-tokens 256 -o q.gguf");
    CHECK(other.status == 1);
    CHECK(has(other.err,
              "q.gguf.work/damage.journal: wanted work on the same inputs and options, got some that differs in "
              "options; --restart begins anew"));
    const outcome made = program(folder, "quantize " + unnamed + "--measure-tokens 512 -o q.gguf");
    REQUIRE(made.status == 0);
    CHECK(has(made.out, "going on from q.gguf.work/damage.json"));
    CHECK_FALSE(has(made.out, "measuring"));
    CHECK_FALSE(exists(folder / "q.gguf.work"));
    CHECK(file_size(folder / "q.gguf") <= 1'500'000);
    CHECK(file_size(folder / "q.gguf") > 1'490'000);

    const std::string common =
        "fable-3m --imatrix i.gguf --encoder weighted --measure-tokens 512 --formats kquants --damage d.json ";
    const std::string measured = read_text(folder / "d.json");
    const outcome again = program(folder, "plan " + common + "--target-size 1.5MB -o p.json");
    REQUIRE(again.status == 0);
    CHECK_FALSE(has(again.out, "measuring"));
    CHECK(read_text(folder / "d.json") == measured);
    REQUIRE(
        program(folder, "quantize fable-3m --imatrix i.gguf --encoder weighted --plan p.json -o same.gguf").status ==
        0);
    CHECK(read_text(folder / "same.gguf") == read_text(folder / "q.gguf"));

    // What was predicted from two windows holds on other text within a third, and a mix of that size is worse.
    REQUIRE(program(folder, "quantize fable-3m --imatrix i.gguf --encoder weighted --mix Q3_K_L -o mix.gguf").status ==
            0);
    REQUIRE(file_size(folder / "mix.gguf") > 1'400'000);
    REQUIRE(file_size(folder / "mix.gguf") < 1'500'000);
    const outcome judged = program(
        folder, "evaluate fable-3m mix.gguf q.gguf --pairs --text fable-3m/generated_heldout.txt --windows 12 --json");
    REQUIRE(judged.status == 0);
    const json result = json::parse(judged.out);
    const double predicted = json::parse(read_text(folder / "p.json"))["predicted_kld"];
    const double kld = result["candidates"][1]["mean_kld"]["value"];
    CHECK(std::abs(std::log(kld / predicted)) < std::log(4.0 / 3.0));
    const double of_mix = result["candidates"][0]["mean_kld"]["value"];
    CHECK(kld < 0.9 * of_mix);
    const json ratio = result["candidates"][1]["kld_ratio_in_pair"];
    CHECK(ratio["value"].get<double>() == doctest::Approx(kld / of_mix).epsilon(1e-4));
    CHECK(ratio["error"].get<double>() > 0.0);
    // Both files err at the same tokens: less is left to chance than in two figures that know nothing of each other.
    CHECK(ratio["error"].get<double>() < result["candidates"][0]["mean_kld"]["error"].get<double>() / of_mix);
    CHECK_FALSE(result["candidates"][0].contains("kld_ratio_in_pair"));
    CHECK(program(folder, "evaluate fable-3m mix.gguf q.gguf mix.gguf --pairs --text fable-3m/generated_heldout.txt")
              .status == 2);
    const outcome table =
        program(folder, "evaluate fable-3m mix.gguf q.gguf --pairs --text fable-3m/generated_heldout.txt --windows 1");
    CHECK(has(table.out, "KLD ratio"));

    // What is said on the way is no part of the JSON.
    const outcome curve =
        program(folder, "plan fable-3m --imatrix i.gguf --encoder weighted --measure-tokens 256 --curve --json");
    CHECK(json::parse(curve.out)["points"].size() > 10);
    CHECK(has(curve.err, "measuring damage on 1 windows of 256 tokens"));

    const outcome refined = program(folder, "plan " + common + "--target-size 1.5MB --refine 2 -o r.json");
    CHECK(refined.status == 0);
    CHECK(has(refined.out, "swaps of bytes helped"));
    CHECK(json::parse(read_text(folder / "r.json"))["file_bytes"] <= 1'500'000);

    const outcome changes = program(folder,
                                    "ablate fable-3m --plan p.json --imatrix i.gguf --measure-tokens 512 "
                                    "--tensors values=attn_v --tensors down=ffn_down --format Q2_K --json");
    REQUIRE(changes.status == 0);
    const json list = json::parse(changes.out)["changes"];
    REQUIRE(list.size() == 2);
    CHECK(list[0]["tensors"] == "values");
    for (const json& change : list) {
        CHECK(change["count"] == 3);
        CHECK(change["bytes"] < 0);
        CHECK(change["kld_change"]["value"].get<double>() > 2 * change["kld_change"]["error"].get<double>());
    }
}

TEST_CASE("measuring says what it lacks") {
    const scratch_dir folder;
    const outcome no_text = program(folder, "quantize fable-3m --target-bpw 4 -o x.gguf");
    CHECK(no_text.status == 1);
    CHECK(has(no_text.err, "--measure-text"));
    CHECK(program(folder, "plan fable-3m --target-kld nothing").status == 2);
    CHECK(program(folder, "ablate fable-3m --plan x.json --tensors '(' ").status == 2);
    CHECK(program(folder, "ablate fable-3m --plan x.json").status == 1);
    const outcome both = program(folder, "quantize fable-3m --target-bpw 4 -f Q4_K -o x.gguf");
    CHECK(both.status == 2);
}

TEST_CASE("a time is divided between calibrating and measuring") {
    const scratch_dir folder;
    const std::string command =
        "quantize fable-3m --target-bpw 5 --text fable-3m/generated_calibration.txt -o out.gguf ";
    const outcome none = program(folder, command + "--time 0.001s");
    CHECK(none.status == 1);
    CHECK(has(none.err, "--time: wanted at least 0:"));
    const outcome twice = program(folder, command + "--time 1h --measure-time 5");
    CHECK(twice.status != 0);
    CHECK(has(twice.err, "--measure-time"));

    // More than is needed: all of the text, and as much to measure on as ever.
    const outcome ample = program(folder, command + "--time 10d --measure-tokens 512 --encoder weighted");
    CHECK(ample.status == 0);
    CHECK(has(ample.out, "time 240:00:00: calibrating on "));
    CHECK(has(ample.out, " tokens, measuring on 512\n"));
    CHECK_FALSE(has(ample.out, "(see --tokens)"));
    const outcome fewer = program(folder, command + "--tokens 2048 --measure-tokens 512 --encoder weighted --force");
    CHECK(has(fewer.out, "calibrating on 1792 of 40198 tokens"));
}
