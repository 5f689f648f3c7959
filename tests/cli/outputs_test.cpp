// What the program writes, and what it leaves alone: all commands, all outputs, all ways to clash; and what is left
// when it is stopped.
#include <algorithm>
#include <csignal>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "cli/program.hpp"
#include "support/support.hpp"
#include "tessera/core/journal.hpp"

using namespace support;

namespace {

// Without what the tests' own helpers leave there.
std::vector<std::string> files_in(const fs::path& folder) {
    std::vector<std::string> names = names_in(folder);
    std::erase_if(names,
                  [](const std::string& name) { return name == ".out" || name == ".err" || name == "fable-3m"; });
    return names;
}

/// A command with all its inputs, and the options for its outputs.
struct command {
    std::string line;
    std::vector<std::string> outputs;
    std::vector<std::string> inputs;
};

const std::vector<command> commands{
    {"convert in/model --chat-template in/chat.jinja",
     {"-o"},
     {"in/model/config.json", "in/model/tokenizer.model", "in/chat.jinja"}},
    {"convert in/split-00001-of-00002.gguf", {"-o"}, {"in/split-00001-of-00002.gguf", "in/split-00002-of-00002.gguf"}},
    {"calibrate in/whole.gguf --text in/texts=2 --token-ids 'in/id?.txt'",
     {"-o", "--report"},
     {"in/whole.gguf", "in/texts/a.txt", "in/ids.txt"}},
    {"quantize in/whole.gguf --imatrix in/matrix.dat --target-bpw 4 --measure-text in/ids.txt",
     {"-o", "--report", "--damage"},
     {"in/whole.gguf", "in/matrix.dat", "in/ids.txt"}},
    {"quantize in/model --text in/texts --plan in/plan.json --chat-template in/chat.jinja",
     {"-o", "--report"},
     {"in/model/model.safetensors.index.json", "in/model/model-00001-of-00001.safetensors", "in/texts/a.txt",
      "in/plan.json", "in/chat.jinja"}},
    {"quantize in/whole.gguf --target-bpw 4 --damage in/damage.json", {"-o", "--report"}, {"in/damage.json"}},
    {"plan in/whole.gguf --imatrix in/matrix.dat --target-kld 1",
     {"-o", "--tensor-types", "--damage"},
     {"in/whole.gguf", "in/matrix.dat"}},
    {"plan in/whole.gguf -f Q4_K --damage in/damage.json", {"-o", "--tensor-types"}, {"in/damage.json"}},
    {"plan in/whole.gguf --curve --text in/texts", {"--svg", "--damage"}, {"in/whole.gguf", "in/texts/a.txt"}},
};

/// The command with this name for one of its outputs, and a free one for -o.
std::string line_of(const command& c, const std::string& option, const std::string& name) {
    std::string line = c.line;
    for (const std::string& output : c.outputs)
        if (output == "-o" || output == option) line += " " + output + " " + (output == option ? name : "free.gguf");
    return line;
}

}  // namespace

TEST_CASE("no command begins when one of its outputs must not be written") {
    const scratch_dir folder;
    fs::create_directories(folder / "in/model");
    fs::create_directories(folder / "in/texts");
    for (const command& c : commands)  // nobody gets to read them
        for (const std::string& input : c.inputs) write_text(folder / input, input);
    fs::create_directory_symlink(folder / "in", folder / "up");
    fs::create_directory_symlink(folder.path(), folder / "here");
    write_text(folder / "there", "precious");
    const std::vector<std::string> before = files_in(folder.path()), inside = files_in(folder / "in");
    const auto refused = [&](const std::string& line, int status, const std::string& part) {
        const outcome run = program(folder, line);
        CAPTURE(line);
        CAPTURE(run.err);
        CHECK(run.status == status);
        CHECK(has(run.err, part));
        CHECK(run.out.empty());
        for (const char* link : {"symbolic", "hard"}) fs::remove(folder / link);
    };
    for (const command& c : commands) {
        for (const std::string& option : c.outputs) {
            if (option != "--damage")  // that is read if it is there
                refused(line_of(c, option, "there"), 1,
                        "there: wanted a name that is free, got a file that exists; --force replaces it");
            refused(line_of(c, option, "''"), 2, "wanted the name of a file");
            refused(line_of(c, option, "nowhere/x") + " --force", 1, "nowhere/x: wanted a folder that exists");
            if (option != "-o" && c.outputs.front() == "-o")
                refused(line_of(c, option, "here/free.gguf") + " --force", 1, "wanted a file for each output");
            if (option == "--damage") continue;
            refused(line_of(c, option, "in") + " --force", 1, "in: wanted a regular file to replace");
            for (const std::string& input : c.inputs)
                refused(line_of(c, option, input) + " --force", 1,
                        input + ": wanted an output that is none of the inputs");
            const std::string& input = c.inputs.back();
            fs::create_symlink(folder / input, folder / "symbolic");
            refused(line_of(c, option, "symbolic") + " --force", 1, "none of the inputs");
            fs::create_hard_link(folder / input, folder / "hard");
            refused(line_of(c, option, "hard") + " --force", 1, "none of the inputs");
            refused(line_of(c, option, "up/" + input.substr(3)) + " --force", 1, "none of the inputs");
        }
    }
    refused("plan in/whole.gguf --target-bpw 4 --damage here/new --force -o new", 1, "wanted a file for each output");
    refused("calibrate in/whole.gguf --text in/texts -o x --report here/x.work", 1, "wanted a file for each output");
    refused("quantize in/whole.gguf --text in/texts -f Q4_K -o x --report x.work", 1, "wanted a file for each output");
    CHECK(files_in(folder.path()) == before);
    CHECK(files_in(folder / "in") == inside);
    CHECK(read_text(folder / "there") == "precious");
    for (const command& c : commands)
        for (const std::string& input : c.inputs) CHECK(read_text(folder / input) == input);
}

TEST_CASE("every output that exists is replaced when that is asked for") {
    const scratch_dir folder;
    for (const char* name : {"q.gguf", "r.json", "p.json", "t.txt", "i.gguf", "c.json"})
        write_text(folder / name, "old");
    REQUIRE(program(folder, "quantize fable-3m -f Q8_0 -o q.gguf --report r.json --force").status == 0);
    REQUIRE(program(folder, "plan fable-3m -f Q8_0 -o p.json --tensor-types t.txt --force").status == 0);
    REQUIRE(program(folder,
                    "calibrate fable-3m --text fable-3m/generated_calibration.txt --tokens 512 -o i.gguf --report "
                    "c.json --force")
                .status == 0);
    for (const std::string& name : files_in(folder.path())) CHECK_MESSAGE(read_text(folder / name) != "old", name);
    CHECK(files_in(folder.path()).size() == 6);
}

TEST_CASE("importances made on the way are kept when a later step fails, and used by the next run") {
    const scratch_dir folder;
    const std::string text = read_text(project_dir() / "examples/models/fable-3m/generated_heldout.txt");
    write_text(folder / "short.txt", text.substr(0, 4000));
    write_text(folder / "other.txt", text.substr(4000, 4000));
    const std::string common = "quantize fable-3m --encoder weighted -f Q8_0 --text ";
    REQUIRE(program(folder, common + "short.txt -o whole.gguf").status == 0);
    CHECK(files_in(folder.path()) == std::vector<std::string>{"other.txt", "short.txt", "whole.gguf"});

    // The model is larger than a file may be; what is kept is not.
    const outcome failed = shell(folder, "ulimit -f 4000; '" TESSERA_PROGRAM "' " + common + "short.txt -o x.gguf");
    CHECK(failed.status == 1);
    CHECK(has(failed.err, "x.gguf.work/output-0.gguf"));
    CHECK(has(failed.err, "File too large"));
    CHECK(has(failed.out, "note: importances kept in x.gguf.work/importances.gguf"));
    const std::vector<std::string> kept{"other.txt", "short.txt", "whole.gguf", "x.gguf.work"};
    CHECK(files_in(folder.path()) == kept);

    const outcome other = program(folder, common + "other.txt -o x.gguf");
    CHECK(other.status == 1);
    CHECK(has(other.err,
              "x.gguf.work/importances.gguf: wanted importances of this model and text, got some that differ in text; "
              "--restart begins anew"));
    CHECK(files_in(folder.path()) == kept);
    const outcome again = program(folder, common + "short.txt -o x.gguf");
    REQUIRE(again.status == 0);
    CHECK(has(again.out, "going on from x.gguf.work/importances.gguf"));
    CHECK(read_text(folder / "x.gguf") == read_text(folder / "whole.gguf"));
    CHECK(files_in(folder.path()) == std::vector<std::string>{"other.txt", "short.txt", "whole.gguf", "x.gguf"});

    fs::create_directory(folder / "x.gguf.work");
    write_text(folder / "x.gguf.work/importances.gguf", "something else");
    const outcome anew = program(folder, common + "short.txt --force -o x.gguf");
    CHECK(anew.status == 0);
    CHECK_FALSE(has(anew.out, "going on from"));
    CHECK_FALSE(fs::exists(folder / "x.gguf.work"));
}

TEST_CASE("what can be seen to fail fails before the work") {
    const scratch_dir folder;
    write_text(folder / "text.txt", "Once upon a time.");  // too short to calibrate on, if that began
    for (const auto& [line, part] : std::initializer_list<std::pair<const char*, const char*>>{
             {"quantize fable-3m --text text.txt --target-size 100kB -o x.gguf", "smallest possible is "},
             {"plan fable-3m --text text.txt --target-bpw 0.5", "smallest possible is "},
             {"quantize fable-3m --text text.txt --target-bpw 4 --formats Q9 -o x.gguf", "formats to choose from"},
             {"quantize fable-3m --text text.txt -f Q4_K --pin nothing=Q8_0 -o x.gguf", "--pin nothing"},
             {"quantize fable-3m --text text.txt --plan fable-3m/config.json -o x.gguf", "config.json"},
             {"quantize fable-3m --text text.txt -f Q4_K --encoder weighted --feedback-inputs original -o x.gguf",
              "--feedback-inputs"},
             {"quantize fable-3m --text text.txt --target-bpw 4 --measure-text no.txt -o x.gguf", "no.txt"}}) {
        const outcome run = program(folder, line);
        CAPTURE(line);
        CAPTURE(run.err);
        CHECK(run.status == 1);
        CHECK(has(run.err, part));
        CHECK(run.out.empty());
    }
    CHECK(files_in(folder.path()) == std::vector<std::string>{"text.txt"});
}

TEST_CASE("a checkpoint of another calibration is named with the remedy, and gone without when forced") {
    const scratch_dir folder;
    const std::string calibrate = "calibrate fable-3m --text fable-3m/generated_calibration.txt --tokens 512 -o x.gguf";
    fs::create_directory(folder / "x.gguf.work");
    const fs::path journal = folder / "x.gguf.work/calibration.journal";
    {
        const auto other = tessera::work_identity().add("model", 1).add("text", 2);
        const tessera::journal begun(journal, "calibrated layers", other);
    }
    const outcome refused = program(folder, calibrate);
    CHECK(refused.status == 1);
    CHECK(has(refused.err,
              "x.gguf.work/calibration.journal: wanted work on the same inputs and options, got some that differs in "
              "model and text; "
              "--restart begins anew"));
    CHECK(fs::exists(journal));
    CHECK(program(folder, calibrate + " --force").status == 0);
    CHECK(files_in(folder.path()) == std::vector<std::string>{"x.gguf"});
}

TEST_CASE("a kill leaves files to the next run of the same output, which removes them") {
    const scratch_dir folder;
    const auto has_begun = [&] {
        const std::vector<std::string> names = files_in(folder.path());
        return std::ranges::any_of(names, [](const std::string& name) { return has(name, ".partial-"); });
    };
    while (!has_begun()) {  // again where a run ended before it could be killed
        fs::remove(folder / "x.gguf");
        (void)signalled(folder, "convert fable-3m -o x.gguf", SIGKILL, [&](::pid_t) { return has_begun(); });
    }
    write_text(folder / "r.json.partial-1-0", "");
    CHECK(program(folder, "quantize fable-3m -f Q6_K -o x.gguf --report r.json --force").status == 0);
    CHECK(files_in(folder.path()) == std::vector<std::string>{"r.json", "x.gguf"});
}

TEST_CASE("a signal ends work that reports no progress") {
    const scratch_dir folder;
    // Minutes of rendering: in each of many conversations little enough to be allowed.
    write_text(folder / "slow.jinja",
               "{% for i in range(100) %}{% for j in range(1000) %}{% set x = j %}{% endfor %}{% endfor %}{{ "
               "messages[0].content }}");
    std::string talks;
    for (int i = 0; i < 20000; ++i) talks += "{\"messages\": [{\"role\": \"user\", \"content\": \"Hello.\"}]}\n";
    write_text(folder / "talks.jsonl", talks);
    REQUIRE(program(folder, "convert fable-3m -o chat.gguf --chat-template slow.jinja").status == 0);
    const std::vector<std::string> before = files_in(folder.path());
    for (const int signal : {SIGTERM, SIGINT}) {
        const outcome run = signalled(folder, "calibrate chat.gguf --text talks.jsonl -o x.gguf", signal,
                                      [](::pid_t process) { return has_mapped(process, "talks.jsonl"); });
        CHECK(run.status == 128 + signal);
        CHECK(run.err.ends_with("\ntessera: interrupted\n"));
        CHECK(files_in(folder.path()) == before);
    }
}
