#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "support/support.hpp"
#include "tessera/core/stop.hpp"
#include "tessera/text/tokenizer.hpp"
#include "tessera/text/windows.hpp"
#include "text/vocabularies.hpp"

using namespace tessera;
using support::has;
using text::token_id;
using text::token_type;
using text::tokenizer;
using ids = std::vector<token_id>;

namespace {

constexpr token_id first_byte = 3;  // in support::sentence_pieces()

std::string refusal(const metadata& keys) {
    return support::message_of<error>([&] { tokenizer{keys}; });
}

}  // namespace

TEST_CASE("SentencePiece: the pair with the best score merges first, the leftmost among equals") {
    auto vocabulary = support::sentence_pieces();
    vocabulary.set("add_space_prefix", false);
    for (const char* text : {"a", "b", "c"}) vocabulary.add(text, token_type::normal, -100.0f);
    const token_id ab = vocabulary.add("ab", token_type::normal, -2.0f);
    const token_id bc = vocabulary.add("bc", token_type::normal, -1.0f);
    const token_id aa = vocabulary.add("aa", token_type::normal, -3.0f);
    const tokenizer t(vocabulary.build());
    const token_id a = *t.find("a");
    const token_id c = *t.find("c");
    CHECK(t.encode("abc") == ids{1, a, bc});
    CHECK(t.encode("abab") == ids{1, ab, ab});
    CHECK(t.encode("aaa") == ids{1, aa, a});
    CHECK(t.encode("abc", {.add_special = false}) == ids{a, bc});
    CHECK(t.encode("cd") == ids{1, c, first_byte + 'd'});
    CHECK(t.encode("") == ids{1});
}

TEST_CASE("a text is given up between two of its pieces when work is to stop") {
    const tokenizer spaced(support::sentence_pieces().build());
    const std::string text = "some words";
    CHECK_FALSE(spaced.encode(text).empty());
    request_stop();
    CHECK_THROWS_AS((void)spaced.encode(text), stopped);
    withdraw_stop();
}

TEST_CASE("SentencePiece: a space is prepended at the start and after a special token") {
    auto vocabulary = support::sentence_pieces();
    const token_id space = vocabulary.add("▁", token_type::normal, -9.0f);
    const token_id a = vocabulary.add("a", token_type::normal, -9.0f);
    const token_id space_a = vocabulary.add("▁a", token_type::normal, -1.0f);
    const token_id mark = vocabulary.add("<mark>", token_type::user_defined);
    const tokenizer t(vocabulary.build());
    CHECK(t.encode("a a", {.add_special = false}) == ids{space_a, space_a});
    CHECK(t.encode("aa", {.add_special = false}) == ids{space_a, a});
    CHECK(t.encode(" a", {.add_special = false}) == ids{space, space_a});
    CHECK(t.encode("<mark>a", {.add_special = false}) == ids{mark, space_a});
    CHECK(t.encode("a</s>a", {.add_special = false, .parse_special = true}) == ids{space_a, 2, space_a});
    CHECK(t.encode("</s>", {.add_special = false}).size() == 5);  // not parsed: a space and the four bytes
    CHECK(t.decode(t.encode("a a")) == "a a");
    CHECK(t.decode(t.encode("  a")) == "  a");
    CHECK(t.decode(ids{1, space_a, 2}, {.show_special = true}) == "<s>a</s>");
}

TEST_CASE("SentencePiece: random text is merged as a plain implementation merges it, with tokens across words, too") {
    std::mt19937 random(7);
    const std::vector<std::string> characters{"a", "b", " ", "é", "世", "x", "\xf0"};
    const std::vector<std::string> letters{"a", "b", "▁", "é"};
    for (int round = 0; round < 40; ++round) {
        auto vocabulary = support::sentence_pieces();
        vocabulary.set("add_space_prefix", false);
        std::map<std::string, float> known;
        for (const std::string& letter : letters) known[letter] = -100.0f;
        while (known.size() < 30) {
            const std::string text = support::random_text(random, letters, 2 + random() % 3);
            const bool crosses = round % 2 == 1;
            const std::size_t word = text.find_first_not_of("\xe2\x96\x81");
            if (crosses || word == std::string::npos || text.find("▁", word) == std::string::npos)
                known[text] = -static_cast<float>(random() % 12);  // equal scores are common
        }
        for (const auto& [text, score] : known) vocabulary.add(text, token_type::normal, score);
        const tokenizer t(vocabulary.build());
        for (int i = 0; i < 30; ++i) {
            const std::string text = support::random_text(random, characters, random() % 60);
            std::vector<std::string> parts;
            const std::string escaped = tessera::replaced(text, " ", "▁");
            for (std::size_t at = 0; at < escaped.size();) {
                parts.push_back(escaped.substr(at, utf8_length(escaped[at])));
                at += parts.back().size();
            }
            ids wanted;
            for (const std::string& part : support::merge_plainly(
                     parts, [&](const std::string& left, const std::string& right) -> std::optional<double> {
                         const auto found = known.find(left + right);
                         return found == known.end() ? std::nullopt : std::optional<double>(-found->second);
                     })) {
                if (const auto id = t.find(part))
                    wanted.push_back(*id);
                else
                    for (const char c : part) wanted.push_back(first_byte + static_cast<unsigned char>(c));
            }
            const ids got = t.encode(text, {.add_special = false});
            CHECK(got == wanted);
            // A space after half a character is taken for part of it and spelled in bytes as it was escaped.
            CHECK(tessera::replaced(t.decode(got), "▁", " ") == text);
            if (text.find('\xf0') == std::string::npos) CHECK(t.decode(got) == text);
        }
    }
}

TEST_CASE("SentencePiece: a vocabulary with merges instead of scores merges by rank") {
    auto vocabulary = support::sentence_pieces("gemma4");
    vocabulary.set("bos_token_id", std::uint32_t{1});
    for (const char* letter : {"▁", "a", "b", "c"}) vocabulary.add(letter);
    for (const auto& [left, right] :
         {std::pair("b", "c"), std::pair("a", "b"), std::pair("▁", "ab"), std::pair("a", "bc")}) {
        vocabulary.add(std::string(left) + right, token_type::normal, -99.0f);  // scores mean nothing
        vocabulary.add_merge(left, right);
    }
    const tokenizer t(vocabulary.build());
    const auto pieces = [&](std::string_view text) {
        std::vector<std::string> out;
        for (const token_id id : t.encode(text)) out.emplace_back(t.piece(id));
        return out;
    };
    using list = std::vector<std::string>;
    CHECK(pieces("abc ab\n") == list{"<s>", "abc", "▁ab", "<0x0A>"});
    CHECK(pieces("") == list{"<s>"});
    CHECK(t.decode(t.encode("abc é ab\n")) == "abc é ab\n");
    vocabulary.add_merge("c", "c");
    CHECK(has(refusal(vocabulary.build()), "wanted merges that make tokens, got \"c c\" as number 4"));
}

TEST_CASE("BPE: random text is merged as a plain implementation merges it") {
    std::mt19937 random(11);
    const std::vector<std::string> characters{"a", "b", "c", "é", "世"};
    for (int round = 0; round < 40; ++round) {
        auto vocabulary = support::byte_pieces("gpt-2");
        std::vector<std::string> texts;
        for (const char* byte : {"a", "b", "c", "Ã", "©", "ä", "¸", "ĸ"}) texts.emplace_back(byte);
        std::map<std::pair<std::string, std::string>, double> ranks;
        std::map<std::string, token_id> known;
        for (int rank = 0; rank < 25; ++rank) {
            const std::string left = texts[random() % texts.size()];
            const std::string right = texts[random() % texts.size()];
            if (!ranks.emplace(std::pair(left, right), rank).second) continue;
            vocabulary.add_merge(left, right);
            if (known.count(left + right) == 0) {
                known[left + right] = vocabulary.add(left + right);
                texts.push_back(left + right);
            }
        }
        const tokenizer t(vocabulary.build());
        for (int i = 0; i < 30; ++i) {
            const std::string text = support::random_text(random, characters, random() % 40);  // letters: one piece
            std::vector<std::string> parts;
            for (const char byte : text) text::append_spelled_byte(parts.emplace_back(), byte);
            ids wanted;
            for (const std::string& part : support::merge_plainly(
                     parts, [&](const std::string& left, const std::string& right) -> std::optional<double> {
                         const auto found = ranks.find({left, right});
                         return found == ranks.end() ? std::nullopt : std::optional(found->second);
                     }))
                wanted.push_back(*t.find(part));
            const ids got = t.encode(text);
            CHECK(got == wanted);
            CHECK(t.decode(got) == text);
        }
    }
}

TEST_CASE("BPE: the printable characters that stand for bytes") {
    const auto spelled = [](char byte) {
        std::string out;
        text::append_spelled_byte(out, byte);
        return out;
    };
    CHECK(spelled('a') == "a");
    CHECK(spelled(' ') == "Ġ");
    CHECK(spelled('\n') == "Ċ");
    CHECK(spelled('\0') == "Ā");
    CHECK(spelled('\x7f') == "ġ");
    CHECK(spelled('\xad') == "Ń");
    CHECK(spelled('\xff') == "ÿ");
    std::string all;
    for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
    std::string there;
    text::append_spelled(there, all);
    std::string back;
    text::append_unspelled(back, there);
    CHECK(back == all);
    std::string foreign;
    text::append_unspelled(foreign, "a世ń");  // beyond the alphabet
    CHECK(foreign == "a世ń");
}

TEST_CASE("runs of a million characters are merged into the longest tokens") {
    auto pairs = support::byte_pieces("llama-bpe");
    pairs.set("add_bos_token", false);
    std::string doubled = "a";
    for (int i = 0; i < 10; ++i) {
        pairs.add_merge(doubled, doubled);
        doubled += doubled;
        pairs.add(doubled);
    }
    auto pieces = support::sentence_pieces();
    pieces.set("add_space_prefix", false);
    for (std::string text = "a"; text.size() <= 1024; text += text)
        pieces.add(text, token_type::normal, -static_cast<float>(text.size()));
    const std::size_t length = std::size_t{1} << 20;
    for (const metadata& keys : {pairs.build(), pieces.build()}) {
        const tokenizer t(keys);
        const ids got = t.encode(std::string(length, 'a'), {.add_special = false});
        CHECK(got == ids(length / 1024, *t.find(std::string(1024, 'a'))));
    }
}

TEST_CASE("a workspace caches the tokens of pieces and tells similar pieces apart") {
    std::mt19937 random(17);
    auto vocabulary = support::byte_pieces("gpt-2");
    for (const char* pair : {"a b", "b a", "ab a", "a a", "aa b"}) {
        const std::string line = pair;
        const std::size_t space = line.find(' ');
        vocabulary.add_merge(line.substr(0, space), line.substr(space + 1));
        vocabulary.add(line.substr(0, space) + line.substr(space + 1));
    }
    const tokenizer t(vocabulary.build());
    text::workspace work;
    for (int i = 0; i < 300'000; ++i) {  // more than it keeps
        const std::string word = support::random_text(random, {"a", "b"}, 1 + random() % 30);
        ids got;
        t.encode(word, work, got);
        if (i % 64 == 0) CHECK(got == t.encode(word));
    }
}

TEST_CASE("the normal form follows from the pre-tokenizer and can be switched off") {
    const auto encoded = [](const char* pre, text::encode_options options) {
        const tokenizer t(support::byte_pieces(pre).build());
        return t.decode(t.encode("e\u0301 \xff", options));
    };
    CHECK(encoded("qwen2", {}) == "\u00e9 \ufffd");
    CHECK(encoded("qwen2", {.normalize = false}) == "e\u0301 \ufffd");
    CHECK(encoded("gpt-2", {}) == "e\u0301 \ufffd");
}

TEST_CASE("Phi-3: white space after a turn marker belongs to the marker") {
    for (const char* name : {"Phi 3", "Microsoft_Phi-3 mini"}) {
        auto vocabulary = support::byte_pieces("gpt-2");
        const token_id user = vocabulary.add("<|user|>", token_type::control);
        const token_id end = vocabulary.add("<|endoftext|>", token_type::control);
        metadata keys = vocabulary.build();
        keys.set("general.name", std::string(name));
        const tokenizer t(keys);
        const token_id line = *t.find("Ċ");
        const token_id a = *t.find("a");
        const bool is_phi3 = std::string_view(name) != "Phi 3";
        CHECK(t.encode("<|user|>\na<|endoftext|>\n", {.parse_special = true}) ==
              (is_phi3 ? ids{user, a, end, line} : ids{user, line, a, end, line}));
        CHECK(t.encode("<|user|>\n \n", {.parse_special = true}).size() == (is_phi3 ? 1u : 4u));
    }
}

TEST_CASE("bytes that are not UTF-8 are tokenized byte by byte or as U+FFFD") {
    auto pairs = support::byte_pieces("gpt-2");
    const tokenizer lossy(pairs.build());
    CHECK(lossy.decode(lossy.encode("a\xff\xc3(\xed\xa0\x80"
                                    "b")) ==
          "a\ufffd\ufffd(\ufffd\ufffd\ufffd"
          "b");
    auto pieces = support::sentence_pieces();
    pieces.add("▁");
    const tokenizer exact(pieces.build());
    for (const std::string text : {"\xff", "a\xe2\x96",
                                   "\xf0"
                                   "abc d",
                                   "\xc3"})
        CHECK(exact.decode(exact.encode(text)) == text);
}

TEST_CASE("special tokens: the longest match anywhere first; control tokens on demand only") {
    auto vocabulary = support::byte_pieces("gpt-2");
    const token_id ab = vocabulary.add("<ab>", token_type::control);
    const token_id long_one = vocabulary.add("x<ab>y", token_type::control);
    const token_id user = vocabulary.add("[u]", token_type::user_defined);
    const token_id overlap = vocabulary.add("]<ab", token_type::user_defined);
    const tokenizer t(vocabulary.build());
    const token_id x = *t.find("x");
    CHECK(t.encode("<ab>x<ab>y<ab>", {.parse_special = true}) == ids{ab, long_one, ab});
    CHECK(t.encode("x<ab>[u]x", {.parse_special = true}) == ids{x, ab, user, x});
    CHECK(t.encode("x[u]", {.parse_special = false}) == ids{x, user});
    CHECK(t.encode("<ab>").size() == 4);
    CHECK(t.encode("[u]<ab>") == ids{*t.find("["), *t.find("u"), overlap, *t.find(">")});
    CHECK(t.decode(ids{ab, x, user}) == "x[u]");
    CHECK(t.decode(ids{ab, x, user}, {.show_special = true}) == "<ab>x[u]");
}

TEST_CASE("special tokens: splitting agrees with searching for each of them in turn") {
    std::mt19937 random(5);
    const std::vector<std::string> characters{"a", "b", "<"};
    for (int round = 0; round < 200; ++round) {
        auto builder = support::byte_pieces("gpt-2");
        std::map<std::string, token_id> specials;
        while (specials.size() < 6) {
            const std::string text = "<" + support::random_text(random, characters, 1 + random() % 4);
            if (specials.count(text) == 0) specials[text] = builder.add(text, token_type::control);
        }
        const tokenizer t(builder.build());
        const std::string text = support::random_text(random, characters, 40);

        std::vector<std::pair<std::string, token_id>> order(specials.begin(), specials.end());
        std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
            return a.first.size() != b.first.size() ? a.first.size() > b.first.size() : a.second < b.second;
        });
        ids wanted(text.size(), -1);  // by position; -2 for what lies inside a token
        for (const auto& [special, id] : order)
            for (std::size_t at = 0; at + special.size() <= text.size(); ++at) {
                const auto begin = wanted.begin() + static_cast<std::ptrdiff_t>(at);
                const auto end = begin + static_cast<std::ptrdiff_t>(special.size());
                if (text.compare(at, special.size(), special) != 0 || std::count(begin, end, -1) != end - begin)
                    continue;
                std::fill(begin, end, -2);
                *begin = id;
            }
        for (std::size_t at = 0; at < text.size(); ++at)
            if (wanted[at] == -1) wanted[at] = *t.find(text.substr(at, 1));
        wanted.erase(std::remove(wanted.begin(), wanted.end(), -2), wanted.end());
        CHECK(t.encode(text, {.parse_special = true}) == wanted);
    }
}

TEST_CASE("BPE: ignore_merges, and merges whose result is no token") {
    for (const char* pre : {"llama-bpe", "smaug-bpe"}) {
        auto vocabulary = support::byte_pieces(pre);
        vocabulary.set("add_bos_token", false);
        const token_id word = vocabulary.add("abc");  // no merge makes it
        const tokenizer t(vocabulary.build());
        const ids spelled{*t.find("a"), *t.find("b"), *t.find("c")};
        CHECK(t.encode("abc") == (std::string_view(pre) == "llama-bpe" ? ids{word} : spelled));
    }
    auto vocabulary = support::byte_pieces("gpt-2");
    vocabulary.add_merge("a", "b");  // "ab" is no token
    const tokenizer t(vocabulary.build());
    CHECK(t.encode("ab") == ids{*t.find("a"), *t.find("b")});
}

TEST_CASE("token types that files commonly get wrong are corrected") {
    auto vocabulary = support::byte_pieces("gpt-4o");
    const token_id end = vocabulary.add("<|im_end|>");
    const token_id harmony = vocabulary.add("<|channel|>", token_type::control);
    const token_id message_end = vocabulary.add("<|end|>", token_type::control);
    CHECK(tokenizer(vocabulary.build()).type(message_end) == token_type::control);
    vocabulary.add("<|return|>", token_type::control);
    vocabulary.add("<|call|>", token_type::control);
    const tokenizer t(vocabulary.build());
    CHECK(t.type(end) == token_type::control);
    CHECK(t.type(harmony) == token_type::user_defined);
    CHECK(t.type(message_end) == token_type::user_defined);
}

TEST_CASE("contradictory metadata are refused with a reason") {
    CHECK(has(refusal({}), "tokenizer.ggml.model"));
    for (const char* model : {"no_vocab", "none"})
        CHECK(has(refusal(support::vocabulary_builder(model).build()), "no vocabulary"));
    CHECK(has(refusal(support::vocabulary_builder("bert").build()), "got bert"));
    CHECK(has(refusal(support::byte_pieces("brand-new").build()), "got brand-new"));
    CHECK(has(refusal(support::vocabulary_builder("llama").build()), "1 to 2147483647 tokens, got 0"));

    const auto refused_with = [](const char* key, metadata_value value) {
        metadata keys = support::sentence_pieces().build();
        keys.set(std::string("tokenizer.ggml.") + key, std::move(value));
        return refusal(keys);
    };
    CHECK(has(refused_with("scores", std::vector<float>(5)), "wanted 259 values"));
    CHECK(has(refused_with("scores", std::vector<std::int32_t>(5)), "wanted 259 values"));
    CHECK(has(refused_with("scores", std::string("high")), "got string"));
    CHECK(has(refused_with("scores", std::vector<float>(259, std::nanf(""))), "got NaN for token 0"));
    CHECK(has(refused_with("token_type", std::vector<std::int32_t>(258, 1)), "wanted 259 values"));
    CHECK(has(refused_with("token_type", std::vector<std::int32_t>(259, 7)), "wanted 0 to 6"));
    CHECK(has(refused_with("token_type", std::vector<std::int32_t>(259, 6)), "byte token 0"));
    CHECK(has(refused_with("bos_token_id", std::uint32_t{259}), "bos_token_id"));
    CHECK(has(refused_with("eos_token_id", std::int32_t{-1}), "eos_token_id"));
    CHECK(has(refused_with("tokens", std::vector<std::string>{"a", "b", "a"}), "got a as 0 and 2"));
    CHECK(has(refused_with("tokens", std::vector<float>{1.0f}), "array of float32"));

    for (const char* merge : {"ab", "a", "", "a ", " b"}) {
        metadata keys = support::byte_pieces("gpt-2").build();
        keys.set("tokenizer.ggml.merges", std::vector<std::string>{"a b", merge});
        CHECK_MESSAGE(has(refusal(keys), "as number 1"), merge);
    }
    metadata unmerged = support::byte_pieces("gpt-2").build();
    unmerged.erase("tokenizer.ggml.merges");
    CHECK(has(refusal(unmerged), "tokenizer.ggml.merges"));
    auto nameless = support::byte_pieces("tekken");  // adds BOS by default
    CHECK(has(refusal(nameless.build()), "bos_token_id"));

    auto few = support::vocabulary_builder("llama");
    for (const char* text : {"a", "b", "▁"}) few.add(text);
    const tokenizer t(few.build());
    CHECK(t.encode("ab", {.add_special = false}) == ids{2, 0, 1});
    CHECK(has(support::message_of<error>([&] { (void)t.encode("c"); }), "no token for the byte 99"));
    CHECK(has(support::message_of<error>([&] { (void)t.decode(ids{3}); }), "wanted a token of 0 to 2, got 3"));
    CHECK_THROWS_AS((void)t.piece(-1), error);
}

TEST_CASE("a tokenizer can be moved") {
    auto vocabulary = support::byte_pieces("gpt-2");
    const token_id mark = vocabulary.add("<m>", token_type::user_defined);
    tokenizer first(vocabulary.build());
    const tokenizer second = std::move(first);
    CHECK(second.encode("<m>a") == ids{mark, *second.find("a")});
}

TEST_CASE("windows are disjoint, whole, and start with BOS") {
    auto vocabulary = support::sentence_pieces();
    const tokenizer t(vocabulary.build());
    const std::string text(30, 'x');  // with BOS and the space in front (three bytes): 34 tokens
    REQUIRE(t.encode(text).size() == 34);
    const auto windows = text::cut_windows(t, text, {.length = 8});
    CHECK(windows.size() == 4);
    CHECK(windows.length() == 8);
    const ids all = t.encode(text);
    for (std::size_t i = 0; i < windows.size(); ++i) {
        CHECK(windows.window(i).front() == 1);
        for (std::size_t j = 1; j < 8; ++j) CHECK(windows.window(i)[j] == all[i * 8 + j]);
    }
    CHECK(windows.tokens().size() == 32);
    CHECK(text::cut_windows(t, text, {.length = 8, .limit = 3}).size() == 3);
    CHECK(text::cut_windows(t, text, {.length = 8, .limit = 9}).size() == 4);
    CHECK(text::cut_windows(t, "</s></s></s>", {.length = 3}).size() > 1);  // spelled out, not parsed

    auto without_bos = support::sentence_pieces();
    without_bos.set("add_bos_token", false);
    const tokenizer plain(without_bos.build());
    const auto kept = text::cut_windows(plain, text, {.length = 8});
    CHECK(kept.window(1).front() == first_byte + 'x');

    const auto message = [&](const tokenizer& tokens, std::size_t length) {
        return support::message_of<error>([&] { (void)text::cut_windows(tokens, text, {.length = length}); });
    };
    CHECK(has(message(t, 35), "at least 35 tokens, got 34"));
    CHECK(has(message(t, 2), "at least 3 tokens, got 2"));
    CHECK(has(message(t, 0), "at least 3 tokens, got 0"));
    auto with_eos = support::sentence_pieces();
    with_eos.set("add_eos_token", true);
    CHECK(has(message(tokenizer(with_eos.build()), 8), "end-of-text"));
    CHECK_THROWS_AS(token_windows(ids(10), 4), error);
    CHECK_THROWS_AS(token_windows(ids(), 4), error);
}
