// The program with a format of a user's list: examples/own_program.cpp.
#include <string>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "cli/program.hpp"
#include "support/support.hpp"

using namespace support;
using nlohmann::json;

TEST_CASE("a program with one more format quantizes to it by name, reads what it wrote and measures it") {
    const scratch_dir folder;
    REQUIRE(own_program(folder, "quantize fable-3m -f Q3_64 --pin 'attn_v=Q8_0' -o own.gguf").status == 0);
    const json listed = json::parse(own_program(folder, "inspect own.gguf --json").out);
    CHECK(listed["formats"][0]["name"] == "q3_64");
    CHECK(listed["needs"]["not_portable"] == json{"q3_64"});
    const outcome run =
        own_program(folder, "evaluate fable-3m own.gguf --text fable-3m/generated_heldout.txt --windows 2 --json");
    REQUIRE(run.status == 0);
    const json measured = json::parse(run.out)["candidates"][0];
    CHECK(measured["format"] == "q3_64");
    CHECK(measured["mean_kld"]["value"].get<double>() > 0.01);
    CHECK(measured["mean_kld"]["value"].get<double>() < 2.0);

    const outcome stock = program(folder, "inspect own.gguf");
    CHECK(stock.status == 1);
    CHECK(has(stock.err, "own.gguf: "));
    CHECK(std::count(stock.err.begin(), stock.err.end(), '\n') == 1);
}

TEST_CASE("a simulated file holds the same values in a stock format, so that every program reads it") {
    const scratch_dir folder;
    REQUIRE(own_program(folder, "quantize fable-3m -f q3_64 -o own.gguf").status == 0);
    const outcome run = own_program(folder, "quantize fable-3m -f q3_64 --simulate f16 -o simulated.gguf");
    REQUIRE(run.status == 0);
    CHECK(has(run.out, "wrote simulated.gguf: "));
    const json listed = json::parse(program(folder, "inspect simulated.gguf --json").out);
    CHECK(listed["metadata"]["tessera.simulated"]["value"] == json{"q3_64"});
    CHECK(listed["metadata"]["general.file_type"]["value"] == 1);
    CHECK(listed["formats"][0]["name"] == "F16");
    CHECK(listed["needs"]["not_portable"].empty());
    const json measured =
        json::parse(own_program(folder,
                                "evaluate own.gguf simulated.gguf --text fable-3m/generated_heldout.txt "
                                "--windows 1 --json")
                        .out)["candidates"][0];
    CHECK(measured["mean_kld"]["value"].get<double>() < 1e-5);

    const outcome dry = own_program(folder, "quantize fable-3m -f q3_64 --simulate f16 -o x.gguf --dry-run");
    const std::string size = std::to_string(fs::file_size(folder / "simulated.gguf"));
    CHECK(has(dry.out, "would write x.gguf: " + size.substr(0, size.size() - 6) + ","));
}

TEST_CASE("the format can be chosen from a menu, in damage and plan files; a program without it refuses them") {
    const scratch_dir folder;
    REQUIRE(own_program(folder, "plan fable-3m -f BF16 -o base.json").status == 0);
    const json base = json::parse(read_text(folder / "base.json"));
    json damage{{"kind", "tessera damage table"}, {"version", 1}, {"model", base["model"]}, {"tensors", json::array()}};
    const auto add = [&](const std::string& name) {
        damage["tensors"].push_back({{"name", name},
                                     {"sensitivity", 1.0},
                                     {"sensitivity_error", 0.0},
                                     {"damage", {{"Q8_0", 1e-4}, {"Q4_K", 0.01}, {"q3_64", 0.02}}}});
    };
    for (const json& tensor : base["tensors"])
        if (tensor["format"] == "BF16") add(tensor["name"]);
    add("output.weight");
    write_text(folder / "damage.json", damage.dump());

    REQUIRE(own_program(folder, "plan fable-3m --damage damage.json --target-bpw 4 --formats q3_64,Q4_K -o plan.json")
                .status == 0);
    const std::string plan = read_text(folder / "plan.json");
    CHECK(has(plan, "\"format\":\"q3_64\""));
    CHECK(has(plan, "\"format\":\"Q4_K\""));
    REQUIRE(own_program(folder, "quantize fable-3m --plan plan.json -o out.gguf").status == 0);
    CHECK(fs::file_size(folder / "out.gguf") == json::parse(plan)["file_bytes"]);

    const outcome refused = program(folder, "quantize fable-3m --plan plan.json -o other.gguf");
    CHECK(refused.status == 1);
    CHECK(has(refused.err, "plan.json: tensors["));
    CHECK(has(refused.err, "wanted one of F32, F16,"));
    CHECK(has(refused.err, ", got q3_64"));
    CHECK(has(program(folder, "plan fable-3m --damage damage.json --target-bpw 4").err, ", got q3_64"));
    CHECK(has(program(folder, "quantize fable-3m -f q3_64 -o x.gguf").err, "wanted one of "));
}
