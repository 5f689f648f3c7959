// What can be refused is refused before a model runs, and a dry run does nothing.
#include <filesystem>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "program.hpp"
#include "support/support.hpp"

using support::has;
using support::outcome;
using support::program;
using support::scratch_dir;
namespace fs = std::filesystem;

namespace {

// Texts of which one is long enough for everything, one gives a single window, so that none is held out, and one is too
// short for a window.
void lay_out_texts(const scratch_dir& folder) {
    const std::string text =
        support::read_text(support::project_dir() / "examples/models/fable-3m" / "generated_calibration.txt");
    support::write_text(folder / "text.txt", text.substr(0, 12000));
    support::write_text(folder / "one.txt", text.substr(0, 3200));
    support::write_text(folder / "short.txt", text.substr(0, 40));
    support::write_text(folder / "damage.json", "{}");
}

// Whether a stage began but that of reading a model.
bool worked(const outcome& run) {
    const std::string key = "\"stage\":\"";
    for (std::size_t at = 0; (at = run.err.find(key, at)) != run.err.npos; at += key.size())
        if (run.err.compare(at + key.size(), 8, "reading\"") != 0) return true;
    return false;
}

}  // namespace

TEST_CASE("what can be refused is refused before the model runs") {
    const scratch_dir folder;
    lay_out_texts(folder);
    struct refusal {
        std::string command, problem;
    };
    const std::vector<refusal> all{
        {"calibrate fable-3m --text short.txt -o i.gguf", "wanted"},
        {"calibrate fable-3m --text text.txt -o i.gguf --memory 1MiB", "--memory: wanted at least"},
        {"plan fable-3m --text one.txt --target-bpw 4", "measuring: wanted a text (--measure-text FILE)"},
        {"plan fable-3m --text one.txt --curve", "measuring: wanted a text (--measure-text FILE)"},
        {"plan fable-3m --text text.txt --measure-text short.txt --target-bpw 4", "short.txt: windows: wanted"},
        {"plan fable-3m --text text.txt --measure-text none.txt --target-bpw 4", "none.txt"},
        {"plan fable-3m --text text.txt --damage damage.json --target-bpw 4", "damage.json"},
        {"plan fable-3m --text text.txt --damage damage.json --curve", "damage.json"},
        {"plan fable-3m --text text.txt --damage damage.json -f Q4_K", "damage.json"},
        {"plan fable-3m --text text.txt --curve --memory 1MiB", "--memory: wanted at least"},
        {"plan fable-3m --text text.txt -f Q4_K --refine 2", "--refine: wanted a target"},
        {"plan fable-3m --text text.txt --curve --refine 2", "--refine: wanted one target"},
        {"quantize fable-3m --text one.txt --target-bpw 4 -o x.gguf", "measuring: wanted a text"},
        {"quantize fable-3m --text text.txt --damage damage.json --target-bpw 4 -o x.gguf", "damage.json"},
        {"quantize fable-3m --text text.txt -f Q4_K --refine 2 -o x.gguf", "--refine: wanted a target"},
        {"ablate fable-3m --plan plan.json --text one.txt", "measuring: wanted a text"},
        {"ablate fable-3m --plan plan.json --text text.txt --measure-text short.txt", "short.txt: windows: wanted"},
        {"ablate fable-3m --plan plan.json --text text.txt --memory 1MiB", "--memory: wanted at least"},
        {"evaluate fable-3m fable-3m broken.gguf --text text.txt", "broken.gguf"},
        {"evaluate fable-3m fable-3m --text short.txt", "short.txt"},
    };
    REQUIRE(program(folder, "plan fable-3m -f Q4_K -o plan.json").status == 0);
    // An architecture that is read, but that no decoder runs.
    REQUIRE(program(folder, "convert fable-3m -o broken.gguf").status == 0);
    std::string bytes = support::read_text(folder / "broken.gguf");
    for (std::size_t at = 0; (at = bytes.find("llama", at)) != bytes.npos; ++at) bytes.replace(at, 5, "lluma");
    support::write_text(folder / "broken.gguf", bytes);
    for (const auto& [command, problem] : all) {
        CAPTURE(command);
        const outcome run = program(folder, command + " --progress json");
        CAPTURE(run.err);
        CHECK(run.status != 0);
        CHECK(has(run.err, problem));
        CHECK_FALSE(worked(run));
        CHECK_FALSE(fs::exists(folder / "x.gguf.work"));
    }
}

TEST_CASE("a dry run tells stages, memory and disk, and leaves nothing behind") {
    const scratch_dir folder;
    lay_out_texts(folder);
    REQUIRE(program(folder, "plan fable-3m -f Q4_K -o plan.json").status == 0);
    struct wanted {
        std::string command;
        std::vector<std::string> stages;
    };
    const std::vector<wanted> all{
        {"calibrate fable-3m --text text.txt -o i.gguf", {"calibrate"}},
        {"plan fable-3m --text text.txt --target-bpw 4 --refine 2", {"calibrate", "measure", "refine"}},
        {"plan fable-3m --text text.txt --curve", {"calibrate", "measure"}},
        {"quantize fable-3m --text text.txt --target-bpw 4 -o x.gguf", {"calibrate", "measure", "quantize"}},
        {"quantize fable-3m --text text.txt -f Q4_K -o x.gguf", {"calibrate", "quantize"}},
        {"ablate fable-3m --plan plan.json --text text.txt", {"calibrate", "ablate"}},
        {"evaluate fable-3m fable-3m --text text.txt", {"reference", "candidate", "compare"}},
    };
    for (const auto& [command, stages] : all) {
        CAPTURE(command);
        const outcome people = program(folder, command + " --dry-run --progress json");
        CAPTURE(people.err);
        REQUIRE(people.status == 0);
        CHECK_FALSE(worked(people));
        CHECK(has(people.out, "peak memory"));
        const outcome json = program(folder, command + " --dry-run --json");
        CAPTURE(json.err);
        REQUIRE(json.status == 0);
        const auto told = nlohmann::json::parse(json.out);
        CHECK(told.at("kind") == "tessera forecast");
        CHECK(told.at("version") == 1);
        REQUIRE(told.at("stages").size() == stages.size());
        for (std::size_t s = 0; s < stages.size(); ++s) {
            CHECK(told["stages"][s].at("stage") == stages[s]);
            CHECK(told["stages"][s].at("seconds") > 0);
        }
        CHECK(told.at("memory") > 0);
        CHECK(told.at("disk") > 0);
    }
    std::size_t files = 0;
    for (const auto& entry : fs::directory_iterator(folder.path())) {
        const std::string name = entry.path().filename().string();
        if (name.front() != '.') ++files;
    }
    CHECK(files == 6);  // the model, three texts, damage.json, plan.json
}
