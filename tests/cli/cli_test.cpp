#include <csignal>
#include <cstdint>
#include <string>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "cli/program.hpp"
#include "support/support.hpp"

using namespace support;
using nlohmann::json;

namespace {

/// Everything in a folder except what the shell helper puts there.
std::size_t files_in(const scratch_dir& folder) {
    std::size_t count = 0;
    for (const auto& entry : fs::directory_iterator(folder.path()))
        if (const std::string name = entry.path().filename().string();
            name != ".out" && name != ".err" && name != "fable-3m")
            ++count;
    return count;
}

/// The number in front of " bytes" in a line that begins with `start`.
std::uint64_t bytes_after(const std::string& text, std::string_view start) {
    const std::size_t line = text.find(start);
    REQUIRE(line != std::string::npos);
    const std::size_t end = text.find(" bytes", line);
    const std::size_t begin = text.rfind(' ', end - 1) + 1;
    std::string digits;
    for (const char c : text.substr(begin, end - begin))
        if (c != ',') digits += c;
    return std::stoull(digits);
}

}  // namespace

TEST_CASE("help ends with 0, wrong command lines end with 2") {
    const scratch_dir folder;
    CHECK(program(folder, "--help").status == 0);
    CHECK(has(program(folder, "--version").out, "tessera 0."));
    for (const char* command : {"inspect", "convert", "calibrate", "plan", "ablate", "quantize", "evaluate"}) {
        const outcome help = program(folder, std::string(command) + " --help");
        CHECK(help.status == 0);
        CHECK(has(help.out, "Examples:"));
        for (const char* earlier : {"--held-back", "--recipe"}) CHECK_FALSE(has(help.out, earlier));  // they still work
    }
    for (const char* wrong : {"", "paint", "inspect", "inspect fable-3m --colour", "quantize fable-3m -o x.gguf",
                              "quantize fable-3m -f Q4_K", "quantize fable-3m -f Q9_Z -o x.gguf",
                              "quantize fable-3m -f Q4_K -o x.gguf --pin ffn_down",
                              "quantize fable-3m -f Q4_K -o x.gguf --pin 'ffn_down=Q9_Z'",
                              "quantize fable-3m -f Q4_K -o x.gguf --pin '(=Q8_0'", "calibrate fable-3m -o x.gguf",
                              "calibrate fable-3m --text x", "calibrate fable-3m --text x -o x.gguf --chunks torn",
                              "calibrate fable-3m --text x -o x.gguf --held-out 1",
                              "convert fable-3m -o x.gguf --type Q4_0", "convert fable-3m -o x.gguf --threads -1",
                              "evaluate fable-3m fable-3m", "evaluate fable-3m fable-3m --text x --window 2"}) {
        CAPTURE(wrong);
        const outcome run = program(folder, wrong);
        CHECK(run.status == 2);
        CHECK(run.err.starts_with("tessera: "));
        CHECK(has(run.err, "--help"));
        CHECK(run.out.empty());
    }
    CHECK(files_in(folder) == 0);
}

TEST_CASE("unusable data and files end with 1 and one line that names them") {
    const scratch_dir folder;
    write_text(folder / "broken.gguf", "GGUF no more");
    write_text(folder / "short.txt", "Once.");
    write_text(folder / "texts.jsonl", "{\"text\": \"Once.\"}\n");
    fs::create_directory(folder / "empty");
    const std::size_t files = files_in(folder);
    const std::pair<const char*, const char*> cases[] = {
        {"inspect nowhere.gguf", "nowhere.gguf"},
        {"inspect broken.gguf", "broken.gguf"},
        {"inspect empty", "empty"},
        {"quantize broken.gguf -f Q4_K -o x.gguf", "broken.gguf"},
        {"quantize fable-3m -f Q4_K -o nowhere/x.gguf", "nowhere"},
        {"quantize fable-3m -f Q4_K -o broken.gguf", "broken.gguf"},
        {"quantize fable-3m -f Q4_K -o x.gguf --pin ffn_dwon=Q8_0", "ffn_dwon"},
        {"quantize fable-3m -f Q4_K -o x.gguf --pin attn_norm=Q8_0", "attn_norm"},
        {"quantize fable-3m -f Q4_K -o x.gguf --imatrix broken.gguf", "broken.gguf"},
        {"quantize fable-3m -f Q4_K -o x.gguf --imatrix short.txt", "short.txt"},
        {"quantize fable-3m -f Q4_K -o x.gguf --imatrix nowhere.dat", "nowhere.dat"},
        {"calibrate fable-3m --text nowhere.txt -o x.gguf", "nowhere.txt"},
        {"calibrate fable-3m --text short.txt -o x.gguf", "256 tokens"},
        {"calibrate fable-3m --text short.txt -o broken.gguf", "broken.gguf"},
        {"calibrate fable-3m --token-ids short.txt -o x.gguf", "short.txt: line 1"},
        {"evaluate fable-3m fable-3m --text nowhere.txt", "nowhere.txt"},
        {"evaluate fable-3m fable-3m --text short.txt", "256 tokens"},
        {"evaluate fable-3m fable-3m --text texts.jsonl", "texts.jsonl: line 1: wanted a conversation"},
    };
    for (const auto& wrong : cases) {
        const outcome run = program(folder, wrong.first);
        CAPTURE(wrong.first);
        CAPTURE(run.err);
        CHECK(run.status == 1);
        const std::string last = run.err.substr(run.err.rfind('\n', run.err.size() - 2) + 1);  // after the progress
        CHECK(last.starts_with("tessera: "));
        CHECK(has(last, wrong.second));
    }
    CHECK(files_in(folder) == files);
    CHECK(read_text(folder / "broken.gguf") == "GGUF no more");
}

TEST_CASE("a dry run writes nothing and predicts the exact size") {
    const scratch_dir folder;
    for (const std::string command :
         {"convert fable-3m --type bf16 -o x.gguf", "quantize fable-3m -f q4_k -o x.gguf --pin 'ffn_down=Q6_K'"}) {
        const outcome plan = program(folder, command + " --dry-run");
        CHECK(plan.status == 0);
        CHECK(has(plan.out, "token_embd.weight"));
        CHECK(files_in(folder) == 0);
        const outcome run = program(folder, command + " --progress none");
        CHECK(run.status == 0);
        CHECK(run.err.empty());
        CHECK(bytes_after(plan.out, "would write x.gguf") == fs::file_size(folder / "x.gguf"));
        CHECK(bytes_after(run.out, "wrote x.gguf") == fs::file_size(folder / "x.gguf"));
        fs::remove(folder / "x.gguf");
    }
}

TEST_CASE("the same command writes the same bytes, with any number of threads and by way of a full-precision file") {
    const scratch_dir folder;
    REQUIRE(program(folder, "convert fable-3m --type BF16 -o whole.gguf").status == 0);
    for (const std::string format : {"Q8_0", "Q6_K", "Q4_K", "Q4_0", "F16"}) {
        CAPTURE(format);
        REQUIRE(program(folder, "quantize fable-3m -f " + format + " -o 1.gguf --force --threads 1").status == 0);
        REQUIRE(program(folder, "quantize fable-3m -f " + format + " -o 2.gguf --force --threads 2").status == 0);
        REQUIRE(program(folder, "quantize whole.gguf -f " + format + " -o 3.gguf --force --threads 3").status == 0);
        const std::string bytes = read_text(folder / "1.gguf");
        CHECK(bytes.size() > 1'000'000);
        CHECK(bytes == read_text(folder / "2.gguf"));
        CHECK(bytes == read_text(folder / "3.gguf"));
    }
}

TEST_CASE("an output is replaced only when forced, and is never the input") {
    const scratch_dir folder;
    REQUIRE(program(folder, "convert fable-3m -o model.gguf").status == 0);
    const std::string before = read_text(folder / "model.gguf");
    write_text(folder / "there.gguf", "precious");
    CHECK(program(folder, "quantize model.gguf -f Q8_0 -o there.gguf").status == 1);
    CHECK(read_text(folder / "there.gguf") == "precious");
    CHECK(program(folder, "quantize model.gguf -f Q8_0 -o model.gguf --force").status == 1);
    fs::create_symlink(folder / "model.gguf", folder / "alias.gguf");
    CHECK(program(folder, "quantize model.gguf -f Q8_0 -o alias.gguf --force").status == 1);
    CHECK(read_text(folder / "model.gguf") == before);
    CHECK(program(folder, "quantize model.gguf -f Q8_0 -o there.gguf --force").status == 0);
    CHECK(read_text(folder / "there.gguf").starts_with("GGUF"));
}

TEST_CASE("inspect tells of a model what quantize was told to make") {
    const scratch_dir folder;
    REQUIRE(
        program(folder,
                "quantize fable-3m -f Q4_K -o x.gguf --pin 'ffn_down=Q6_K' --pin 'blk.0=Q8_0' --pin '^token_embd=F16'")
            .status == 0);
    const json listed = json::parse(program(folder, "inspect x.gguf --json").out);
    CHECK(listed["kind"] == "tessera inspection");
    CHECK(listed["version"] == 1);
    CHECK(listed["file_bytes"] == fs::file_size(folder / "x.gguf"));
    CHECK(listed["metadata"]["general.architecture"] == json{{"type", "string"}, {"value", "llama"}});
    CHECK(listed["metadata"]["general.quantization_version"]["value"] == 2);
    CHECK(listed["metadata"]["tokenizer.ggml.tokens"]["value"].size() == 1024);
    std::uint64_t bytes = 0;
    for (const json& tensor : listed["tensors"]) {
        const std::string name = tensor["name"];
        const std::string wanted = has(name, "norm")             ? "F32"
                                   : name == "token_embd.weight" ? "F16"
                                   : has(name, "ffn_down")       ? "Q6_K"  // the first pin that matches decides
                                   : name.starts_with("blk.0.")  ? "Q8_0"
                                                                 : "Q4_K";
        CHECK_MESSAGE(tensor["format"] == wanted, name);
        bytes += tensor["bytes"].get<std::uint64_t>();
    }
    CHECK(listed["tensor_bytes"] == bytes);
    const json original = json::parse(program(folder, "inspect fable-3m --json").out);
    CHECK(original["weights"] == listed["weights"]);
    CHECK(original["tensors"].size() == listed["tensors"].size());

    const outcome text = program(folder, "inspect x.gguf");
    CHECK(text.status == 0);
    CHECK(has(text.out, "llama.context_length"));
    CHECK(has(text.out, "1024: ["));  // the vocabulary, not in full
}

TEST_CASE("evaluate ranks formats as their sizes do, and finds a model equal to itself") {
    const scratch_dir folder;
    for (const std::string format : {"BF16", "Q8_0", "Q4_0"})
        REQUIRE(program(folder, "quantize fable-3m -f " + format + " -o " + format + ".gguf").status == 0);
    const outcome run = program(
        folder,
        "evaluate fable-3m BF16.gguf Q8_0.gguf Q4_0.gguf --text fable-3m/generated_heldout.txt --windows 4 --json");
    REQUIRE(run.status == 0);
    const json result = json::parse(run.out);
    CHECK(result["window"] == 256);
    CHECK(result["windows"] == 4);
    const json& of = result["candidates"];
    REQUIRE(of.size() == 3);
    CHECK(of[0]["mean_kld"]["value"].get<double>() < 1e-9);
    CHECK(of[0]["top1_agreement"]["value"] == 1.0);
    CHECK(of[1]["mean_kld"]["value"].get<double>() > 1e-6);
    CHECK(of[1]["mean_kld"]["value"].get<double>() < 1e-3);
    CHECK(of[2]["mean_kld"]["value"].get<double>() > 10 * of[1]["mean_kld"]["value"].get<double>());
    CHECK(of[2]["mean_kld"]["value"].get<double>() < 0.1);
    for (const json& one : of) {
        CHECK(one["tokens"] == 4 * 127);
        CHECK(one["perplexity_ratio"]["value"].get<double>() == doctest::Approx(1.0).epsilon(0.05));
    }

    const outcome table =
        program(folder, "evaluate fable-3m Q8_0.gguf Q4_0.gguf --text fable-3m/generated_heldout.txt --windows 2");
    CHECK(table.status == 0);
    CHECK(has(table.out, "Q4_0.gguf"));
    CHECK(program(folder, "evaluate fable-3m Q8_0.gguf --text fable-3m/generated_heldout.txt --windows 2").status == 0);
}

TEST_CASE("users' expressions take linear time, and those that are too large or of another syntax are refused") {
    const scratch_dir folder;
    const auto pinned = [&](const std::string& expression) {
        return program(folder, "quantize fable-3m -f Q4_K -o x.gguf --dry-run --pin '" + expression + "=Q8_0'");
    };
    CHECK(pinned("(.+)+x").status == 1);  // no name has an x: an engine that goes back tries all ways to split a name
    CHECK(has(pinned("(.+)+x").err, "matched none"));
    CHECK(pinned("(.*)*(.*)*[^w]eight$").status == 1);
    CHECK(pinned("^(token|output)_?[a-z]+\\.(?:weight)$").status == 0);
    CHECK(pinned("(?i)FFN_DOWN\\.").status == 0);

    const std::string much = std::string(50'000, '(') + "a" + std::string(50'000, ')');
    const std::pair<std::string, std::string> refused[] = {
        {much, "wanted a regular expression of at most 4096 bytes, got 100001"},
        {std::string(2'000, '(') + "a", "missing )"},
        {"((a{900}){900}){900}", "repetition"},
        {"(\\pL{100}){9}\\pN{900}", "too large"},
        {"(?!token)_embd", "an earlier --pin takes exceptions out"},
        {"(?<=token)_embd", "look-behind"},
        {"(f)\\1n", "back-references"},
        {"[z-a]", "z-a"},
        {"\xff", "UTF-8"},
    };
    for (const auto& [expression, message] : refused) {
        CAPTURE(message);
        for (const outcome& run :
             {pinned(expression), program(folder, "ablate fable-3m --plan p --tensors 'name=" + expression + "'")}) {
            CHECK(run.status == 2);
            CHECK(has(run.err, message));
            CHECK(run.err.size() < 500);
        }
    }
}

TEST_CASE("an interrupted conversion leaves no file") {
    const scratch_dir folder;
    // At the start, and when the output has been begun: again and again, until a signal has met the work.
    const auto has_begun = [&](::pid_t) { return files_in(folder) > 0; };
    bool is_met = false;
    while (!is_met) {
        fs::remove(folder / "x.gguf");
        const outcome run = signalled(folder, "convert fable-3m -o x.gguf --threads 1", SIGTERM, has_begun);
        is_met = run.status == 128 + SIGTERM;
        if (is_met) CHECK(has(run.err, "tessera: interrupted"));
        CHECK(files_in(folder) == (is_met ? 0 : 1));
    }
    const outcome at_once =
        signalled(folder, "convert fable-3m -o y.gguf --threads 1", SIGTERM, [](::pid_t) { return true; });
    CHECK(files_in(folder) == (at_once.status == 0 ? 1 : 0));
}

TEST_CASE("a chat template is checked, and another one takes its place") {
    const scratch_dir folder;
    write_text(folder / "chat.jinja", "{% for m in messages %}\n{{ m.content.split('x', 1)[0] }}{% endfor %}");
    write_text(folder / "broken.jinja", "a\n{% for m in %}");
    const outcome broken = program(folder, "convert fable-3m -o x.gguf --chat-template broken.jinja");
    CHECK(broken.status == 1);
    CHECK(has(broken.err, "broken.jinja: line 2, column 13: wanted an expression"));
    CHECK_FALSE(fs::exists(folder / "x.gguf"));
    CHECK(program(folder, "convert fable-3m -o x.gguf --chat-template chat.jinja").status == 0);
    const outcome shown = program(folder, "inspect x.gguf");
    CHECK(has(shown.out, "chat template: tokenizer.chat_template parses; not every engine"));
    CHECK(has(shown.out, "  line 2, column 13: llama.cpp before 2026 refuses .split() with a count"));
    const json all = json::parse(program(folder, "inspect x.gguf --json").out);
    CHECK(all["metadata"]["tokenizer.chat_template"]["value"] == read_text(folder / "chat.jinja"));
    REQUIRE(all["chat_templates"].size() == 1);
    CHECK(all["chat_templates"][0]["parses"] == true);
    CHECK(all["chat_templates"][0]["findings"][0]["line"] == 2);
    CHECK(has(program(folder, "inspect fable-3m").out, "chat template: none"));
}
