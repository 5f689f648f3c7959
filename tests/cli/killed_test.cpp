// Commands that are killed at any moment go on where they were, and end with the bytes of one that was not.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "cli/program.hpp"
#include "support/support.hpp"

using namespace support;

namespace {

// What lies in the folder of unfinished work: it is another when something was written.
std::uint64_t state_of(const fs::path& work) {
    std::uint64_t state = 0;
    std::error_code ignored;
    for (fs::directory_iterator entry(work, ignored), end; !ignored && entry != end; entry.increment(ignored)) {
        struct ::stat status{};
        if (::stat(entry->path().c_str(), &status) != 0) continue;
        for (const std::uint64_t number :
             {std::uint64_t{status.st_ino}, static_cast<std::uint64_t>(status.st_size),
              static_cast<std::uint64_t>(status.st_mtim.tv_sec), static_cast<std::uint64_t>(status.st_mtim.tv_nsec)})
            state = (state ^ number) * 0x9e3779b97f4a7c15u + 1;
    }
    return state;
}

struct killed {
    std::size_t kills = 0;
    std::size_t resumed = 0;  ///< runs that went on from something
    outcome last{};           ///< the run that came to its end
};

// Runs a command again and again, each time killing it once so many changes of its work folder were seen as `random`
// says, until it comes to its end or its output, if it has one, is there and the folder is going.
killed run_killed(const scratch_dir& folder, const std::string& name, const std::string& command, const fs::path& work,
                  const fs::path& output, std::mt19937& random) {
    killed count;
    for (;;) {
        std::size_t left = 1 + random() % (6 + 12 * count.kills);  // farther and farther: a layer has to get done
        std::uint64_t before = state_of(work);
        outcome run = signalled(
            folder, command, count.kills % 4 == 3 ? SIGTERM : SIGKILL,
            [&](::pid_t) {
                ::usleep(200);  // the command needs the processor
                if (const std::uint64_t now = state_of(work); std::exchange(before, now) != now) --left;
                return left == 0;
            },
            name);
        count.resumed += has(run.out, "note: going on from") ? 1 : 0;
        if (run.status == 0) {
            count.last = std::move(run);
            return count;
        }
        CAPTURE(command);
        CAPTURE(run.err);
        REQUIRE((run.status == 128 + SIGKILL || run.status == 128 + SIGTERM));
        REQUIRE(++count.kills < 100);
        // Killed while it removed the folder: the work is done.
        if (!output.empty() && fs::exists(output) && !fs::exists(work / "published")) return count;
    }
}

const std::string text = "fable-3m/generated_calibration.txt";

// The command, killed, against the same that was not, with another output.
void check_killed(const std::string& command, const std::string& output, unsigned seed,
                  const std::string& name = TESSERA_PROGRAM) {
    CAPTURE(command);
    const scratch_dir folder;
    write_text(folder / "text.txt", read_text(project_dir() / "examples/models" / text).substr(0, 3500));
    lay_out_model(folder);
    REQUIRE(shell(folder, "'" + name + "' " + command + " -o whole --work elsewhere --keep-work").status == 0);
    CHECK(fs::exists(folder / "elsewhere"));
    std::mt19937 random(seed);
    const killed count =
        run_killed(folder, name, command + " -o " + output, folder / (output + ".work"), folder / output, random);
    CHECK(count.kills > 0);
    CHECK((count.resumed > 0 || count.kills < 3));
    CHECK(read_text(folder / output) == read_text(folder / "whole"));
    if (fs::exists(folder / (output + ".work"))) {  // killed while it was removed: whoever comes next sweeps it
        const outcome next = shell(folder, "'" + name + "' " + command + " -o " + output);
        CHECK(next.status == 1);
        CHECK(has(next.err, "got a file that exists"));
        CHECK_FALSE(fs::exists(folder / (output + ".work")));
    }

    // Killed once more, when the output has its name.
    fs::remove(folder / output);
    const std::string again = command + " -o " + output + " --work elsewhere";
    const outcome named = signalled(folder, again, SIGKILL, [&](::pid_t) { return fs::exists(folder / output); }, name);
    const bool is_done = !fs::exists(folder / "elsewhere/published");  // a busy machine kills late
    const outcome last = shell(folder, "'" + name + "' " + again);
    CAPTURE(last.err);
    CHECK((named.status == 0 || named.status == 128 + SIGKILL));
    CHECK(last.status == (is_done ? 1 : 0));
    CHECK((!is_done || has(last.err, "got a file that exists")));
    CHECK(read_text(folder / output) == read_text(folder / "whole"));
    for (const char* work : {".work", ""}) CHECK_FALSE(fs::exists(folder / (*work == 0 ? "elsewhere" : output + work)));
}

}  // namespace

TEST_CASE("a calibration that is killed goes on, to the same bytes") {
    check_killed("calibrate fable-3m --text text.txt --threads 1", "x.gguf", 1);
}

TEST_CASE("a quantization that is killed goes on, with every encoder") {
    check_killed("quantize fable-3m -f Q3_K --encoder weighted --threads 1", "x.gguf", 2);
    check_killed("quantize fable-3m -f Q4_0 --text text.txt --feedback-inputs original --threads 1", "x.gguf", 3);
    check_killed("quantize fable-3m -f Q4_0 --text text.txt --simulate F16 --threads 1", "x.gguf", 4);
}

TEST_CASE("an evaluation that is killed goes on, to the same figures") {
    const scratch_dir folder;
    write_text(folder / "text.txt", read_text(project_dir() / "examples/models" / text).substr(0, 3500));
    for (const char* format : {"Q8_0", "Q4_0"})
        REQUIRE(program(folder, std::string("quantize fable-3m --encoder nearest -f ") + format + " -o " + format +
                                    ".gguf --threads 1")
                    .status == 0);
    const std::string command = "evaluate fable-3m Q8_0.gguf Q4_0.gguf --pairs --text text.txt --json --threads 1";
    const outcome whole = program(folder, command + " --keep-work");
    REQUIRE(whole.status == 0);
    const fs::path work = folder / "Q8_0.gguf.evaluation.work";
    CHECK(fs::exists(work));
    const outcome again = program(folder, command);  // nothing is left to run
    CHECK(again.out == whole.out);
    CHECK(has(again.err, "going on from Q8_0.gguf.evaluation.work, where 2 models were compared"));
    CHECK_FALSE(fs::exists(work));

    std::mt19937 random(6);
    const killed count = run_killed(folder, TESSERA_PROGRAM, command, work, {}, random);
    CHECK(count.kills > 0);
    CHECK(count.last.out == whole.out);
    CHECK_FALSE(fs::exists(work));

    // What another evaluation has left is not in its way, unless the folder was asked for.
    REQUIRE(program(folder, command + " --keep-work").status == 0);
    const std::string other = "evaluate fable-3m Q8_0.gguf --text text.txt --windows 1 ";
    CHECK(program(folder, other + "--keep-work").status == 0);
    const outcome refused =
        program(folder, "evaluate fable-3m Q4_0.gguf --text text.txt --windows 1 --work " + work.filename().string());
    CHECK(refused.status == 1);
    CHECK(has(refused.err, "differs in candidates; --restart begins anew"));
}

TEST_CASE("damage that is measured is not measured again") {
    // With few formats, which take less time.
    check_killed(
        "plan fable-3m --measure-text text.txt --encoder weighted --target-bpw 6 --formats newest --measure noise "
        "--measure-tokens 256 "
        "--refine 2 --threads 1",
        "x.json", 5, TESSERA_OWN_PROGRAM);
}
