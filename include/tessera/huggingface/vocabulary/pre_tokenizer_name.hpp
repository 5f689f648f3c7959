// Tells a pre-tokenizer's GGUF name from what tokenizer.json says it does.
#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/core/replaced.hpp"
#include "tessera/core/utf8.hpp"
#include "tessera/huggingface/vocabulary/json.hpp"
#include "tessera/text/nearest_names.hpp"
#include "tessera/text/normalization.hpp"
#include "tessera/text/pre_tokenizer_rules.hpp"

namespace tessera::huggingface {

namespace detail {

// What the byte-level step does to text on its own.
inline constexpr std::string_view byte_level_regex =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

inline constexpr std::string_view bloom_words = R"( ?[^(\s|[.,!?…。，、।۔،])]+)";

// How the list of all letters with case begins. Its end is long, and files differ in how they normalise it.
inline constexpr std::string_view cased_letters = R"(\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯ)";

// How files spell contractions in any case, and how the list below does.
inline constexpr std::string_view spelled_contractions = R"((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]))";
inline constexpr std::string_view contractions = R"((?i:'s|'t|'re|'ve|'m|'ll|'d))";

// With \u4E00 as the character itself.
inline std::string unescaped_code_points(std::string_view regex) {
    std::string out;
    for (std::size_t at = 0; at < regex.size();) {
        std::uint32_t c = 0;
        const std::string_view digits = regex.substr(std::min(at + 2, regex.size())).substr(0, 4);
        const bool is_escape = regex.substr(at).starts_with("\\u") && digits.size() == 4 &&
                               std::from_chars(digits.data(), digits.data() + 4, c, 16).ptr == digits.data() + 4;
        const std::size_t length = is_escape ? 6 : regex[at] == '\\' && at + 1 < regex.size() ? 2 : 1;
        if (is_escape && (c < 0xd800 || c >= 0xe000))
            append_code_point(out, c);
        else
            out.append(regex.substr(at, length));
        at += length;
    }
    return out;
}

// Every step that cuts, as a regular expression, in order.
inline void collect_cuts(const json_value& step, std::vector<std::string>& cuts) {
    const std::string type = step.at("type").string();
    if (type == "Sequence") {
        step.at("pretokenizers").for_each([&](const json_value& part) { collect_cuts(part, cuts); });
    } else if (type == "Split") {
        const json_value pattern = step.at("pattern");
        const std::string behavior = step.string_or("behavior", "Isolated");
        const bool keeps_matches =
            behavior == "Isolated" || (behavior == "Removed" && step.boolean_or("invert", false));
        const auto regex = pattern.find("Regex");
        if (!regex || !keeps_matches) pattern.mismatch("a regular expression whose matches are kept apart");
        // Files differ in whether line ends are escaped once or twice, and other characters at all.
        std::string cut =
            unescaped_code_points(replaced(replaced(replaced(regex->string(), "\r", "\\r"), "\n", "\\n"), "\t", "\\t"));
        cut = replaced(cut, spelled_contractions, contractions);
        // Nor does it matter whether quantifiers are possessive where what follows is of other characters.
        cut = replaced(replaced(cut, "]?+", "]?"), "]++", "]+");
        cuts.emplace_back(cut.starts_with(cased_letters) && cut.ends_with("]+") ? cased_letters : cut);
    } else if (type == "Digits") {
        cuts.emplace_back(step.boolean_or("individual_digits", false) ? R"(\p{N})" : R"(\p{N}+)");
    } else if (type == "Punctuation") {
        cuts.emplace_back("punctuation");
    } else if (type == "ByteLevel") {
        if (step.boolean_or("add_prefix_space", false))
            step.mismatch("a byte-level pre-tokenizer that adds no space in front");
        if (step.boolean_or("use_regex", true)) cuts.emplace_back(byte_level_regex);
    } else {
        step.at("type").mismatch(concat("a known pre-tokenizer instead of ", type));
    }
}

struct named_cuts {
    std::string_view name;
    std::vector<std::string_view> cuts;
};

inline const std::vector<named_cuts>& known_cuts() {
    static const std::vector<named_cuts> known{
        {"llama-bpe",
         {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"}},
        {"qwen2",
         {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"}},
        {"qwen35",
         {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"}},
        {"gpt-2", {byte_level_regex}},
        {"smollm", {R"(\p{N})", byte_level_regex}},
        {"falcon", {"punctuation", byte_level_regex, "[0-9][0-9][0-9]"}},
        {"deepseek-llm",
         {R"([\r\n])", cased_letters, R"(\s?[!-/:-~！-／：-～‘-‟　-。]+)", R"(\s+$)", "[一-龥ࠀ-一가-퟿]+",
          R"(\p{N})"}},
        {"deepseek-llm",
         {R"([\r\n])", cased_letters, R"(\s?[!-/:-~！-／：-～‘-‟　-。]+)", R"(\s+$)", "[一-龥ࠀ-一가-퟿]+",
          R"(\p{N}+)"}},
        {"deepseek-coder", {R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)", "[一-龥ࠀ-一가-퟿]+", R"(\p{N})"}},
        {"deepseek-v3",
         {R"(\p{N}{1,3})", "[一-龥぀-ゟ゠-ヿ]+",
          R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"}},
        {"tekken",
         {R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)"}},
        {"gpt-4o",
         {R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)"}},
        {"tiny_aya",
         {R"(\d{1,3}(?=(?:\d{3})*\b))",
          R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)"}},
        {"youtu",
         {"[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-龥぀-ゟ゠-ヿ]+",
          R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)"}},
        {"kimi-k2",
         {R"([\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"}},
        {"seed-coder",
         {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+)"}},
        {"exaone-moe",
         {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+)"}},
        {"superbpe", {R"(\p{N}+)", R"((?=(\d{3})+(?!\d)))"}},
        // Three steps for the digits: 510 is a multiple of 3, and runs are cut from the right.
        {"afmoe",
         {R"(\p{Nd}{1,510}(?=(?>\p{Nd}{510})*(?:\P{Nd}|$))|\G\p{Nd}{510})", R"(\A\p{Nd}{1,2}(?=\p{Nd}{3}+\z))",
          R"(\A\p{Nd}{3}|\G\p{Nd}{3})",
          "(?:[一-鿿぀-ゟ゠-ヿ㐀-䶿\uf900-\ufaff･-ﾟ⼀-⿟]+|[\u0e00-\u0e7f]+|"
          "[\u0e80-\u0eff]+|[\u1780-\u17ff]+|[\u1000-\u109f\uaa60-\uaa7f\ua9e0-\ua9ff]+|"
          "[가-\ud7af\u1100-\u11ff]+)",
          R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"}},
        {"bloom", {bloom_words}},
        {"viking", {bloom_words, R"(\p{N})"}},
        {"chameleon",
         {"<sentinel:[0-9]+>", "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z", R"(([\t\n]|    |  ))", R"(\p{N})", "punctuation",
          byte_level_regex}},
        {"bailingmoe",
         {R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)"}},
    };
    return known;
}

// The name of the known cuts that these differ from by the fewest characters.
inline std::string_view nearest_cuts(const std::vector<std::string>& cuts) {
    const auto together = [](const auto& list) {
        std::string out;
        for (const auto& cut : list) out += cut;
        return out.substr(0, 2000);
    };
    const std::string wanted = together(cuts);
    const auto distance = [&](const named_cuts& known) { return text::edit_distance(wanted, together(known.cuts)); };
    const auto& known = known_cuts();
    return std::min_element(known.begin(), known.end(),
                            [&](const named_cuts& a, const named_cuts& b) { return distance(a) < distance(b); })
        ->name;
}

}  // namespace detail

/// The name to write as `tokenizer.ggml.pre` for the "pre_tokenizer", "model" and "post_processor" of a tokenizer.json
/// with that normal form. What no name stands for beside the cuts is left out. Throws, showing the regular expressions
/// and the nearest names, when none of the known pre-tokenizers cuts so.
[[nodiscard]] inline std::string pre_tokenizer_name(const json_value& pre_tokenizer, const json_value& model,
                                                    const std::optional<json_value>& post_processor,
                                                    text::normalization form) {
    std::vector<std::string> cuts;
    detail::collect_cuts(pre_tokenizer, cuts);
    const auto& known = detail::known_cuts();
    const auto found = std::find_if(known.begin(), known.end(), [&](const detail::named_cuts& candidate) {
        return std::equal(cuts.begin(), cuts.end(), candidate.cuts.begin(), candidate.cuts.end());
    });
    if (found == known.end()) {
        std::string shown;
        for (const std::string& cut : cuts) shown += concat(shown.empty() ? "" : " then ", cut);
        fail(pre_tokenizer.where(), ": wanted a known pre-tokenizer, got one that cuts at ",
             shown.empty() ? "nothing" : shown, "; the nearest is ", detail::nearest_cuts(cuts));
    }
    // Names tell more than the cuts: whether merges are always obeyed, and the normal form.
    const bool ignores_merges = model.boolean_or("ignore_merges", false);
    const auto agreement = [&](const text::pre_tokenizer_rules& rules) {
        return (rules.ignore_merges == ignores_merges ? 2 : 0) + (rules.form == form ? 1 : 0);
    };
    const text::pre_tokenizer_rules* best = &text::find_pre_tokenizer(found->name);
    for (const text::pre_tokenizer_rules& rules : text::pre_tokenizers)
        if (rules.patterns.data() == best->patterns.data() && agreement(rules) > agreement(*best)) best = &rules;
    const bool is_roberta = post_processor && post_processor->string_or("type", "") == "RobertaProcessing";
    if (is_roberta && best->name == "gpt-2") return "roberta-bpe";
    return std::string(best->name);
}

}  // namespace tessera::huggingface
