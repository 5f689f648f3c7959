#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "support/support.hpp"
#include "tessera/gguf/reader.hpp"
#include "tessera/huggingface/vocabulary.hpp"
#include "tessera/text/tokenizer.hpp"
#include "tessera/text/windows.hpp"

using namespace tessera;
using nlohmann::json;
using text::token_id;
using text::tokenizer;
using ids = std::vector<token_id>;

namespace {

json scalar_of(const metadata_value& value) {
    return std::visit(
        [](const auto& v) -> json {
            if constexpr (std::is_constructible_v<json, decltype(v)>)
                return v;
            else
                return nullptr;
        },
        value);
}

void check_cases(const tokenizer& t, const json& cases) {
    int failures = 0;
    for (const json& entry : cases) {
        const auto text = entry["text"].get<std::string>();
        const auto wanted = entry["ids"].get<ids>();
        const ids got = t.encode(text, {.add_special = entry["add_special"], .parse_special = entry["parse_special"]});
        if (got != wanted && ++failures <= 3) CHECK_MESSAGE(got == wanted, entry.dump());
    }
    CHECK(failures == 0);
    MESSAGE("      " << cases.size() - static_cast<std::size_t>(failures) << " of " << cases.size() << " cases");
}

// Where others differ because of the text's characters, ours are the ids of the models' own tokenizers; without the
// normal form those of llama.cpp.
void check_disagreements(const tokenizer& t, const json& cases) {
    static const std::set<std::string> kinds{"nfc-normalizer", "tilde-not-symbol", "mark-class-approximated"};
    for (const json& entry : cases) {
        const auto kind = entry["kind"].get<std::string>();
        if (kinds.count(kind) == 0) continue;
        const auto text = entry["text"].get<std::string>();
        const json& answers = entry["answers"];
        text::encode_options options{.add_special = entry["add_special"], .parse_special = entry["parse_special"]};
        CHECK_MESSAGE(t.encode(text, options) == answers["hf-tokenizers-0.22.2"].get<ids>(), entry.dump());
        options.normalize = false;
        if (kind == "nfc-normalizer")
            CHECK_MESSAGE(t.encode(text, options) == answers["libllama"].get<ids>(), entry.dump());
    }
}

// The keys of the file with which the golden ids were made are exactly ours.
void check_keys(const metadata& keys, const json& golden) {
    static const std::set<std::string> arrays{"tokenizer.ggml.tokens", "tokenizer.ggml.scores",
                                              "tokenizer.ggml.token_type", "tokenizer.ggml.merges",
                                              "tokenizer.chat_template"};
    for (auto entry = golden.begin(); entry != golden.end(); ++entry) {
        if (!entry.key().starts_with("tokenizer.")) continue;
        const metadata_value* ours = keys.find(entry.key());
        REQUIRE_MESSAGE(ours != nullptr, entry.key());
        CHECK_MESSAGE(scalar_of(*ours) == entry.value(), entry.key());
    }
    for (const metadata::entry& entry : keys)
        CHECK_MESSAGE((golden.contains(entry.first) || arrays.count(entry.first) == 1), entry.first);
}

}  // namespace

TEST_CASE("published tokenizers give the ids that independent implementations agree on") {
    const auto golden = support::shared("golden/tokenizers");
    if (!golden) return;
    static constexpr std::array<std::string_view, 11> families{"llama2",  "mistral-v1",  "llama3",        "llama3.1",
                                                               "gpt2",    "smollm2",     "qwen3",         "gemma3",
                                                               "gpt-oss", "deepseek-v3", "mistral-tekken"};
    for (const std::string_view family : families) {
        MESSAGE(family);
        const auto folder = *golden / family;
        const json facts = json::parse(support::read_text(folder / "gguf.json"));
        const auto size = facts["n_tokens"].get<std::uint64_t>();
        if (support::is_watched && size > 33'000) continue;  // reading the others takes minutes then
        const json cases = json::parse(support::read_text(folder / "cases.json"));
        support::scratch_dir without_model;  // one family has both kinds of file: this is its second way
        for (const char* file : {"tokenizer.json", "tokenizer_config.json"})
            std::filesystem::copy_file(folder / file, without_model / file);
        const metadata keys = huggingface::tokenizer_metadata(without_model.path(), size);
        check_keys(keys, facts);
        const tokenizer t(keys);
        CHECK(t.size() == size);
        check_cases(t, cases);
        check_disagreements(t, json::parse(support::read_text(folder / "disagreements.json")));
        std::size_t controls = 0;
        std::set<std::string> user_defined;
        for (token_id id = 0; id < static_cast<token_id>(t.size()); ++id) {
            if (t.type(id) == text::token_type::control) ++controls;
            if (t.type(id) == text::token_type::user_defined) user_defined.emplace(t.piece(id));
        }
        CHECK(controls == facts["n_control"].get<std::size_t>());
        CHECK(user_defined == facts["user_defined"].get<std::set<std::string>>());
        if (std::filesystem::exists(folder / "tokenizer.model")) {
            const tokenizer other(huggingface::tokenizer_metadata(folder, size));
            check_cases(other, cases);
        }
    }
}

TEST_CASE("a model directory gives the metadata that the reference converter writes") {
    const auto directory = support::shared("models/fable-3m");
    const auto file = support::shared("golden/kld/fable-3m-f16.gguf");
    const auto sample = support::shared("golden/kld/text.txt");
    const auto logits = support::shared("golden/kld/base.kld");
    if (!directory || !file || !sample || !logits) return;
    const metadata ours = huggingface::tokenizer_metadata(*directory, 1024);
    const gguf::reader reader(*file);
    for (const metadata::entry& entry : reader.metadata()) {
        const std::string& key = entry.first;
        if (!key.starts_with("tokenizer.") || key == "tokenizer.ggml.add_space_prefix") continue;  // states the default
        const metadata_value* found = ours.find(key);
        CHECK_MESSAGE((found != nullptr && *found == entry.second), key);
    }
    const std::string text = support::read_text(*sample);
    const tokenizer t(ours);
    CHECK(t.encode(text) == tokenizer(reader.metadata()).encode(text));

    // The saved logits begin with 8 bytes, three numbers and the tokens of 12 windows, as they were before BOS.
    const auto windows = text::cut_windows(t, text, {.length = 256, .limit = 12});
    const std::string saved = support::read_text(*logits);
    ids tokens(12 * 256);
    REQUIRE(saved.size() > 20 + tokens.size() * sizeof(token_id));
    std::memcpy(tokens.data(), saved.data() + 20, tokens.size() * sizeof(token_id));
    for (std::size_t i = 0; i < tokens.size(); i += 256) tokens[i] = *t.bos();
    CHECK(ids(windows.tokens().begin(), windows.tokens().end()) == tokens);
}

TEST_CASE("tokenizer.model and tokenizer.json of one model give the same tokenizer") {
    for (const std::string_view name : {"models/fable-3m", "models/stories260K"}) {
        const auto directory = support::shared(name);
        const auto sample = support::shared("golden/kld/text.txt");
        if (!directory || !sample) return;
        support::scratch_dir without_model;
        for (const char* file : {"tokenizer.json", "tokenizer_config.json", "config.json"})
            std::filesystem::copy_file(*directory / file, without_model / file);
        const tokenizer from_model(huggingface::tokenizer_metadata(*directory, 0));
        const tokenizer from_json(huggingface::tokenizer_metadata(without_model.path(), 0));
        const std::string text = support::read_text(*sample);
        const ids tokens = from_model.encode(text);
        CHECK(tokens == from_json.encode(text));
        CHECK(from_model.decode(tokens) == text);
    }
    if (const auto directory = support::shared("models/quill-5m")) {
        const metadata keys = huggingface::tokenizer_metadata(*directory, 2048);
        CHECK(keys.require<std::string>("tokenizer.ggml.pre") == "smaug-bpe");
        CHECK(keys.contains("tokenizer.chat_template"));
        const tokenizer t(keys);
        const std::string text = "It's 12345 things:\n\n\tdéjà vu!  <|user|>";
        CHECK(t.decode(t.encode(text)) == text);
        CHECK(t.encode("<|user|>", {.parse_special = true}) == ids{2042, 2045});
    }
}
