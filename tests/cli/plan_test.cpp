#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "cli/program.hpp"
#include "support/support.hpp"

using namespace support;
using nlohmann::json;

namespace {

json load(const fs::path& path) { return json::parse(read_text(path)); }

/// A damage file for fable-3m with damages that quarter with each bit, as if all tensors were equally sensitive.
void write_damage(const scratch_dir& folder) {
    REQUIRE(program(folder, "plan fable-3m -f BF16 -o base.json").status == 0);
    const json base = load(folder / "base.json");
    const std::map<std::string, double> bits{{"Q8_0", 8.5}, {"Q6_K", 6.5625}, {"Q5_K", 5.5},   {"Q4_K", 4.5},
                                             {"Q4_0", 4.5}, {"Q3_K", 3.4375}, {"Q2_K", 2.625}, {"IQ2_XXS", 2.0625}};
    json file{{"kind", "tessera damage table"}, {"version", 1}, {"model", base["model"]}, {"tensors", json::array()}};
    const auto add = [&](const std::string& name) {
        json damage;
        for (const auto& [format, width] : bits)
            damage[format] = std::pow(4.0, -width) * (format == "Q4_0" ? 1.5 : 1.0);
        file["tensors"].push_back(
            {{"name", name}, {"sensitivity", 1.0}, {"sensitivity_error", 0.0}, {"damage", damage}});
    };
    for (const json& tensor : base["tensors"])
        if (tensor["format"] == "BF16") add(tensor["name"]);
    add("output.weight");
    write_text(folder / "damage.json", file.dump());
    fs::remove(folder / "base.json");
}

}  // namespace

TEST_CASE("a mix, its plan file and its options for llama-quantize say the same") {
    const scratch_dir folder;
    REQUIRE(program(folder, "quantize fable-3m --mix q4_k_m -o a.gguf").status == 0);
    const outcome planned = program(folder, "plan fable-3m --mix Q4_K_M -o plan.json --tensor-types options.txt");
    REQUIRE(planned.status == 0);
    REQUIRE(program(folder, "quantize fable-3m --plan plan.json -o b.gguf").status == 0);
    CHECK(read_text(folder / "a.gguf") == read_text(folder / "b.gguf"));
    const json plan = load(folder / "plan.json");
    CHECK(plan["file_bytes"] == fs::file_size(folder / "a.gguf"));
    CHECK(plan["file_type"] == 15);
    const json listed = json::parse(program(folder, "inspect a.gguf --json").out);
    CHECK(listed["metadata"]["general.file_type"]["value"] == 15);
    for (std::size_t t = 0; t < plan["tensors"].size(); ++t)
        CHECK(listed["tensors"][t]["format"] == plan["tensors"][t]["format"]);
    const std::string options = read_text(folder / "options.txt");
    CHECK(has(options, "--tensor-type ^blk\\.2\\.attn_v\\.weight$=q6_k\n"));
    CHECK(std::count(options.begin(), options.end(), '\n') == 22);

    const outcome pinned = program(folder, "plan fable-3m --mix Q4_K_M --pin 'attn_v=Q8_0'");
    CHECK(pinned.status == 0);
    CHECK(has(pinned.out, "Q8_0 [256, 128]"));
    CHECK(has(program(folder, "plan fable-3m --mix IQ2_M").err, "mix IQ2_M: wanted importances"));
    CHECK(program(folder, "plan fable-3m --recipe Q4_K_M").out == program(folder, "plan fable-3m --mix Q4_K_M").out);
}

TEST_CASE("a target size is never exceeded and nearly used up; the file has the size the plan says") {
    const scratch_dir folder;
    write_damage(folder);
    for (const auto& target : {std::pair<std::string, int>{"1.3MB", 1'300'000}, {"1.9 MiB", 1'992'294}}) {
        const std::string size = target.first;
        const int bytes = target.second;
        CAPTURE(size);
        const outcome run =
            program(folder, "plan fable-3m --damage damage.json --target-size '" + size + "' -o plan.json --force");
        REQUIRE(run.status == 0);
        CHECK(has(run.out, "predicted mean KL divergence: "));
        REQUIRE(program(folder, "quantize fable-3m --plan plan.json -o out.gguf --force").status == 0);
        const std::uint64_t got = fs::file_size(folder / "out.gguf");
        CHECK(got <= static_cast<std::uint64_t>(bytes));
        CHECK(static_cast<double>(got) > 0.995 * bytes);
        CHECK(load(folder / "plan.json")["file_bytes"] == got);
        CHECK(load(folder / "plan.json")["proven_gap"].get<double>() < 1e-3);
    }
    const json before = load(folder / "plan.json");
    const double kld = before["predicted_kld"];
    REQUIRE(
        program(folder, "plan fable-3m --damage damage.json -o kld.json --target-kld " + std::to_string(kld * 1.001))
            .status == 0);
    CHECK(load(folder / "kld.json")["file_bytes"] <= before["file_bytes"]);
    CHECK(load(folder / "kld.json")["predicted_kld"].get<double>() <= kld * 1.001);
    const outcome few = program(folder, "plan fable-3m --damage damage.json --target-bpw 4.6 --formats arm-friendly");
    CHECK(few.status == 0);
    CHECK(has(few.out, "Q4_0"));
    CHECK_FALSE(has(few.out, "_K"));
}

TEST_CASE("plans are portable unless one asks for more, and every command says what the formats need") {
    const scratch_dir folder;
    write_damage(folder);
    json damage = load(folder / "damage.json");
    for (json& tensor : damage["tensors"]) tensor["damage"]["TQ2_0"] = 1e-9;  // who would not take that
    write_text(folder / "damage.json", damage.dump());
    const std::string small = "plan fable-3m --damage damage.json --target-bpw 2.5 ";
    const outcome portable = program(folder, small);
    REQUIRE(portable.status == 0);
    CHECK_FALSE(has(portable.out, "TQ2_0"));
    CHECK(has(portable.out, "\nformats need llama.cpp from b"));
    CHECK_FALSE(has(portable.out, "warning"));
    CHECK(has(program(folder, small + "--formats newest").out, "warning: not portable: TQ2_0;"));
    const outcome curve = program(folder, "plan fable-3m --damage damage.json --curve --json");
    CHECK(json::parse(curve.out)["points"][0]["predicted_kld"] > 1e-3);

    // Named by a format, a pin, a mix or a plan, of a plan or of a file.
    CHECK(has(program(folder, "plan fable-3m -f Q4_K --pin ffn_down=TQ1_0 -o p.json").out,
              "warning: not portable: TQ1_0;"));
    CHECK(has(program(folder, "plan fable-3m --mix TQ1_0").out, "warning: not portable: TQ1_0;"));
    CHECK(has(program(folder, "quantize fable-3m --plan p.json -o x.gguf --dry-run").out,
              "no CUDA, Metal, Vulkan or SYCL for TQ1_0"));
    const outcome written = program(folder, "quantize fable-3m -f TQ2_0 --encoder nearest -o t.gguf");
    CHECK(written.out.starts_with("formats need llama.cpp from b3672"));
    CHECK(has(written.out, "warning: not portable: TQ2_0;"));
    const outcome inspected = program(folder, "inspect t.gguf");
    CHECK(has(inspected.out, "warning: not portable: TQ2_0;"));
    const json listed = json::parse(program(folder, "inspect t.gguf --json").out)["needs"];
    CHECK(listed["builds"]["CPU"] == 3672);
    CHECK(listed["builds"]["CUDA"].is_null());
    CHECK(listed["not_portable"] == json::array({"TQ2_0"}));
    CHECK_FALSE(has(program(folder, "inspect fable-3m").out, "llama.cpp from"));  // not a file that engines run
}

TEST_CASE("a curve is a table, JSON and a picture") {
    const scratch_dir folder;
    write_damage(folder);
    const outcome run = program(folder, "plan fable-3m --damage damage.json --curve --json --svg curve.svg");
    REQUIRE(run.status == 0);
    const json points = json::parse(run.out)["points"];
    REQUIRE(points.size() > 20);
    for (std::size_t p = 1; p < points.size(); ++p) {
        CHECK(points[p]["file_bytes"] > points[p - 1]["file_bytes"]);
        CHECK(points[p]["predicted_kld"] < points[p - 1]["predicted_kld"]);
    }
    CHECK(points[0]["bits_per_weight"].get<double>() < 2.1);
    CHECK(points.back()["predicted_kld"] == 0.0);  // as it is stored
    const std::string svg = read_text(folder / "curve.svg");
    CHECK(svg.starts_with("<svg "));
    CHECK(svg.ends_with("</svg>\n"));
    CHECK_FALSE(has(svg, "nan"));
    CHECK(program(folder, "plan fable-3m --damage damage.json --curve").status == 0);
}

TEST_CASE("a plan edited by hand may write the tied table twice") {
    const scratch_dir folder;
    REQUIRE(program(folder, "plan fable-3m -f Q8_0 --pin token_embd=Q2_K -o plan.json").status == 0);
    REQUIRE(program(folder, "quantize fable-3m --plan plan.json -o once.gguf").status == 0);
    json plan = load(folder / "plan.json");
    plan["tensors"].push_back({{"name", "output.weight"}, {"format", "Q8_0"}});
    write_text(folder / "twice.json", plan.dump());
    REQUIRE(program(folder, "quantize fable-3m --plan twice.json -o twice.gguf").status == 0);
    const json both = json::parse(
        program(folder,
                "evaluate fable-3m once.gguf twice.gguf --text fable-3m/generated_heldout.txt --windows 2 --json")
            .out)["candidates"];
    CHECK(both[1]["mean_kld"]["value"].get<double>() < 0.8 * both[0]["mean_kld"]["value"].get<double>());
}

TEST_CASE("plan says what is wrong, and replaces nothing by accident") {
    const scratch_dir folder;
    write_damage(folder);
    const auto fails = [&](const std::string& arguments, const char* about) {
        const outcome run = program(folder, "plan " + arguments);
        CAPTURE(run.err);
        CHECK(run.status == 1);
        CHECK(has(run.err, about));
    };
    fails("fable-3m --target-size 1MB", "--measure-text");
    fails("fable-3m --damage damage.json --target-size 100kB", "smallest possible is ");
    fails("fable-3m --damage damage.json --target-size 800kB --pin ffn_up=Q8_0", "blk.0.ffn_up.weight (Q8_0, ");
    fails("fable-3m --damage damage.json --target-bpw 4 --pin nothing=Q8_0", "--pin nothing");
    fails("fable-3m --damage damage.json --target-bpw 4 --formats Q9", "formats to choose from");
    fails("fable-3m --damage fable-3m/config.json --target-bpw 4", "wanted the key \"kind\"");
    write_text(folder / "there.json", "precious");
    fails("fable-3m -f Q8_0 -o there.json", "got a file that exists; --force replaces it");
    CHECK(read_text(folder / "there.json") == "precious");
    CHECK(program(folder, "quantize fable-3m --plan there.json -o out.gguf").status == 1);
    CHECK_FALSE(fs::exists(folder / "out.gguf"));
    for (const char* wrong :
         {"plan fable-3m", "plan fable-3m -f Q4_K --mix Q4_K_M", "plan fable-3m --target-size much",
          "plan fable-3m --target-bpw -1", "plan fable-3m --target-kld nan", "plan fable-3m --mix Q9",
          "plan fable-3m -f Q4_K --svg x.svg", "plan fable-3m --curve -o x.json",
          "quantize fable-3m -f Q4_K --plan damage.json -o x.gguf",
          "quantize fable-3m --plan damage.json --pin ffn=Q8_0 -o x.gguf"}) {
        CAPTURE(wrong);
        CHECK(program(folder, wrong).status == 2);
    }
}
