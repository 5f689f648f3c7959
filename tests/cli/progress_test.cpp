// Progress for people, logs and programs.
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <sstream>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "cli/program.hpp"
#include "cli/progress_report.hpp"
#include "support/support.hpp"

using namespace support;
using cli::progress_report;
using cli::progress_style;
using nlohmann::json;
using tessera::progress;
using tessera::app::planned_stage;

namespace {

std::vector<std::string> lines_of(const std::string& text) {
    std::istringstream all(text);
    std::vector<std::string> lines;
    for (std::string line; std::getline(all, line);) lines.push_back(line);
    return lines;
}

progress at_layer(std::uint64_t done, std::size_t layer) {
    return {.stage = "calibrate",
            .unit = "tokens",
            .done = done,
            .total = 1'000'000,
            .part = "layer",
            .number = layer,
            .parts = 33,
            .name = "blk.0.ffn_up.weight"};
}

/// Runs the program on a terminal of 70 columns; what it prints, whatever the stream.
std::string on_terminal(const scratch_dir& folder, const std::string& arguments) {
    lay_out_model(folder);
    int terminal = -1;
    ::winsize size{.ws_row = 24, .ws_col = 70, .ws_xpixel = 0, .ws_ypixel = 0};
    const ::pid_t child = ::forkpty(&terminal, nullptr, nullptr, &size);
    REQUIRE(child >= 0);
    if (child == 0) {
        const std::string line = "cd '" + folder.path().string() + "' && exec '" TESSERA_PROGRAM "' " + arguments;
        ::execl("/bin/sh", "sh", "-c", line.c_str(), static_cast<char*>(nullptr));
        ::_exit(127);
    }
    std::string printed;
    std::array<char, 4096> some{};
    for (::ssize_t got; (got = ::read(terminal, some.data(), some.size())) > 0;)
        printed.append(some.data(), static_cast<std::size_t>(got));
    int status = 0;
    ::waitpid(child, &status, 0);
    ::close(terminal);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
    return printed;
}

}  // namespace

TEST_CASE("rates and durations have sensible units") {
    CHECK(cli::rate_text(0.0123, "tokens") == "0.012 tokens/s");
    CHECK(cli::rate_text(3.14159, "tokens") == "3.14 tokens/s");
    CHECK(cli::rate_text(123, "tokens") == "123 tokens/s");
    CHECK(cli::rate_text(1234, "tokens") == "1.23k tokens/s");
    CHECK(cli::rate_text(45.67e6, "weights") == "45.7M weights/s");
    CHECK(cli::rate_text(7e9, "weights") == "7.00G weights/s");
}

TEST_CASE("what is told before the work says which stages are done") {
    const std::array<planned_stage, 3> plan{{{.name = "calibrate", .seconds = 0, .done = 1},
                                             {.name = "measure", .seconds = 100, .done = 0.5},
                                             {.name = "quantize", .seconds = 50}}};
    CHECK(progress_report(progress_style::lines).plan(plan) ==
          "estimated time: 2:30 (calibrate done, measure 1:40, quantize 0:50)\n");
}

TEST_CASE("a log gets a line at the beginning and the end of a stage, and one a minute between") {
    progress_report log(progress_style::lines);
    const std::array<planned_stage, 2> plan{{{"calibrate", 100}, {"quantize", 50}}};
    CHECK(log.plan(plan) == "estimated time: 2:30 (calibrate 1:40, quantize 0:50)\n");
    CHECK(log.plan(plan).empty());
    CHECK(log.at(0, {.stage = "reading", .unit = "tensors", .name = "a\nb"}) == "reading: a\\x0ab\n");
    CHECK(log.at(1, {.stage = "reading", .unit = "tensors", .done = 57, .total = 57}) ==
          "reading: 57 tensors in 0:01, 57 tensors/s\n");
    CHECK(log.at(1, at_layer(0, 0)) == "calibrate (1 of 2): 1000000 tokens\n");
    CHECK(log.at(31, at_layer(150'000, 7)).empty());
    CHECK(log.at(61, at_layer(300'000, 10)) ==
          "calibrate (1 of 2): 30.0 %, layer 10 of 33, blk.0.ffn_up.weight, 5.00k tokens/s, 2:20 left, 4:00 in all\n");
    CHECK(log.at(91, at_layer(450'000, 15)).empty());
    CHECK(log.at(121, at_layer(600'000, 20)).starts_with("calibrate (1 of 2): 60.0 %, layer 20 of 33"));
    CHECK(log.at(201, at_layer(1'000'000, 33)) == "calibrate (1 of 2): 1000000 tokens in 3:20, 5.00k tokens/s\n");
    CHECK(log.at(201, at_layer(1'000'000, 33)).empty());  // told already
    CHECK(log.at(202, {.stage = "quantize", .unit = "weights", .done = 0, .total = 9}) ==
          "quantize (2 of 2): 9 weights\n");
    CHECK(log.clear().empty());
}

TEST_CASE("a program gets an object per line, once a second") {
    progress_report out(progress_style::json);
    const json first = json::parse(out.at(0, at_layer(0, 1)));
    CHECK(first["version"] == cli::progress_version);
    CHECK(first["stage"] == "calibrate");
    CHECK(first["unit"] == "tokens");
    CHECK(first["done"] == 0);
    CHECK(first["total"] == 1'000'000);
    CHECK(first["rate"].is_null());
    CHECK(first["seconds_left"].is_null());
    CHECK(first["part"] == "layer");
    CHECK(first["part_number"] == 1);
    CHECK(first["parts"] == 33);
    CHECK(first["name"] == "blk.0.ffn_up.weight");
    CHECK(out.at(0.9, at_layer(4000, 1)).empty());
    const std::string line = out.at(100, at_layer(500'000, 17));
    CHECK(line.find('\n') == line.size() - 1);
    const json later = json::parse(line);
    CHECK(later["seconds"] == 100.0);
    CHECK(later["rate"].get<double>() > 4900);
    CHECK(later["seconds_left"].get<double>() < 103);
    CHECK(json::parse(out.at(100.1, at_layer(1'000'000, 33)))["done"] == 1'000'000);
    const std::string odd = out.at(101, {.stage = "reading", .unit = "tensors", .name = "\x1b[31m\xff\xc3\xa4"});
    for (const char c : odd.substr(0, odd.size() - 1)) CHECK((c >= 0x20 && c < 0x7f));
    CHECK(json::parse(odd)["name"] == "\x1b[31m\xef\xbf\xbd\xc3\xa4");
}

TEST_CASE("a bar stays within its line, and goes before something else is printed") {
    progress_report wide(progress_style::bar, 200), narrow(progress_style::bar, 60), slim(progress_style::bar, 20);
    for (progress_report* bar : {&wide, &narrow, &slim}) (void)bar->at(0, at_layer(0, 1));
    CHECK(wide.at(0.05, at_layer(250, 1)).empty());
    CHECK(wide.at(50, at_layer(250'000, 9)) ==
          "\rcalibrate [#####...............] 25 %  layer 9 of 33, blk.0.ffn_up.weight  5.00k tokens/s, 2:30 left");
    const std::string shown = narrow.at(50, at_layer(250'000, 9));
    CHECK(shown.size() <= 60);
    CHECK(has(shown, "25 %"));
    CHECK_FALSE(has(shown, "ffn_up"));
    CHECK(slim.at(50, at_layer(250'000, 9)).size() <= 20);
    const std::string cleared = wide.clear();
    CHECK(cleared.front() == '\r');
    CHECK(cleared.back() == '\r');
    CHECK(cleared.find_first_not_of("\r ") == std::string::npos);
    CHECK(wide.clear().empty());
    progress_report none(progress_style::none);
    CHECK(none.at(0, at_layer(0, 1)).empty());
    CHECK(none.at(500, at_layer(1'000'000, 33)).empty());
}

TEST_CASE("the program tells logs the stages of a command, and programs in JSON; nothing when it shall not") {
    const scratch_dir folder;
    write_text(
        folder / "text.txt",
        std::string(read_text(project_dir() / "examples/models/fable-3m/generated_calibration.txt")).substr(0, 20'000));
    const outcome log = program(folder, "quantize fable-3m -f Q4_K --text text.txt -o a.gguf");
    CHECK(log.status == 0);
    const std::vector<std::string> lines = lines_of(log.err);
    REQUIRE(lines.size() == 6);
    CHECK(lines[0] == "reading: fable-3m");
    CHECK(lines[1].starts_with("reading: 29 tensors"));
    CHECK(lines[2].starts_with("calibrate (1 of 2): "));
    CHECK(lines[3].starts_with("calibrate (1 of 2): "));
    CHECK(has(lines[3], " tokens in 0:"));
    CHECK(lines[4].starts_with("quantize (2 of 2): "));
    CHECK(has(lines[5], " weights in 0:"));

    const outcome told = program(folder, "evaluate fable-3m a.gguf --text text.txt --windows 4 --progress json");
    CHECK(told.status == 0);
    std::vector<std::string> stages;
    for (const std::string& line : lines_of(told.err)) {
        const json object = json::parse(line);
        CHECK(object["version"] == 1);
        CHECK(object["done"] <= object["total"]);
        if (object["total"] > 0 && object["done"] == object["total"]) stages.push_back(object["stage"]);
    }
    CHECK(stages == std::vector<std::string>{"reading", "reading", "reference", "candidate", "compare"});

    const outcome silent = program(folder, "evaluate fable-3m a.gguf --text text.txt --windows 4 --progress none");
    CHECK(silent.err.empty());
    CHECK(silent.out == told.out);  // what is found does not depend on it
    CHECK(program(folder, "evaluate fable-3m a.gguf --text text.txt --progress loud").status == 2);

    const std::string terminal = on_terminal(folder, "evaluate fable-3m a.gguf --text text.txt --windows 4");
    CHECK(has(terminal, "\rreference (1 of 3) ["));
    CHECK(has(terminal, "] 100 %"));
    std::istringstream parts(terminal);
    for (std::string part; std::getline(parts, part, '\r');) CHECK(part.substr(0, part.find('\n')).size() < 80);
    CHECK(terminal.rfind('#') < terminal.rfind("tokens scored"));  // the bar is gone by then
}
