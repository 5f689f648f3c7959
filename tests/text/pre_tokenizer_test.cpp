#include <array>
#include <cstddef>
#include <cstdint>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "support/support.hpp"
#include "tessera/text/automaton.hpp"
#include "tessera/text/digit_groups.hpp"
#include "tessera/text/nearest_names.hpp"
#include "tessera/text/normalization.hpp"
#include "tessera/text/pre_tokenizer.hpp"
#include "tessera/text/pre_tokenizer_rules.hpp"
#include "text/pcre2_splitter.hpp"
#include "text/vocabularies.hpp"

using namespace tessera;
using list = std::vector<std::string>;

namespace {

list pieces(const text::pre_tokenizer& cut, std::string_view text) {
    list out;
    cut.split(text, [&](std::string_view piece) { out.emplace_back(piece); });
    return out;
}

list pieces(std::string_view name, std::string_view text) {
    return pieces(text::pre_tokenizer(text::find_pre_tokenizer(name).patterns), text);
}

// Calls visit(rules) once for every list of patterns.
template <class Visit>
void for_each_patterns(const Visit& visit) {
    std::set<const void*> seen;
    for (const text::pre_tokenizer_rules& rules : text::pre_tokenizers)
        if (seen.insert(rules.patterns.data()).second) visit(rules);
}

}  // namespace

TEST_CASE("pre-tokenizers cut text as the regular expressions of their models do") {
    CHECK(pieces("gpt-2", "It's  2024!\n\n ok") == list{"It", "'s", " ", " 2024", "!", "\n\n", " ok"});
    CHECK(pieces("llama-bpe", "IT'S 12345 a\n\nb") == list{"IT", "'S", " ", "123", "45", " a", "\n\n", "b"});
    CHECK(pieces("qwen2", "a 12") == list{"a", " ", "1", "2"});
    CHECK(pieces("smollm", "a 12 b") == list{"a", " ", "1", "2", " b"});
    CHECK(pieces("default", "x=12345, y") == list{"x", "=", "123", "45", ",", " y"});
    CHECK(pieces("falcon", "a`b 1234") == list{"a", "`", "b", " ", "123", "4"});
    CHECK(pieces("deepseek-v3", "日本x1234.ab") == list{"日本", "x", "123", "4", ".ab"});
    CHECK(pieces("deepseek-coder", "a b\n12") == list{"a", " b", "\n", "1", "2"});
    CHECK(pieces("deepseek-llm", "Aé  Яω,.\n12 世  ") == list{"A", "é", " ", " Яω", ",.", "\n", "12", " ", "世", "  "});
    CHECK(pieces("deepseek-llm", "Աա bա。") == list{"Ա", "ա", " b", "ա", "。"});  // it lists few Armenian letters
    CHECK(pieces("tekken", "helloWorld HTTP") == list{"hello", "World", " HTTP"});
    CHECK(pieces("gpt-4o", "aB'll 1234") == list{"a", "B'll", " ", "123", "4"});
    CHECK(pieces("bailingmoe", "I'M\r\n") == list{"I", "'M", "\r\n"});
    CHECK(pieces("qwen35", "a\u0301b") == list{"a\u0301b"});
    CHECK(pieces("llama-bpe", "a\u180eb\u3000c") ==
          list{"a", "\u180eb", "\u3000c"});  // U+180E is no space since Unicode 6.3
    CHECK(pieces("llama-bpe", "") == list{});
    CHECK(pieces("kimi-k2", "hi世界 wOrd'll 1234") == list{"hi", "世界", " w", "Ord'll", " ", "123", "4"});
    CHECK(pieces("kimi-k2", "々a〇⼀b") == list{"々", "a", "〇⼀", "b"});
    CHECK(pieces("seed-coder", "a!!\n12") == list{"a", "!!", "\n", "1", "2"});
    CHECK(pieces("superbpe", "by the way 1234567 x½") == list{"by the way ", "1", "234", "567", " x", "½"});
    CHECK(pieces("afmoe", "x1234567。世界ไทย ok") == list{"x", "1", "234", "567", "。", "世界", "ไทย", " ok"});
    CHECK(pieces("tiny_aya", "1234567 12345x") == list{"1", "234", "567", " ", "123", "45", "x"});
    for (const char* name : {"bloom", "poro-chat", "gpt3-finnish"})
        CHECK(pieces(name, "One, two (3) 12.") == list{"One", ",", " two", " (", "3", ")", " 12", "."});
    CHECK(pieces("viking", "a 12, b") == list{"a", " ", "1", "2", ",", " b"});
    CHECK(pieces("chameleon", "<sentinel:12>IMGIMGABZ\ta  b!?1") ==
          list{"<", "sentinel", ":", "1", "2", ">", "IMGIMGABZ", "\t", "a", "  ", "b", "!", "?", "1"});
    CHECK(pieces("exaone-moe", "a b c12 d") == list{"a b c", "1", "2", " d"});
    CHECK(pieces("youtu", "Hello'll世界！？12") == list{"Hello'll", "世界", "！", "？", "1", "2"});
    for (const char* name : {"jina-v2-code", "roberta-bpe"})
        CHECK(pieces(name, "It's  2024") == list{"It", "'s", " ", " 2024"});
}

TEST_CASE("pre-tokenizers take time linear in runs of one character") {
    for_each_patterns([](const text::pre_tokenizer_rules& rules) {
        const text::pre_tokenizer cut(rules.patterns);
        for (const char* unit : {"a", "A", "1", "!", " ", "\n", " \n", "世", "\u0301"}) {
            std::string text;
            while (text.size() < 100'000) text += unit;
            text += 'x';
            std::size_t total = 0;
            cut.split(text, [&](std::string_view piece) { total += piece.size(); });
            CHECK(total == text.size());
        }
    });
}

TEST_CASE("pre-tokenizers cut random text where PCRE2 cuts it") {
    const list characters{
        "a",      "s",          "S",  "t",  "e",  "R",  "l",      "'",  "'",  " ",      " ",      " ",      "\n",
        "\r",     "\t",         "0",  "7",  "½",  "٣",  ".",      "-",  "/",  "`",      "$",      "~",      "_",
        "é",      "Ω",          "я",  "ǅ",  "ʰ",  "世", "の",     "ア", "한", "\u0301", "क",      "\u093f", "\u00a0",
        "\u3000", "\u180e",     "。", "…",  "€",  "👩", "\u200d", "𝐀",  "𐐷",  "Ա",      "\u2028", "\u0085", "\v",
        "Ⅷ",      "\U000e0001", "々", "〇", "⼀", "！", "，",     "ㄅ", "ก",  "ກ",      "က",      "ᄀ",     "𠀀",
        "‿",      "(",          "|",  "1",  "2",  "3",  "4",      "5",  "6",  "8",      "9",      "１",     "۳"};
    std::mt19937 random(3);
    for_each_patterns([&](const text::pre_tokenizer_rules& rules) {
        const text::pre_tokenizer cut(rules.patterns);
        const support::pcre2_splitter other(rules.patterns);
        int failures = 0;
        for (int i = 0; i < 2000; ++i) {
            const std::string text = support::random_text(random, characters, random() % 30);
            const list got = pieces(cut, text);
            if (got != other.pieces(text) && ++failures <= 3)
                CHECK_MESSAGE(got == other.pieces(text), rules.name, ": ", text);
        }
        CHECK(failures == 0);
    });
}

TEST_CASE("digits are grouped where PCRE2 groups them") {
    const list characters{"0", "1", "2", "3", "4", "5", "6", "7",      "8",
                          "9", "٣", "½", "x", " ", "_", ".", "\u0301", "‿"};
    std::mt19937 random(4);
    for (const std::string_view pattern :
         {text::digit_groups::apart, text::digit_groups::apart_from_words, text::digit_groups::between}) {
        const text::pre_tokenizer cut({&pattern, 1});
        const support::pcre2_splitter other({&pattern, 1});
        int failures = 0;
        for (int i = 0; i < 3000; ++i) {
            const std::string text = support::random_text(random, characters, random() % 20);
            const list got = pieces(cut, text);
            if (got != other.pieces(text) && ++failures <= 3)
                CHECK_MESSAGE(got == other.pieces(text), pattern, ": ", text);
        }
        CHECK(failures == 0);
    }
}

TEST_CASE("automata choose the match that Perl chooses, not the longest one") {
    const auto match = [](std::string_view pattern, std::string_view text) {
        return text::automaton(pattern).match(text);
    };
    CHECK(match("a|ab", "ab") == 1);
    CHECK(match("(?:a|ab)(?:c|bcd)", "abcd") == 4);
    CHECK(match("(?:a|ab)(?:c|bcd)?", "abc") == 1);
    CHECK(match("a{1,3}", "aaaa") == 3);
    CHECK(match("[^b-d]+", "aebx") == 2);
    CHECK(match("\\s+(?!\\S)|x", "  a") == 1);
    CHECK(match("\\s+(?!\\S)|x", "  ") == 2);
    CHECK(match("\\p{Lu}\\p{Ll}*", "Éa") == 3);
    CHECK(match("[\\x{10000}-\\x{10ffff}]", "\U0010ffff") == 4);
    CHECK(match("a", "b") == 0);
    CHECK(match("a", "") == 0);
    for (const char* malformed :
         {"a*",    "(?:a|b*)", "(?:a*)+b", "(a)",  "(?:a",        "a)", "[a",  "[b-a]", "a**", "+",     "\\p{Xx}",
          "\\p{L", "\\d",      "a{3}",     "a{1,", "\\x{110000}", "é",  "a\\", "^a",    "a$",  "(?=a)b"})
        CHECK_MESSAGE(support::message_of<error>([&] { text::automaton{malformed}; }).find("malformed pattern") !=
                          std::string::npos,
                      malformed);
}

TEST_CASE("automata are built at the first use and shared among users of the same pattern") {
    const auto automaton = text::shared_automaton("a+");
    CHECK(text::shared_automaton("a+") == automaton);
    CHECK(text::shared_automaton("a") != automaton);

    constexpr std::array<std::string_view, 2> patterns{"a+", "b{"};
    const text::pre_tokenizer lazy(patterns);
    lazy.split("", [](std::string_view) {});
    for (int attempt = 0; attempt < 2; ++attempt) CHECK_THROWS_AS(lazy.split("a", [](std::string_view) {}), error);
    CHECK(automaton.use_count() == 1);  // what was made in vain is gone
}

TEST_CASE("canonical composition (NFC)") {
    CHECK(text::composed("") == "");
    CHECK(text::composed("plain é") == "plain é");
    CHECK(text::composed("cafe\u0301s e") == "caf\u00e9s e");
    CHECK(text::composed("\u0301e") == "\u0301e");
    CHECK(text::composed("a\u0323\u0302") == text::composed("a\u0302\u0323"));
    CHECK(text::composed("\u1112\u1161\u11ab!\u212b") == "\ud55c!\u00c5");
    CHECK(text::composed("ﬁ") == "ﬁ");  // compatibility forms stay
}

TEST_CASE("unknown names: the nearest known ones are suggested") {
    CHECK(text::edit_distance("", "abc") == 3);
    CHECK(text::edit_distance("kitten", "sitting") == 3);
    CHECK(text::edit_distance("same", "same") == 0);
    CHECK(text::nearest_names("lama-bpe", {"gpt-2", "llama-bpe", "qwen2", "tekken"}).starts_with("llama-bpe, "));
    CHECK(text::nearest_names("x", {}) == "");
    const std::string refusal = support::message_of<error>([] { (void)text::find_pre_tokenizer("qwen3"); });
    CHECK(refusal.find("got qwen3; the nearest are qwen2, qwen35, ") != std::string::npos);
}
