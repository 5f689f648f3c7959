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
};

// Runs a command again and again, each time killing it once so many changes of its work folder were seen as `random`
// says, until it comes to its end.
killed run_killed(const scratch_dir& folder, const std::string& name, const std::string& command,
                  const fs::path& output, std::mt19937& random) {
    fs::path work = folder / output.string();
    work += ".work";
    killed count;
    for (;;) {
        std::size_t left = 1 + random() % (6 + 12 * count.kills);  // farther and farther: a layer has to get done
        std::uint64_t before = state_of(work);
        const outcome run = signalled(
            folder, command, count.kills % 4 == 3 ? SIGTERM : SIGKILL,
            [&](::pid_t) {
                ::usleep(200);  // the command needs the processor
                if (const std::uint64_t now = state_of(work); std::exchange(before, now) != now) --left;
                return left == 0;
            },
            name);
        count.resumed += has(run.out, "note: going on from") ? 1 : 0;
        if (run.status == 0) return count;
        CAPTURE(command);
        CAPTURE(run.err);
        REQUIRE((run.status == 128 + SIGKILL || run.status == 128 + SIGTERM));
        REQUIRE(++count.kills < 100);
        if (!fs::exists(folder / output.string())) continue;
        // Killed when the output was whole and had its name, and the folder was still there.
        REQUIRE(shell(folder, "'" + name + "' " + command + " --force").status == 0);
        return count;
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
    const killed count = run_killed(folder, name, command + " -o " + output, output, random);
    CHECK(count.kills > 0);
    CHECK((count.resumed > 0 || count.kills < 3));
    CHECK(read_text(folder / output) == read_text(folder / "whole"));
    CHECK_FALSE(fs::exists(folder / (output + ".work")));
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

TEST_CASE("damage that is measured is not measured again") {
    // With few formats, which take less time.
    check_killed(
        "plan fable-3m --measure-text text.txt --encoder weighted --target-bpw 6 --formats newest --measure noise "
        "--measure-tokens 256 "
        "--refine 2 --threads 1",
        "x.json", 5, TESSERA_OWN_PROGRAM);
}
