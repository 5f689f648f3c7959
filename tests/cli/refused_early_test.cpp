// What can be refused is refused before a model runs, and a dry run does nothing.
#include <sys/types.h>

#include <csignal>
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

TEST_CASE("a dry run prints the plan, too, where it is known before a model runs") {
    const scratch_dir folder;
    lay_out_texts(folder);
    const std::string command = "quantize fable-3m --text text.txt -f Q4_K --pin ffn_down=Q6_K -o x.gguf";
    const outcome dry = program(folder, command + " --dry-run --progress json");
    CAPTURE(dry.err);
    REQUIRE(dry.status == 0);
    CHECK_FALSE(worked(dry));
    CHECK(has(dry.out, "blk.0.ffn_down.weight"));
    CHECK(has(dry.out, "peak memory"));
    CHECK_FALSE(has(dry.out, "importances"));  // they will be there
    REQUIRE(program(folder, command).status == 0);
    const std::string line = dry.out.substr(dry.out.find("would write x.gguf: "));
    std::string digits = std::to_string(fs::file_size(folder / "x.gguf"));
    for (std::size_t at = digits.size() - 3; at < digits.size(); at -= 3) digits.insert(at, ",");
    CHECK(line.starts_with("would write x.gguf: " + digits + " bytes"));

    REQUIRE(program(folder, "plan fable-3m -f Q5_0 -o plan.json").status == 0);
    const outcome by_plan =
        program(folder, "quantize fable-3m --text text.txt --plan plan.json -o y.gguf --dry-run --progress json");
    CHECK(has(by_plan.out, "would write y.gguf"));
    CHECK_FALSE(worked(by_plan));
    const outcome by_size =
        program(folder, "quantize fable-3m --text text.txt --target-bpw 5 -o y.gguf --dry-run --progress json");
    CHECK_FALSE(has(by_size.out, "would write y.gguf"));
}

TEST_CASE("the output counts for the disk, whatever it follows from") {
    const scratch_dir folder;
    lay_out_texts(folder);
    const auto written = [&](const std::string& options) {
        const outcome run = program(folder, "quantize fable-3m " + options + " -o x.gguf --dry-run --json");
        CAPTURE(options);
        CAPTURE(run.err);
        REQUIRE(run.status == 0);
        const auto folders = nlohmann::json::parse(run.out).at("folders");
        REQUIRE_FALSE(folders.empty());
        return folders.back();
    };
    REQUIRE(program(folder, "quantize fable-3m -f Q4_K --simulate F16 -o simulated.gguf").status == 0);
    const auto size = static_cast<double>(fs::file_size(folder / "simulated.gguf"));
    const auto simulated = written("-f Q4_K --simulate F16");
    CHECK(simulated.at("bytes").get<double>() == doctest::Approx(size).epsilon(0.05));
    CHECK_FALSE(simulated.at("at_most").get<bool>());

    const auto kquants = written("--text text.txt --target-kld 0.1 --formats Q6_K,Q2_K");
    REQUIRE(program(folder, "quantize fable-3m -f Q6_K -o largest.gguf").status == 0);
    const auto largest = static_cast<double>(fs::file_size(folder / "largest.gguf"));
    CHECK(kquants.at("bytes").get<double>() == doctest::Approx(largest).epsilon(0.05));
    CHECK(kquants.at("at_most").get<bool>());
    const auto stored = written("--text text.txt --target-kld 0.1");  // the model's own size
    CHECK(stored.at("bytes").get<double>() == doctest::Approx(size).epsilon(0.05));
    const auto both = written("--text text.txt --target-bpw 3 --simulate F16");
    CHECK(both.at("bytes").get<double>() == doctest::Approx(size).epsilon(0.05));
    CHECK(has(program(folder, "quantize fable-3m --text text.txt --target-kld 0.1 -o x.gguf --dry-run").out,
              "would write to .: at most "));
}

TEST_CASE("what an interrupted run has left is not foretold again") {
    const scratch_dir folder;
    lay_out_texts(folder);
    const auto stages = [&](const std::string& command) {
        const outcome run = program(folder, command + " --dry-run --json");
        CAPTURE(command);
        CAPTURE(run.err);
        REQUIRE(run.status == 0);
        return nlohmann::json::parse(run.out).at("stages");
    };
    // Runs a command until a file is there; again where it was too fast.
    const auto kill_at = [&](const std::string& command, const std::string& output, const std::string& file) {
        do {
            fs::remove(folder / output);
            (void)support::signalled(folder, command, SIGKILL,
                                     [&](::pid_t) { return fs::exists(folder / (output + ".work/" + file)); });
        } while (fs::exists(folder / output));
    };
    const std::string quantize = "quantize fable-3m --text text.txt -f Q4_K -o x.gguf";
    for (const auto& stage : stages(quantize)) CHECK(stage.at("done") == 0);
    kill_at(quantize, "x.gguf", "output.journal.states-1");
    const auto left = stages(quantize);
    REQUIRE(left.size() == 2);
    CHECK(left[0].at("stage") == "calibrate");
    CHECK(left[0].at("done") == 1);
    CHECK(left[0].at("seconds") == 0);
    CHECK(left[1].at("done") > 0.1);
    CHECK(left[1].at("done") < 1);
    CHECK(has(program(folder, quantize + " --dry-run").out, "calibrate  done"));
    for (const auto& stage : stages(quantize + " --restart")) CHECK(stage.at("done") == 0);
    REQUIRE(program(folder, "convert fable-3m -o other.gguf --type F16").status == 0);
    const std::string other = "quantize other.gguf --encoder weighted --text text.txt -f Q4_K -o x.gguf";
    CHECK(stages(other)[1].at("done") == 0);  // of another model
    REQUIRE(program(folder, quantize + " --keep-work").status == 0);
    fs::remove(folder / "x.gguf");
    CHECK(stages(quantize)[0].at("done") == 1);
    CHECK(stages(quantize)[1].at("done") == 0);  // what was written is gone

    const std::string plan =
        "plan fable-3m --measure-text text.txt --encoder weighted --measure noise --measure-tokens 256 --target-bpw 5 "
        "--refine 1 -o p.json";
    REQUIRE(program(folder, plan + " --keep-work").status == 0);
    fs::remove(folder / "p.json");
    const auto planned = stages(plan);
    REQUIRE(planned.size() == 2);
    CHECK(planned[0].at("done") == 1);
    CHECK(planned[1].at("done") > 0);

    const std::string evaluate = "evaluate fable-3m other.gguf other.gguf --text text.txt";
    REQUIRE(program(folder, evaluate + " --keep-work").status == 0);
    for (const auto& stage : stages(evaluate)) CHECK(stage.at("done") == 1);

    const std::string calibrate = "calibrate fable-3m --text text.txt -o i.gguf";
    kill_at(calibrate, "i.gguf", "calibration.journal.states-1");
    const auto calibrated = stages(calibrate);
    CHECK(calibrated[0].at("done") > 0.1);
    CHECK(calibrated[0].at("done") < 1);
}

TEST_CASE("an evaluation takes as much of the text as there is time for") {
    const scratch_dir folder;
    lay_out_texts(folder);
    const outcome all = program(folder, "evaluate fable-3m fable-3m --text text.txt --time 10h --progress none");
    CAPTURE(all.err);
    REQUIRE(all.status == 0);
    CHECK(has(all.out, "time 10:00:00: comparing on "));
    const outcome none = program(folder, "evaluate fable-3m fable-3m --text text.txt --time 0.0001s --progress json");
    CHECK(none.status == 1);
    CHECK(has(none.err, "--time: wanted at least"));
    CHECK_FALSE(worked(none));
}
