// The program's calibration: what it writes, and what it says.
#include <cstdint>
#include <string>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "cli/program.hpp"
#include "support/support.hpp"
#include "tessera/calibrate/imatrix.hpp"

using nlohmann::json;
using support::has;
using support::outcome;
using support::program;
using support::read_text;
using support::scratch_dir;
using support::shell;
using support::write_text;
using support::fs::exists;

namespace {

const std::string calibrate = "calibrate fable-3m --text fable-3m/generated_calibration.txt --tokens 8000 ";

}  // namespace

TEST_CASE("calibrate writes importances for every matrix, and a report") {
    const scratch_dir folder;
    const outcome run = program(folder, calibrate + "-o x.gguf --report x.json");
    REQUIRE(run.status == 0);
    CHECK(has(run.out, "7936 tokens in 31 windows of 256, 3 held out"));
    const auto file = tessera::read_imatrix(folder / "x.gguf");
    CHECK(file.importances.size() == 22);  // seven of each of three layers, and the output
    for (const auto& [name, entry] : file.importances) CHECK(entry.tokens == std::vector<std::uint64_t>{7936});
    CHECK(file.chunk_size == 256);
    CHECK(file.chunk_count == 31);
    CHECK(file.datasets == std::vector<std::string>{"fable-3m/generated_calibration.txt"});
    CHECK(file.properties.require<std::vector<std::int32_t>>("tessera.calibration.held_out").size() == 3 * 256);
    const json report = json::parse(read_text(folder / "x.json"));
    CHECK(report["version"] == 1);
    CHECK(report["tokens"] == 7936);
    CHECK(report["held_out_windows"] == 3);
    CHECK(report["largest_activations"].size() == 5);
    CHECK_FALSE(exists(folder / "x.gguf.work"));

    CHECK(program(folder, calibrate + "-o x.gguf").status == 1);  // it exists
    CHECK(program(folder, calibrate + "-o y.gguf --threads 1").status == 0);
    CHECK(read_text(folder / "x.gguf") == read_text(folder / "y.gguf"));
    CHECK(has(program(folder, calibrate + "-o y.gguf --force --seed 2 --held-back=0.2").out,
              "30 windows of 256, 8 held out"));
    CHECK(read_text(folder / "x.gguf") != read_text(folder / "y.gguf"));
}

TEST_CASE("quantize takes both kinds of importance matrix, and says what it misses") {
    const scratch_dir folder;
    REQUIRE(program(folder, calibrate + "-o x.gguf").status == 0);
    REQUIRE(program(folder, calibrate + "-o x.dat").status == 0);
    const outcome with = program(folder, "quantize fable-3m -f Q2_K -o gguf.gguf --imatrix x.gguf --encoder weighted");
    REQUIRE(with.status == 0);
    CHECK_FALSE(has(with.out, "note:"));
    CHECK_FALSE(has(with.out, "warning:"));
    CHECK(has(with.out, "weighted by importance: 0."));
    const json metadata = json::parse(program(folder, "inspect gguf.gguf --json").out)["metadata"];
    CHECK(metadata["quantize.imatrix.file"]["value"] == "x.gguf");
    CHECK(metadata["quantize.imatrix.entries_count"]["value"] == 22);
    CHECK(metadata["quantize.imatrix.chunks_count"]["value"] == 31);
    REQUIRE(program(folder, "quantize fable-3m -f Q2_K -o dat.gguf --imatrix x.dat").status == 0);
    REQUIRE(program(folder, "quantize fable-3m -f Q2_K -o without.gguf").status == 0);
    const auto kld = [&](const char* file) {
        const outcome run = program(folder, std::string("evaluate fable-3m ") + file +
                                                " --text fable-3m/generated_heldout.txt --windows 24 --json");
        return json::parse(run.out)["candidates"][0]["mean_kld"]["value"].get<double>();
    };
    const double from_gguf = kld("gguf.gguf"), from_dat = kld("dat.gguf"), without = kld("without.gguf");
    CHECK(from_gguf < without);
    CHECK(from_dat == doctest::Approx(from_gguf).epsilon(0.02));

    auto file = tessera::read_imatrix(folder / "x.gguf");
    tessera::imatrix_file partial, foreign;
    for (const auto& [name, entry] : file.importances)
        if (!has(name, "blk.1.")) partial.importances.add(name, entry);
    foreign.importances.add("blk.0.attn_q.weight", {{1, 2, 3}, {5}});
    tessera::write_imatrix(folder / "partial.gguf", partial);
    tessera::write_imatrix(folder / "foreign.gguf", foreign);
    const outcome some = program(folder, "quantize fable-3m -f IQ2_S -o y.gguf --imatrix partial.gguf --dry-run");
    CHECK(has(some.out, "note: no importances for blk.1.attn_q.weight"));
    CHECK(has(some.out, "warning: formats of so few bits need importances"));
    const outcome wrong = program(folder, "quantize fable-3m -f IQ2_S -o y.gguf --imatrix foreign.gguf");
    CHECK(wrong.status == 1);
    CHECK(has(wrong.err, "foreign.gguf: importances of blk.0.attn_q.weight: wanted 1 x 256"));
    CHECK_FALSE(exists(folder / "y.gguf"));
}

TEST_CASE("texts in other encodings are converted where they say what they are, and refused by name where not") {
    const scratch_dir folder;
    std::string text = read_text(support::project_dir() / "examples/models/fable-3m/generated_heldout.txt");
    std::erase_if(text, [](char c) { return static_cast<unsigned char>(c) >= 0x80; });
    text.resize(20000);
    std::string wide = "\xff\xfe", windows;
    for (const char c : text) {
        (wide += c) += '\0';
        if (c == '\n') windows += '\r';
        windows += c;
    }
    write_text(folder / "plain.txt", text);
    write_text(folder / "wide.txt", wide);
    write_text(folder / "windows.txt", "\xef\xbb\xbf" + windows);
    write_text(folder / "latin.txt", "caf\xe9 " + text);
    write_text(folder / "binary.txt", text + '\0');
    const auto calibrate = [&](const std::string& name) {
        return program(folder, "calibrate fable-3m --text " + name + ".txt -o " + name + ".dat");
    };
    REQUIRE(calibrate("plain").status == 0);
    CHECK(has(calibrate("wide").out,
              "\ntext: as written; the model has no chat template, 1 file converted from UTF-16\n"));
    CHECK(has(calibrate("windows").out, ", line ends of 1 file changed from \\r\\n to \\n\n"));
    const auto plain = tessera::read_imatrix(folder / "plain.dat").importances;
    for (const char* name : {"wide.dat", "windows.dat"}) {
        const auto other = tessera::read_imatrix(folder / name).importances;
        for (const auto& [tensor, entry] : plain) {
            REQUIRE(other.find(tensor) != nullptr);
            CHECK(*other.find(tensor) == entry);
        }
    }
    CHECK(has(calibrate("latin").err, "latin.txt: wanted text in UTF-8, got the byte 0xe9"));
    CHECK(
        has(calibrate("binary").err, "binary.txt: wanted text in UTF-8, got a zero, as in binary data, at byte 20000"));
    CHECK_FALSE(exists(folder / "latin.dat"));

    write_text(folder / "short.jsonl", "[{\"role\": \"user\", \"content\": \"hi\"}]\nno conversation\n");
    CHECK(has(program(folder, "calibrate fable-3m --text short.jsonl -o short.dat").err,
              "(texts: 1 conversation as plain text; the model has no chat template, 1 line left out that is no "
              "conversation (short.jsonl: line 2: "));

    const outcome limited = program(folder, "calibrate fable-3m --text plain.txt -o short.dat --memory 20MiB");
    CHECK(limited.status == 1);
    CHECK(has(limited.err, ": --memory: wanted at least 0."));
    CHECK(has(limited.err, ", got 0.02 GiB"));
    CHECK_FALSE(exists(folder / "short.dat"));
}

TEST_CASE("conversations are read in the model's chat template, or as plain text where there is none") {
    const scratch_dir folder;
    write_text(folder / "chat.jinja",
               "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
               "{{ '<s>' + m.role + ': ' + m.content + '</s>' }}{% endfor %}");
    std::string talks;
    for (int i = 0; i < 40; ++i)
        talks +=
            R"({"messages": [{"role": "user", "content": "Tell me a story, number )" + std::to_string(i) +
            R"(."}, {"role": "assistant", "content": "Once upon a time there was a little dog. It had a ball, and it was happy."}]})"
            "\n";
    write_text(folder / "talks.jsonl", talks + R"([{"role": "system", "content": "Be kind."}])");
    REQUIRE(program(folder, "convert fable-3m -o chat.gguf --chat-template chat.jinja").status == 0);

    const std::string texts = " --text talks.jsonl=3 fable-3m/generated_heldout.txt=1 ";
    const outcome instruct =
        program(folder, "calibrate chat.gguf" + texts + "--window 128 -o chat.imatrix --report r.json");
    REQUIRE(instruct.status == 0);
    CHECK(has(instruct.out,
              "\ntext: 40 conversations in the model's chat template, "
              "1 left out that it refuses (talks.jsonl: line 41: no system), 1 plain text as written\n"));
    const json report = json::parse(read_text(folder / "r.json"));
    const double chat_tokens = report["sources"][0]["tokens"], text_tokens = report["sources"][1]["tokens"];
    CHECK(chat_tokens > 1000);
    CHECK(chat_tokens / text_tokens == doctest::Approx(3).epsilon(0.2));

    const outcome base = program(folder, "calibrate fable-3m" + texts + "--window 128 -o base.imatrix");
    CHECK(has(base.out,
              "\ntext: 41 conversations as plain text; the model has no chat template, 1 plain text as written\n"));
    CHECK(read_text(folder / "base.imatrix") != read_text(folder / "chat.imatrix"));

    const outcome other =
        program(folder, "quantize fable-3m -f Q4_0 --encoder weighted --chat-template chat.jinja -o q.gguf" + texts);
    REQUIRE(other.status == 0);
    CHECK(has(other.out, "text: 40 conversations in the model's chat template"));

    const auto evaluated = [&](const std::string& models, const std::string& more) {
        const outcome run = program(folder, "evaluate " + models + " --json --window 128 --text talks.jsonl " + more);
        REQUIRE(run.status == 0);
        return json::parse(run.out);
    };
    const json framed = evaluated("chat.gguf fable-3m", "");
    CHECK(has(framed["framing"], "40 conversations in the model's chat template"));
    CHECK(framed["windows"].get<int>() >
          evaluated("fable-3m fable-3m", "")["windows"].get<int>());  // the template adds to them
    CHECK(evaluated("chat.gguf fable-3m", "fable-3m/generated_heldout.txt --windows 2")["windows"] == 2);
    CHECK(has(program(folder, "calibrate chat.gguf -o x --text talks.jsonl --chunks contiguous").err,
              "wanted plain texts, got conversations"));
}
