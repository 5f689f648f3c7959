// Nothing that comes from a file, a name or the command line acts on the terminal.
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "cli/program.hpp"
#include "support/support.hpp"
#include "tessera/core/utf8.hpp"
#include "tessera/format/plain.hpp"
#include "tessera/gguf/writer.hpp"

using namespace support;
using nlohmann::json;

namespace {

// Sets a terminal's title, rings, colours, goes back in its line, begins another, erases, turns the direction of
// writing.
const std::string hostile =
    "a\x1b]0;T\x07\x1b[31m\r\nfake\x7f\xc2\x9b"
    "2J\xe2\x80\xae\xe2\x81\xa6\xe2\x80\xa8\xd8\x9c"
    "b";
const std::string hostile_bytes = hostile + "\xff\x9b";  // no UTF-8, as names of files may be

// What is wrong with something printed; empty: nothing.
std::string fault_in(const std::string& printed) {
    if (!tessera::is_utf8(printed)) return "not UTF-8";
    if (printed.starts_with("fake") || has(printed, "\nfake")) return "a line's end of a text's own";
    for (const char c : printed)
        if ((static_cast<unsigned char>(c) < 0x20 && c != '\n') || c == 0x7f) return "byte " + std::to_string(c);
    for (std::string c1 = "\xc2\x80"; c1 != "\xc2\xa0"; ++c1[1])
        if (has(printed, c1)) return "C1";
    for (const char* mark : {"\xe2\x80\xae", "\xe2\x81\xa6", "\xe2\x80\xa8", "\xd8\x9c"})
        if (has(printed, mark)) return "U+202E, U+2066, U+2028 or U+061C";
    return {};
}

// A file with matrices whose rows few formats take, so that their names are told.
void write_hostile_model(const fs::path& path) {
    std::vector<tessera::tensor_info> tensors(2);
    for (std::size_t t = 0; t < tensors.size(); ++t) {
        tensors[t].name = hostile + std::to_string(t);
        tensors[t].dims = {32, 4, 1, 1};
        tensors[t].rank = 2;
        tensors[t].layout = tessera::layout_of<tessera::f32>;
    }
    tessera::metadata properties;
    properties.set("general.architecture", "llama" + hostile);
    properties.set(hostile, hostile_bytes);
    properties.set("list", std::vector<std::string>{hostile, hostile_bytes});
    properties.set("tokenizer.ggml.model", hostile);
    properties.set("tokenizer.chat_template", "{{ 1 " + hostile);
    tessera::gguf::writer file{path};
    file.begin(tensors, properties);
    const std::array<float, 128> values{1.0f, -2.0f, 3.0f};
    for (const tessera::tensor_info& info : tensors)
        file.write(info, 0, tessera::as_byte_view(std::span<const float>(values)));
    file.finish();
}

}  // namespace

TEST_CASE("nothing from files that a command prints acts on a terminal") {
    const scratch_dir folder;
    write_hostile_model(folder / "model.gguf");
    write_text(folder / "text.txt", "Once upon a time. " + hostile);
    write_text(folder / "lines.jsonl", json{{hostile, hostile}}.dump() + "\n");
    write_text(folder / "roles.jsonl", json{{"messages", {{{"role", hostile}, {"content", hostile}}}}}.dump() + "\n");
    write_text(folder / "broken.jsonl", "{\"text\": \"" + hostile_bytes);
    write_text(folder / "broken.jinja", "{{ '" + hostile + "' | " + hostile_bytes);
    write_text(folder / "raises.jinja", "{{ raise_exception(messages[0].content) }}");
    write_text(folder / "plan.json", json{{"tensors", {{{"name", hostile}, {"format", hostile}}}}}.dump());
    write_text(folder / "damage.json", json{{hostile, hostile}}.dump());
    const auto directory = [&](const std::string& name, const json& config, const std::string& weights) {
        fs::create_directory(folder / name);
        write_text(folder / name / "config.json", config.dump());
        std::string length(8, '\0');
        length[0] = static_cast<char>(weights.size());
        write_text(folder / name / "model.safetensors", length + weights + std::string(4, '\0'));
    };
    const std::string no_tensor = "{}";
    directory("unknown", {{"architectures", {hostile}}, {"model_type", hostile}}, no_tensor);
    directory(
        "values",
        {{"architectures", {"LlamaForCausalLM"}}, {"hidden_size", hostile}, {"rope_scaling", {{"type", hostile}}}},
        no_tensor);
    directory("tensors", {{"architectures", {"LlamaForCausalLM"}}},
              json{{hostile, {{"dtype", hostile}, {"shape", {1}}, {"data_offsets", {0, 4}}}}}.dump());
    directory("shards", {{"architectures", {"LlamaForCausalLM"}}}, no_tensor);
    fs::remove(folder / "shards/model.safetensors");
    write_text(folder / "shards/model.safetensors.index.json",
               json{{"weight_map", {{hostile, hostile + ".safetensors"}}}}.dump());
    const std::string strange = "strange " + hostile_bytes + ".gguf";
    fs::copy_file(folder / "model.gguf", folder / strange);

    const std::string name = "'" + strange + "'", bad = "'" + hostile_bytes + "'";
    const std::string commands[] = {"inspect model.gguf",
                                    "inspect " + name,
                                    "inspect " + bad,
                                    "inspect unknown",
                                    "inspect values",
                                    "inspect tensors",
                                    "inspect shards",
                                    "inspect --json model.gguf",
                                    "inspect --json " + name,
                                    "convert unknown -o x.gguf",
                                    "convert values -o x.gguf",
                                    "convert tensors -o x.gguf",
                                    "convert shards -o x.gguf",
                                    "convert model.gguf -o " + bad,
                                    "convert " + name + " -o x.gguf --force",
                                    "convert fable-3m -o x.gguf --type " + bad,
                                    "convert fable-3m -o x.gguf --force --chat-template broken.jinja",
                                    "convert fable-3m -o talks.gguf --chat-template raises.jinja",
                                    "quantize model.gguf -f Q4_K -o out.gguf",
                                    "quantize model.gguf -f Q4_K -o " + bad + " --force",
                                    "quantize model.gguf --mix Q4_K_M -o z.gguf --dry-run",
                                    "quantize model.gguf -f " + bad + " -o z.gguf",
                                    "quantize model.gguf -f Q4_K -o z.gguf --pin " + bad,
                                    "quantize model.gguf -f Q4_K -o z.gguf --pin '" + hostile_bytes + "=Q8_0'",
                                    "quantize model.gguf -f Q4_K -o z.gguf --pin '" + hostile + "(=Q8_0'",
                                    "quantize model.gguf -f Q4_K -o z.gguf --imatrix " + name,
                                    "quantize fable-3m -f Q4_K -o z.gguf --dry-run --imatrix " + bad,
                                    "quantize model.gguf --plan plan.json -o z.gguf",
                                    "plan model.gguf --mix Q4_K_M",
                                    "plan model.gguf -f Q4_K -o " + bad + "plan",
                                    "plan model.gguf --damage damage.json --target-bpw 4",
                                    "plan model.gguf --target-bpw " + bad,
                                    "plan fable-3m --formats " + bad + " --target-bpw 4",
                                    "ablate model.gguf --plan plan.json",
                                    "ablate model.gguf --plan " + bad,
                                    "ablate model.gguf --plan plan.json --tensors " + bad,
                                    "calibrate model.gguf --text text.txt -o x",
                                    "calibrate fable-3m --text lines.jsonl -o x",
                                    "calibrate fable-3m --text roles.jsonl -o x",
                                    "calibrate fable-3m --text broken.jsonl -o x",
                                    "calibrate talks.gguf --text roles.jsonl -o x",
                                    "calibrate fable-3m --text " + bad + " -o x",
                                    "calibrate fable-3m --token-ids text.txt -o x",
                                    "evaluate model.gguf " + name + " --text text.txt",
                                    "evaluate fable-3m " + name + " --text text.txt",
                                    "evaluate fable-3m fable-3m --window 8 --json --text text.txt",
                                    bad,
                                    "inspect fable-3m '--" + hostile_bytes + "'",
                                    "inspect fable-3m " + bad};
    for (const std::string& command : commands) {
        CAPTURE(command);
        const outcome run = program(folder, command);
        CAPTURE(run.out);
        CAPTURE(run.err);
        CHECK(run.status <= 2);
        CHECK(fault_in(run.out) == "");
        CHECK(fault_in(run.err) == "");
        CHECK(run.out.size() + run.err.size() > 0);
    }

    // What is there is told apart all the same, and JSON holds it whole.
    const std::string shown =
        "a\\x1b]0;T\\x07\\x1b[31m\\x0d\\x0afake\\x7f\\u{9b}2J\\u{202e}\\u{2066}\\u{2028}\\u{061c}b";
    const outcome table = program(folder, "inspect model.gguf");
    for (const char* number : {"0", "1"})
        CHECK(has(table.out, "\n" + shown + number + "  F32 [32, 4]" + std::string(10, ' ') + "    512\n"));
    CHECK(has(table.out, "\ntensor" + std::string(shown.size() + 1 - 6, ' ') + "  format and dimensions  bytes\n"));
    CHECK(has(program(folder, "inspect " + name).out, "file: strange " + shown + "\\xff\\x9b.gguf\n"));
    const json all = json::parse(program(folder, "inspect --json model.gguf").out);
    CHECK(all["tensors"][1]["name"] == hostile + "1");
    CHECK(all["metadata"][hostile]["value"] == hostile + "\xef\xbf\xbd\xef\xbf\xbd");
}
