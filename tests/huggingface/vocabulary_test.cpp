#include <bit>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "support/support.hpp"
#include "tessera/huggingface/vocabulary.hpp"
#include "tessera/text/tokenizer.hpp"

using namespace tessera;
using nlohmann::json;
using support::has;
using text::token_id;
using ids = std::vector<token_id>;
using strings = std::vector<std::string>;

namespace {

// ---- A model directory with files made up on the spot.
class model_directory {
public:
    model_directory& with(std::string_view name, const json& content) { return with_text(name, content.dump()); }
    model_directory& with_text(std::string_view name, std::string_view content) {
        std::filesystem::create_directories((folder_ / name).parent_path());
        support::write_text(folder_ / name, content);
        return *this;
    }
    [[nodiscard]] metadata read(std::uint64_t size = 0) const {
        return huggingface::tokenizer_metadata(folder_.path(), size);
    }
    [[nodiscard]] std::string refusal(std::uint64_t size = 0) const {
        return support::message_of<error>([&] { (void)read(size); });
    }

private:
    support::scratch_dir folder_;
};

// ---- Writing protocol buffers.
std::string varint(std::uint64_t value) {
    std::string out;
    for (; value >= 0x80; value >>= 7) out += static_cast<char>(0x80 | (value & 0x7f));
    return out + static_cast<char>(value);
}
std::string number_field(std::uint64_t number, std::uint64_t value) { return varint(number << 3) + varint(value); }
std::string bytes_field(std::uint64_t number, const std::string& bytes) {
    return varint(number << 3 | 2) + varint(bytes.size()) + bytes;
}
std::string piece(const std::string& text, float score, std::uint64_t type = 1) {
    const auto bits = std::bit_cast<std::uint32_t>(score);
    std::string fixed;
    for (unsigned shift = 0; shift < 32; shift += 8) fixed += static_cast<char>(bits >> shift & 0xff);
    return bytes_field(1, bytes_field(1, text) + varint(2 << 3 | 5) + fixed + number_field(3, type));
}
const std::string byte_pair_trainer = bytes_field(2, number_field(3, 2));

std::string small_model() {
    return piece("<unk>", 0, 2) + piece("<s>", 0, 3) + piece("</s>", 0, 3) + piece("<0x41>", 0, 6) + piece("▁", -4) +
           piece("a", -5) + piece("▁a", -1) + piece("user", -2, 4) + byte_pair_trainer;
}

// ---- Byte-level tokenizer.json files.
json byte_level(const json& pre_tokenizer) {
    return {{"model",
             {{"type", "BPE"}, {"vocab", {{"a", 0}, {"b", 1}, {"ab", 2}, {"Ġ", 3}}}, {"merges", json::array({"a b"})}}},
            {"pre_tokenizer", pre_tokenizer}};
}
json split(std::string_view regex) {
    return {{"type", "Split"}, {"pattern", {{"Regex", regex}}}, {"behavior", "Isolated"}, {"invert", false}};
}
const json plain_bytes{{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}};
const json gpt2_bytes{{"type", "ByteLevel"}, {"add_prefix_space", false}};
json sequence(const std::vector<json>& steps) { return {{"type", "Sequence"}, {"pretokenizers", steps}}; }

json added(std::size_t id, std::string_view text, std::string_view kind) {
    return {{"id", id}, {"content", text}, {"special", kind == "special"}};
}

// A byte-fallback tokenizer.json in the manner of Llama 2.
json byte_fallback() {
    return {
        {"normalizer",
         {{"type", "Sequence"},
          {"normalizers", json::array({json{{"type", "Prepend"}, {"prepend", "▁"}},
                                       json{{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "▁"}}})}}},
        {"added_tokens", {added(0, "<unk>", "special"), added(1, "<s>", "special"), added(2, "</s>", "special")}},
        {"model",
         {{"type", "BPE"},
          {"byte_fallback", true},
          {"vocab",
           {{"<unk>", 0}, {"<s>", 1}, {"</s>", 2}, {"<0x0A>", 3}, {"a", 4}, {"b", 5}, {"▁", 6}, {"ab", 7}, {"▁a", 8}}},
          {"merges", {"a b", "▁ a"}}}}};
}

}  // namespace

TEST_CASE("tokenizer.model: pieces, scores, types") {
    model_directory directory;
    directory.with_text("tokenizer.model", small_model())
        .with("added_tokens.json", {{"<new>", 8}, {"<beyond>", 99}})
        .with("tokenizer_config.json",
              {{"bos_token", "<s>"},
               {"eos_token", {{"content", "</s>"}}},
               {"add_bos_token", true},
               {"added_tokens_decoder", {{"9", {{"content", "<|end|>"}, {"special", false}}}}}})
        .with("config.json", {{"pad_token_id", 4}, {"eos_token_id", {1, 2}}});
    const metadata keys = directory.read(11);
    CHECK(keys.require<std::string>("tokenizer.ggml.model") == "llama");
    CHECK(keys.require<std::string>("tokenizer.ggml.pre") == "default");
    CHECK(keys.require<strings>("tokenizer.ggml.tokens") ==
          strings{"<unk>", "<s>", "</s>", "<0x41>", "▁", "a", "▁a", "user", "<new>", "<|end|>", "[PAD10]"});
    CHECK(keys.require<std::vector<std::int32_t>>("tokenizer.ggml.token_type") ==
          std::vector<std::int32_t>{2, 3, 3, 6, 1, 1, 1, 1, 4, 3, 5});
    CHECK(keys.require<std::vector<float>>("tokenizer.ggml.scores") ==
          std::vector<float>{0, 0, 0, 0, -4, -5, -1, -2, -1000, -1000, -10000});
    CHECK(keys.require<std::uint32_t>("tokenizer.ggml.bos_token_id") == 1);
    CHECK(keys.require<std::uint32_t>("tokenizer.ggml.eos_token_id") == 2);
    CHECK(keys.require<std::uint32_t>("tokenizer.ggml.padding_token_id") == 4);
    CHECK_FALSE(keys.contains("tokenizer.ggml.unknown_token_id"));
    CHECK(keys.require<bool>("tokenizer.ggml.add_bos_token"));
    CHECK_FALSE(keys.contains("tokenizer.ggml.add_eos_token"));
    CHECK_FALSE(keys.contains("tokenizer.ggml.add_space_prefix"));
    CHECK_FALSE(keys.contains("tokenizer.ggml.merges"));
    CHECK(text::tokenizer(keys).encode("a a<new>") == ids{1, 6, 6, 8});
    CHECK(model_directory()
              .with_text("tokenizer.model", small_model())
              .read()
              .require<strings>("tokenizer.ggml.tokens")
              .size() == 8);

    const std::string no_prefix = bytes_field(3, number_field(3, 0));
    CHECK_FALSE(model_directory()
                    .with_text("tokenizer.model", small_model() + no_prefix)
                    .read()
                    .require<bool>("tokenizer.ggml.add_space_prefix"));
}

TEST_CASE("NaN and Infinity as Python writes them are read in all files") {
    model_directory directory;
    directory.with_text("tokenizer.model", small_model());
    directory.with_text("config.json", R"({"bos_token_id": 1, "a": [Infinity, -Infinity], "b": NaN, "c": "\\\"NaN"})");
    CHECK(directory.read().get_count("tokenizer.ggml.bos_token_id") == 1);
    CHECK(has(directory.with_text("config.json", R"({"bos_token_id": 1, "a": Nan})").refusal(),
              "config.json: wanted JSON"));
}

TEST_CASE("tokenizer.model: files that are malformed or of another model type are refused") {
    const auto refusal = [](const std::string& bytes, std::uint64_t size = 0) {
        return model_directory().with_text("tokenizer.model", bytes).refusal(size);
    };
    CHECK(has(refusal(""), "got an empty file"));
    CHECK(has(refusal(small_model(), 7), "at most 7 pieces"));
    CHECK(has(refusal(bytes_field(1, "") + bytes_field(2, number_field(3, 1))), "got type 1"));
    CHECK(has(refusal(bytes_field(1, "") + bytes_field(2, "")), "got type 1"));  // the format's default
    CHECK(has(refusal(piece("a", 0, 9)), "got 9"));
    CHECK(has(refusal("\x0b"), "wire type 3"));
    CHECK(has(refusal(std::string("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11)), "18446744073709551615 bytes"));
    CHECK(has(refusal("\x08" + std::string(11, '\xff')), "more than 10 bytes"));
    CHECK(has(refusal(piece("a", 0) + piece("a", 0) + byte_pair_trainer), "got a as 0 and 1"));
    const std::string whole = small_model();
    std::size_t refused = 0;
    for (std::size_t length = 0; length < whole.size(); ++length) try {
            (void)model_directory().with_text("tokenizer.model", whole.substr(0, length)).read();
        } catch (const error&) {
            ++refused;
        }
    CHECK(refused == whole.size());
    CHECK(has(refusal(piece("a", 0) + piece("b", 0), 4),
              "tokenizer.model: wanted a SentencePiece model with the settings of its trainer, got 2 pieces and none "
              "of these: "
              "the file may be cut short"));
}

TEST_CASE("tokenizer.model: every row of the embedding has a piece, or an added token") {
    const std::string message =
        "tokenizer.model: wanted 11 pieces, one a row of the model's embedding, got 8 and no added tokens";
    CHECK(has(model_directory().with_text("tokenizer.model", small_model()).refusal(11), message));
    CHECK(has(model_directory()
                  .with_text("tokenizer.model", small_model())
                  .with("added_tokens.json", {{"user", 7}})  // one of the pieces
                  .refusal(11),
              message));
    for (const char* file : {"added_tokens.json", "tokenizer_config.json", "tokenizer.json"}) {
        const json content = file[0] == 'a'   ? json{{"<new>", 8}}
                             : file[9] == '_' ? json{{"added_tokens_decoder", {{"8", {{"content", "<new>"}}}}}}
                                              : json{{"added_tokens", json::array({added(8, "<new>", "plain")})}};
        const metadata keys =
            model_directory().with_text("tokenizer.model", small_model()).with(file, content).read(11);
        CHECK(keys.require<strings>("tokenizer.ggml.tokens")[8] == "<new>");
        CHECK(keys.require<strings>("tokenizer.ggml.tokens")[9] == "[PAD9]");
    }
    if (const auto cut = support::shared("cases/tokenizer.model.cut1116"))
        CHECK(has(model_directory().with_text("tokenizer.model", support::read_text(*cut)).refusal(1024),
                  "may be cut short"));
}

TEST_CASE("tokenizer.model: added tokens of tokenizer.json are kept") {
    json tokenizer = byte_fallback();
    tokenizer["model"]["vocab"] = {{"<unk>", 0}, {"<s>", 1}, {"</s>", 2}, {"<0x41>", 3},
                                   {"▁", 4},     {"a", 5},   {"▁a", 6},   {"user", 7}};
    tokenizer["added_tokens"].push_back(added(8, "<|im_start|>", "special"));
    tokenizer["added_tokens"].push_back(added(9, "word▁s", "plain"));
    for (const std::uint64_t size : {0, 10}) {
        const metadata keys =
            model_directory().with_text("tokenizer.model", small_model()).with("tokenizer.json", tokenizer).read(size);
        CHECK(keys.require<strings>("tokenizer.ggml.tokens") ==
              strings{"<unk>", "<s>", "</s>", "<0x41>", "▁", "a", "▁a", "user", "<|im_start|>", "word s"});
        CHECK(keys.require<std::vector<std::int32_t>>("tokenizer.ggml.token_type") ==
              std::vector<std::int32_t>{2, 3, 3, 6, 1, 1, 1, 1, 3, 4});
        CHECK(keys.require<std::vector<float>>("tokenizer.ggml.scores") ==
              std::vector<float>{0, 0, 0, 0, -4, -5, -1, -2, -1000, -1000});
        CHECK(text::tokenizer(keys).encode("<|im_start|>", {.parse_special = true}) == ids{1, 8});
    }
    if (const auto both = support::shared("cases/tokenizer_two_files")) {
        const metadata keys = huggingface::tokenizer_metadata(*both, 1026);
        CHECK(keys.require<strings>("tokenizer.ggml.tokens")[1024] == "<|im_start|>");
        CHECK(keys.require<std::vector<std::int32_t>>("tokenizer.ggml.token_type")[1025] == 3);
        CHECK(keys.require<std::uint32_t>("tokenizer.ggml.eos_token_id") == 1025);
    }
}

TEST_CASE("contradictory files are refused, naming both files, the token and its texts") {
    json tokenizer = byte_level(gpt2_bytes);
    tokenizer["added_tokens"] = {added(4, "<|end|>", "special"), added(5, "<unused1>", "plain")};
    const auto refusal = [&](std::string_view file, const json& content) {
        return model_directory().with("tokenizer.json", tokenizer).with(file, content).refusal(8);
    };
    const auto configured = [](std::string_view id, std::string_view text) {
        return json{{"added_tokens_decoder", {{id, {{"content", text}}}}}};
    };
    const std::string other = refusal("tokenizer_config.json", configured("4", "<|stop|>"));
    CHECK(has(other, "tokenizer_config.json: wanted token 4 to be <|end|> as in "));
    CHECK(has(other, "tokenizer.json, got <|stop|>"));
    const std::string moved = refusal("added_tokens.json", {{"<|end|>", 6}});
    CHECK(has(moved, "added_tokens.json: wanted <|end|> to be token 4 as in "));
    CHECK(has(moved, "tokenizer.json, got 6"));
    CHECK(has(refusal("tokenizer_config.json", configured("0", "b")), "wanted token 0 to be a as in "));
    CHECK(has(refusal("special_tokens_map.json", {{"eos_token", "<|gone|>"}}),
              "special_tokens_map.json: eos_token: wanted a token that another file of the tokenizer has instead of "
              "<|gone|>"));
    CHECK(has(refusal("special_tokens_map.json",
                      {{"additional_special_tokens", json::array({"<|end|>", json{{"content", "<x>"}}})}}),
              "additional_special_tokens[1]: wanted a token"));

    const auto agrees = [&](std::string_view file, const json& content) {
        return model_directory()
            .with("tokenizer.json", tokenizer)
            .with(file, content)
            .read(8)
            .require<strings>("tokenizer.ggml.tokens");
    };
    CHECK(agrees("added_tokens.json", {{"<|end|>", 4}, {"<new>", 6}})[6] == "<new>");
    CHECK(agrees("tokenizer_config.json", configured("3", " "))[3] == " ");  // spelled Ġ in the vocabulary
    CHECK(agrees("tokenizer_config.json", configured("5", "<|call|>"))[5] == "<|call|>");  // was kept for this
    CHECK(agrees("special_tokens_map.json",
                 {{"eos_token", {{"content", "<|end|>"}}}, {"pad_token", ""}, {"unk_token", nullptr}})
              .size() == 8);

    const std::string pieces =
        model_directory().with_text("tokenizer.model", small_model()).with("tokenizer.json", tokenizer).refusal(8);
    CHECK(has(pieces, "tokenizer.json: wanted token "));
    CHECK(has(pieces, "tokenizer.model, got "));
    const std::string whole = byte_level(gpt2_bytes).dump();
    for (const std::size_t length : {whole.size() / 3, whole.size() / 2, whole.size() - 1})
        CHECK(has(model_directory().with_text("tokenizer.json", whole.substr(0, length)).refusal(),
                  "tokenizer.json: wanted JSON"));
}

TEST_CASE("tokenizer.json: byte-level BPE") {
    json tokenizer = byte_level(gpt2_bytes);
    tokenizer["added_tokens"] = {added(4, "<|end|>", "plain"), added(5, "<x▁y>", "plain"), added(6, "<s>", "special"),
                                 added(99, "<beyond>", "special")};
    tokenizer["model"]["merges"] = {json("a b"), json({"Ġ", "a"}), json({" ", "b"})};
    model_directory directory;
    directory.with("tokenizer.json", tokenizer);
    const metadata keys = directory.read(8);
    CHECK(keys.require<std::string>("tokenizer.ggml.model") == "gpt2");
    CHECK(keys.require<std::string>("tokenizer.ggml.pre") == "gpt-2");
    CHECK(keys.require<strings>("tokenizer.ggml.tokens") ==
          strings{"a", "b", "ab", "Ġ", "<|end|>", "<x y>", "<s>", "[PAD7]"});
    CHECK(keys.require<std::vector<std::int32_t>>("tokenizer.ggml.token_type") ==
          std::vector<std::int32_t>{1, 1, 1, 1, 3, 4, 3, 5});
    CHECK(keys.require<strings>("tokenizer.ggml.merges") == strings{"a b", "Ġ a", "Ġ b"});
    CHECK_FALSE(keys.contains("tokenizer.ggml.scores"));
    CHECK_FALSE(keys.contains("tokenizer.ggml.bos_token_id"));
    CHECK(text::tokenizer(keys).encode("ab ab") == ids{2, 3, 2});
}

TEST_CASE("tokenizer.json: BPE with byte fallback becomes a vocabulary with scores") {
    json tokenizer = byte_fallback();
    const metadata keys = model_directory().with("tokenizer.json", tokenizer).read();
    CHECK(keys.require<std::string>("tokenizer.ggml.model") == "llama");
    CHECK(keys.require<std::vector<float>>("tokenizer.ggml.scores") ==
          std::vector<float>{-2, -2, -2, -2, -2, -2, -2, 0, -1});
    CHECK(keys.require<std::vector<std::int32_t>>("tokenizer.ggml.token_type") ==
          std::vector<std::int32_t>{3, 3, 3, 6, 1, 1, 1, 1, 1});
    CHECK(text::tokenizer(keys).encode("ab a\n") == ids{1, 6, 7, 8, 3});  // "a b" merges before "▁ a"
    CHECK_FALSE(keys.contains("tokenizer.ggml.add_space_prefix"));

    tokenizer["normalizer"] = tokenizer["normalizer"]["normalizers"][1];
    const metadata bare = model_directory().with("tokenizer.json", tokenizer).read();
    CHECK_FALSE(bare.require<bool>("tokenizer.ggml.add_space_prefix"));
    tokenizer.erase("normalizer");
    tokenizer["pre_tokenizer"] = {{"type", "Metaspace"}, {"prepend_scheme", "first"}};
    CHECK_FALSE(model_directory().with("tokenizer.json", tokenizer).read().contains("tokenizer.ggml.add_space_prefix"));
    CHECK_FALSE(model_directory()
                    .with("tokenizer.json", tokenizer)
                    .with("tokenizer_config.json", {{"add_prefix_space", false}})
                    .read()
                    .require<bool>("tokenizer.ggml.add_space_prefix"));
}

TEST_CASE("tokenizer.json: the pre-tokenizer is recognised by what it does") {
    const auto name = [](const json& pre_tokenizer, const json& model = json::object()) {
        json tokenizer = byte_level(pre_tokenizer);
        tokenizer["model"].update(model);
        return model_directory().with("tokenizer.json", tokenizer).read().require<std::string>("tokenizer.ggml.pre");
    };
    const std::string llama =
        R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
    CHECK(name(sequence({split(llama), plain_bytes}), {{"ignore_merges", true}}) == "llama-bpe");
    CHECK(name(sequence({split(llama), plain_bytes})) == "smaug-bpe");
    CHECK(name(gpt2_bytes) == "gpt-2");
    CHECK(name(sequence({{{"type", "Digits"}, {"individual_digits", true}}, gpt2_bytes})) == "smollm");
    CHECK(name(sequence({{{"type", "Punctuation"}}, gpt2_bytes, split("[0-9][0-9][0-9]")})) == "falcon");
    CHECK(name(sequence({split("[\r\n]"),
                         split(R"(\s?\p{L}+)"),
                         split(R"(\s?\p{P}+)"),
                         split("[一-龥ࠀ-一가-퟿]+"),
                         {{"type", "Digits"}, {"individual_digits", true}},
                         plain_bytes})) == "deepseek-coder");
    for (const bool individual : {true, false})
        CHECK(name(sequence({split("[\r\n]"),
                             split(R"(\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳ𞤀-𞥃]+)"),
                             split(R"(\s?[!-/:-~！-／：-～‘-‟　-。]+)"),
                             split(R"(\s+$)"),
                             split("[一-龥ࠀ-一가-퟿]+"),
                             {{"type", "Digits"}, {"individual_digits", individual}},
                             plain_bytes})) == "deepseek-llm");

    const json single_digits{{"type", "Digits"}, {"individual_digits", true}};
    const std::string bloom = R"( ?[^(\s|[.,!?…。，、।۔،])]+)";
    CHECK(name(sequence({split(bloom), plain_bytes})) == "bloom");
    CHECK(name(sequence({split(bloom), single_digits, plain_bytes})) == "viking");
    CHECK(name(sequence({split("<sentinel:[0-9]+>"),
                         split("(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z"),
                         split("([\t\n]|    |  )"),
                         single_digits,
                         {{"type", "Punctuation"}, {"behavior", "Isolated"}},
                         gpt2_bytes})) == "chameleon");
    CHECK(name(sequence({split(R"(\p{N}+)"), split(R"((?=(\d{3})+(?!\d)))"), plain_bytes})) == "superbpe");
    const std::string contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)",
                      spelled = "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])";
    const std::string capitals = R"([\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}])", small = R"([\p{Ll}\p{Lm}\p{Lo}\p{M}])";
    const std::string kimi_capitals = R"([\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]])",
                      kimi_small = R"([\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]])";
    const std::string before = R"([^\r\n\p{L}\p{N}]?)", blanks = R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";
    CHECK(name(sequence({split(R"([\p{Han}]+|)" + before + kimi_capitals + "*" + kimi_small + "+" + contractions +
                               "?|" + before + kimi_capitals + "+" + kimi_small + "*" + contractions +
                               R"(?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*)" + blanks),
                         plain_bytes})) == "kimi-k2");
    CHECK(name(sequence({split(contractions + "|" + before + R"(\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N})" +
                               "\r\n]+|\\s*[\r\n]+" + R"(|\s+(?!\S)|\s+)"),
                         plain_bytes})) == "seed-coder");
    CHECK(name(sequence(
              {split(contractions + "|" + before +
                     R"((?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+)"),
               plain_bytes})) == "exaone-moe");
    const auto words = [&](const std::string& suffix, const std::string& digits) {
        return before + capitals + "*" + small + "+" + suffix + "?|" + before + capitals + "+" + small + "*" + suffix +
               "?|" + digits + R"(| ?[^\s\p{L}\p{N}]+[\r\n/]*)" + blanks;
    };
    CHECK(name(sequence({split(R"(\d{1,3}(?=(?:\d{3})*\b))"), split(words(contractions, R"(\p{N}{1,3})")),
                         plain_bytes})) == "tiny_aya");
    CHECK(
        name(sequence(
            {split(
                 "[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-龥぀-ゟ゠-ヿ]"
                 "+"),
             split(words(spelled, R"(\p{N})")), plain_bytes})) == "youtu");
    CHECK(
        name(sequence(
            {split(R"(\p{Nd}{1,510}(?=(?>\p{Nd}{510})*(?:\P{Nd}|$))|\G\p{Nd}{510})"),
             split(R"(\A\p{Nd}{1,2}(?=\p{Nd}{3}+\z))"), split(R"(\A\p{Nd}{3}|\G\p{Nd}{3})"),
             split(
                 R"((?:[\u4E00-\u9FFF\u3040-\u309F\u30A0-\u30FF\u3400-\u4DBF\uf900-\uFAFF\uFF65-\uFF9F\u2F00-\u2FDF]+|[\u0E00-\u0E7F]+|)"
                 R"([\u0E80-\u0EFF]+|[\u1780-\u17FF]+|[\u1000-\u109F\uAA60-\uAA7F\uA9E0-\uA9FF]+|[\uAC00-\uD7AF\u1100-\u11FF]+))"),
             split(
                 R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*)" +
                 blanks),
             plain_bytes})) == "afmoe");
    json roberta = byte_level(gpt2_bytes);
    roberta["post_processor"] = {{"type", "RobertaProcessing"}};
    CHECK(model_directory().with("tokenizer.json", roberta).read().require<std::string>("tokenizer.ggml.pre") ==
          "roberta-bpe");

    const auto refusal = [](const json& pre_tokenizer) {
        return model_directory().with("tokenizer.json", byte_level(pre_tokenizer)).refusal();
    };
    CHECK(has(refusal(sequence({split("[abc]+"), plain_bytes})), "cuts at [abc]+"));
    CHECK(has(refusal(plain_bytes), "cuts at nothing"));
    CHECK(has(refusal(sequence({{{"type", "Guess"}}, plain_bytes})), "Guess"));
    CHECK(has(refusal({{"type", "ByteLevel"}, {"add_prefix_space", true}}), "no space in front"));
    CHECK(has(refusal(sequence({{{"type", "Split"}, {"pattern", {{"String", " "}}}}, plain_bytes})), "pattern"));
}

TEST_CASE("begin- and end-of-text tokens follow from the configuration and the post-processor") {
    const auto special = [](std::string_view text) { return json{{"SpecialToken", {{"id", text}}}}; };
    const json text_part{{"Sequence", {{"id", "A"}}}};
    const auto read = [](const json& processor, const json& config) {
        json tokenizer = byte_level(gpt2_bytes);
        tokenizer["added_tokens"] = {added(4, "<s>", "special"), added(5, "</s>", "special"),
                                     added(6, "<eot>", "special")};
        tokenizer["post_processor"] = processor;
        return model_directory().with("tokenizer.json", tokenizer).with("tokenizer_config.json", config).read();
    };
    const auto templated = [&](const std::vector<json>& parts) {
        return json{{"type", "Sequence"},
                    {"processors", json::array({json{{"type", "ByteLevel"}},
                                                json{{"type", "TemplateProcessing"}, {"single", parts}}})}};
    };
    const json both{{"bos_token", "<s>"}, {"eos_token", "</s>"}};
    const metadata first = read(templated({special("<s>"), text_part}), both);
    CHECK(first.require<bool>("tokenizer.ggml.add_bos_token"));
    CHECK_FALSE(first.contains("tokenizer.ggml.add_eos_token"));
    const metadata foreign = read(templated({special("<eot>"), text_part}), both);
    CHECK_FALSE(foreign.require<bool>("tokenizer.ggml.add_bos_token"));
    const metadata last = read(templated({text_part, special("<eot>")}), both);
    CHECK(last.require<bool>("tokenizer.ggml.add_eos_token"));
    CHECK(last.require<std::uint32_t>("tokenizer.ggml.eos_token_id") == 6);
    CHECK(last.require<std::uint32_t>("tokenizer.ggml.eot_token_id") == 5);
    json overridden = both;
    overridden["add_bos_token"] = false;
    CHECK_FALSE(read(templated({special("<s>"), text_part}), overridden).require<bool>("tokenizer.ggml.add_bos_token"));
    const metadata roberta = read({{"type", "RobertaProcessing"}}, both);
    CHECK(roberta.require<bool>("tokenizer.ggml.add_bos_token"));
    CHECK(roberta.require<bool>("tokenizer.ggml.add_eos_token"));
    CHECK(read(nullptr, {{"sep_token", "<s>"}}).require<std::uint32_t>("tokenizer.ggml.seperator_token_id") == 4);
}

TEST_CASE("chat templates are found in every file that may hold them") {
    const auto base = [](model_directory& directory) -> model_directory& {
        return directory.with("tokenizer.json", byte_level(gpt2_bytes));
    };
    const std::string key = "tokenizer.chat_template";
    model_directory configured;
    base(configured)
        .with("tokenizer_config.json", {{"chat_template", "{{ a }}"}})
        .with_text("chat_template.jinja", "{{ b }}");
    CHECK(configured.read().require<std::string>(key) == "{{ a }}");
    model_directory named;
    base(named).with("tokenizer_config.json",
                     {{"chat_template", json::array({json{{"name", "default"}, {"template", "d"}},
                                                     json{{"name", "tools"}, {"template", "t"}}})}});
    CHECK(named.read().require<std::string>(key) == "d");
    CHECK(named.read().require<std::string>(key + ".tools") == "t");
    CHECK(named.read().require<strings>("tokenizer.chat_templates") == strings{"tools"});
    model_directory object;
    base(object).with("tokenizer_config.json",
                      {{"chat_template", {{"default", "d"}, {"tool_use", "t"}, {"rag", nullptr}}}});
    CHECK(object.read().require<std::string>(key) == "d");
    CHECK(object.read().require<std::string>(key + ".tool_use") == "t");
    CHECK(object.read().require<strings>("tokenizer.chat_templates") == strings{"tool_use"});
    model_directory marked;
    base(marked).with_text("chat_template.jinja", "\xef\xbb\xbf{{ a }}\r\n");
    CHECK(marked.read().require<std::string>(key) == "{{ a }}\n");
    model_directory latin;
    base(latin).with_text("chat_template.jinja", "\xe9");
    CHECK(has(latin.refusal(), "chat_template.jinja: wanted text in UTF-8, got the byte 0xe9"));
    model_directory files;
    base(files)
        .with_text("chat_template.jinja", "j")
        .with_text("additional_chat_templates/rag.jinja", "r")
        .with_text("additional_chat_templates/notes.txt", "n");
    CHECK(files.read().require<std::string>(key) == "j");
    CHECK(files.read().require<std::string>(key + ".rag") == "r");
    CHECK(files.read().require<strings>("tokenizer.chat_templates") == strings{"rag"});
    model_directory packed;
    base(packed).with("chat_template.json", {{"chat_template", "p"}});
    CHECK(packed.read().require<std::string>(key) == "p");
    model_directory none;
    CHECK_FALSE(base(none).read().contains(key));
}

TEST_CASE("hostile files are refused, naming file and key") {
    CHECK(has(model_directory().refusal(), "got neither"));
    CHECK(has(model_directory().with_text("tokenizer.json", std::string(1000000, '[')).refusal(), "at most 64 levels"));
    std::string nested;
    for (int i = 0; i < 100000; ++i) nested += "{\"a\":";
    CHECK(has(model_directory().with_text("tokenizer.json", nested).refusal(), "at most 64 levels"));
    CHECK(has(model_directory().with_text("tokenizer.json", "{\"a\":\"\xff\"}").refusal(),
              "tokenizer.json: wanted text in UTF-8"));
    for (const char* text : {"", "{", "{\"a\":1e999}", "nul"})
        CHECK(has(model_directory().with_text("tokenizer.json", text).refusal(), "tokenizer.json: wanted JSON"));
    CHECK(has(model_directory().with_text("tokenizer.json", "[]").refusal(), "wanted an object, got array"));
    CHECK(has(model_directory().with("tokenizer.json", json::object()).refusal(), "wanted a key model"));

    const auto refusal = [](const std::function<void(json&)>& spoil, std::uint64_t size = 0) {
        json tokenizer = byte_level(gpt2_bytes);
        spoil(tokenizer);
        return model_directory().with("tokenizer.json", tokenizer).refusal(size);
    };
    const std::vector<std::pair<std::string, std::function<void(json&)>>> spoilers{
        {"model.type: wanted BPE instead of Unigram", [](json& t) { t["model"]["type"] = "Unigram"; }},
        {"model.vocab: wanted an object, got array", [](json& t) { t["model"]["vocab"] = json::array({"a"}); }},
        {"model.vocab.a: wanted a token id", [](json& t) { t["model"]["vocab"]["a"] = -1; }},
        {"model.vocab.a: wanted a token id", [](json& t) { t["model"]["vocab"]["a"] = 1.5; }},
        {"model.vocab.a: wanted a token id", [](json& t) { t["model"]["vocab"]["a"] = 4000000000u; }},
        {"model.vocab: wanted ids without large gaps for 4 tokens, got 5000",
         [](json& t) { t["model"]["vocab"]["a"] = 5000; }},
        {"model.vocab: wanted one token an id", [](json& t) { t["model"]["vocab"]["a"] = 1; }},
        {"model: wanted a key merges", [](json& t) { t["model"].erase("merges"); }},
        {"model.merges: wanted an array", [](json& t) { t["model"]["merges"] = "a b"; }},
        {"model.merges[0]: wanted two strings", [](json& t) { t["model"]["merges"] = json::array({"ab"}); }},
        {"model.merges[0]: wanted two strings",
         [](json& t) { t["model"]["merges"] = json::array({json::array({"a", "b", "c"})}); }},
        {"model.merges[0]: wanted two strings", [](json& t) { t["model"]["merges"] = json::array({7}); }},
        {"model.merges[0]: wanted two strings", [](json& t) { t["model"]["merges"] = json::array({""}); }},
        {"model: wanted a model on bytes", [](json& t) { t.erase("pre_tokenizer"); }},
        {"pre_tokenizer: wanted an object, got 3", [](json& t) { t["pre_tokenizer"] = 3; }},
        {"added_tokens: wanted an array", [](json& t) { t["added_tokens"] = true; }},
        {"added_tokens[0].content: wanted a string, got 1",
         [](json& t) { t["added_tokens"] = json::array({json{{"id", 5}, {"content", 1}}}); }},
        {"added_tokens[0]: wanted a key id",
         [](json& t) { t["added_tokens"] = json::array({json{{"content", "x"}}}); }},
        {"got a as 0 and 4", [](json& t) { t["added_tokens"] = json::array({added(4, "a", "special")}); }},
        {"post_processor.single: wanted an array",
         [](json& t) { t["post_processor"] = {{"type", "TemplateProcessing"}, {"single", 1}}; }},
    };
    for (const auto& [wanted, spoil] : spoilers) {
        const std::string got = refusal(spoil);
        CHECK_MESSAGE(has(got, wanted), got);
    }
    CHECK(has(refusal([](json&) {}, 3), "below the vocabulary's size 3, got 3"));
    CHECK(has(refusal([](json&) {}, std::uint64_t{1} << 40), "at most 16777216 tokens"));

    const auto config_refusal = [](const json& config) {
        return model_directory()
            .with("tokenizer.json", byte_level(gpt2_bytes))
            .with("tokenizer_config.json", config)
            .refusal();
    };
    CHECK(has(config_refusal(json::array()), "tokenizer_config.json: wanted an object"));
    CHECK(has(config_refusal({{"bos_token", 5}}), "bos_token: wanted a string, got 5"));
    CHECK(has(config_refusal({{"bos_token", json::object()}}), "bos_token: wanted a key content"));
    CHECK(has(config_refusal({{"add_bos_token", "yes"}}), "add_bos_token: wanted true or false"));
    CHECK(has(config_refusal({{"chat_template", 5}}), "chat_template: wanted a string, a list or an object"));
    CHECK(has(config_refusal({{"chat_template", {{"default", 5}}}}), "chat_template.default: wanted a string"));
    CHECK(has(config_refusal({{"added_tokens_decoder", {{"x", {{"content", "y"}}}}}}), "added_tokens_decoder.x"));
    json bad_merge = byte_fallback();
    bad_merge["model"]["merges"] = json::array({"b a"});
    CHECK(has(model_directory().with("tokenizer.json", bad_merge).refusal(), "instead of ba"));
}
