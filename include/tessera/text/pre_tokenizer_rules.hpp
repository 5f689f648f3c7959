// The pre-tokenizers of byte-level vocabularies by the names that GGUF files give them.
#pragma once

#include <algorithm>
#include <array>
#include <span>
#include <string_view>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/text/digit_groups.hpp"
#include "tessera/text/nearest_names.hpp"
#include "tessera/text/normalization.hpp"

namespace tessera::text {

/// What a pre-tokenizer's name stands for.
struct pre_tokenizer_rules {
    std::string_view name;                       ///< value of `tokenizer.ggml.pre`
    std::span<const std::string_view> patterns;  ///< regular expressions, each applied inside the pieces of the last
    bool ignore_merges = false;                  ///< a piece that is a token is that token, whatever the merges say
    bool adds_bos = false;                       ///< default of `tokenizer.ggml.add_bos_token`
    normalization form = normalization::none;    ///< what the model was trained on
};

namespace detail {

using pattern_list = std::span<const std::string_view>;

// In all of these, contractions in any case are spelled out: caseless matching would also take U+017F for an s.
inline constexpr std::string_view gpt2_pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S))";

inline constexpr std::array<std::string_view, 1> llama3_patterns{
    R"('[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
    R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"};

inline constexpr std::array<std::string_view, 1> qwen2_patterns{
    R"('[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
    R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"};

inline constexpr std::array<std::string_view, 1> qwen35_patterns{
    R"('[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
    R"(|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"};

inline constexpr std::array<std::string_view, 1> gpt2_patterns{gpt2_pattern};

inline constexpr std::array<std::string_view, 2> smollm_patterns{R"(\p{N})", gpt2_pattern};

inline constexpr std::array<std::string_view, 4> default_patterns{R"([\p{P}\$\+<=>\^~\|]+)", gpt2_pattern, R"(\p{N}+)",
                                                                  R"([0-9][0-9][0-9])"};

inline constexpr std::array<std::string_view, 3> falcon_patterns{R"([\p{P}\$\+<=>\^~\|`]+)", gpt2_pattern,
                                                                 R"([0-9][0-9][0-9])"};

inline constexpr std::array<std::string_view, 5> deepseek_coder_patterns{
    R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)", R"([\x{4e00}-\x{9fa5}\x{800}-\x{4e00}\x{ac00}-\x{d7ff}]+)",
    R"(\p{N})"};

// White space and letters that have case, of most alphabets: those that the tokenizers of DeepSeek LLM and V2 list.
inline constexpr std::string_view cased_letters =
    R"(\s?[)"
    R"(A-Za-z\x{b5}\x{c0}-\x{d6}\x{d8}-\x{f6}\x{f8}-\x{1ba}\x{1bc}-\x{1bf}\x{1c4}-\x{293}\x{295}-\x{2af})"
    R"(\x{370}-\x{373}\x{376}\x{377}\x{37b}-\x{37d}\x{37f}\x{386}\x{388}-\x{38a}\x{38c}\x{38e}-\x{3a1})"
    R"(\x{3a3}-\x{3f5}\x{3f7}-\x{481}\x{48a}-\x{52f}\x{531}-\x{556}\x{10a0}-\x{10c5}\x{13a0}-\x{13f5})"
    R"(\x{13f8}-\x{13fd}\x{1c90}-\x{1cba}\x{1cbd}-\x{1cbf}\x{1d00}-\x{1d2b}\x{1d6b}-\x{1d77}\x{1d79}-\x{1d9a})"
    R"(\x{1e00}-\x{1f15}\x{1f18}-\x{1f1d}\x{1f20}-\x{1f45}\x{1f48}-\x{1f4d}\x{1f50}-\x{1f57}\x{1f59}\x{1f5b})"
    R"(\x{1f5d}\x{1f5f}-\x{1f7d}\x{1f80}-\x{1fb4}\x{1fb6}-\x{1fbc}\x{1fbe}\x{1fc2}-\x{1fc4}\x{1fc6}-\x{1fcc})"
    R"(\x{1fd0}-\x{1fd3}\x{1fd6}-\x{1fdb}\x{1fe0}-\x{1fec}\x{1ff2}-\x{1ff4}\x{1ff6}-\x{1ffc}\x{2102}\x{2107})"
    R"(\x{210a}-\x{2113}\x{2115}\x{2119}-\x{211d}\x{2124}\x{2126}\x{2128}\x{212a}-\x{212d}\x{212f}-\x{2134}\x{2139})"
    R"(\x{213c}-\x{213f}\x{2145}-\x{2149}\x{214e}\x{2183}\x{2184}\x{2c00}-\x{2c7b}\x{2c7e}-\x{2ce4})"
    R"(\x{2ceb}-\x{2cee}\x{2cf2}\x{2cf3}\x{a640}-\x{a66d}\x{a680}-\x{a69b}\x{a722}-\x{a76f}\x{a771}-\x{a787})"
    R"(\x{a78b}-\x{a78e}\x{ab70}-\x{abbf}\x{fb00}-\x{fb06}\x{fb13}-\x{fb17}\x{ff21}-\x{ff3a}\x{ff41}-\x{ff5a})"
    R"(\x{10400}-\x{1044f}\x{104b0}-\x{104d3}\x{104d8}-\x{104fb}\x{10c80}-\x{10cb2}\x{10cc0}-\x{10cf2})"
    R"(\x{118a0}-\x{118df}\x{1e900}-\x{1e943})"
    R"(]+)";

inline constexpr std::array<std::string_view, 6> deepseek_llm_patterns{
    R"([\r\n])",
    cased_letters,
    R"(\s?[!-/:-~\x{ff01}-\x{ff0f}\x{ff1a}-\x{ff5e}\x{2018}-\x{201f}\x{3000}-\x{3002}]+)",
    R"((?:\s|\S)*\S|\s+)",  // cuts where \s+$ does
    R"([\x{4e00}-\x{9fa5}\x{800}-\x{4e00}\x{ac00}-\x{d7ff}]+)",
    R"(\p{N}+)"};

inline constexpr std::array<std::string_view, 3> deepseek3_patterns{
    R"(\p{N}{1,3})", R"([\x{4e00}-\x{9fa5}\x{3040}-\x{309f}\x{30a0}-\x{30ff}]+)",
    R"([!-/:-@\[-`{-~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+)"
    R"(| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"};

inline constexpr std::array<std::string_view, 1> tekken_patterns{
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
    R"(|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)"};

inline constexpr std::array<std::string_view, 1> gpt4o_patterns{
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
    R"((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
    R"((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?)"
    R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)"};

inline constexpr std::array<std::string_view, 2> tiny_aya_patterns{digit_groups::apart_from_words, gpt4o_patterns[0]};

inline constexpr std::array<std::string_view, 2> youtu_patterns{
    R"([\x{ac00}-\x{d7a3}\x{3131}-\x{318e}]+)"
    R"(|[\x{ff01}\x{2026}\x{201c}\x{201d}\x{2018}\x{2019}\x{2014}\x{ff1a}\x{ff1b}\x{ff0c}\x{3001}-\x{303f}\x{fe30}-\x{fe4f}]+)"
    R"(|[\x{3105}-\x{312f}]+|[\x{4e00}-\x{9fa5}\x{3040}-\x{309f}\x{30a0}-\x{30ff}]+)",
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
    R"((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
    R"((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?)"
    R"(|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)"};

// Chinese characters stand apart from all other letters.
inline constexpr std::array<std::string_view, 1> kimi_patterns{
    R"(\p{Han}+)"
    R"(|[^\r\n\p{L}\p{N}]?(?:(?!\p{Han})[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}])*(?:(?!\p{Han})[\p{Ll}\p{Lm}\p{Lo}\p{M}])+)"
    R"((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?)"
    R"(|[^\r\n\p{L}\p{N}]?(?:(?!\p{Han})[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}])+(?:(?!\p{Han})[\p{Ll}\p{Lm}\p{Lo}\p{M}])*)"
    R"((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?)"
    R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"};

inline constexpr std::array<std::string_view, 1> seed_coder_patterns{
    R"('[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
    R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+)"};

inline constexpr std::array<std::string_view, 1> exaone_moe_patterns{
    R"('[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
    R"(|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+)"};

// Words may be longer than what blanks enclose.
inline constexpr std::array<std::string_view, 2> superbpe_patterns{R"(\p{N}+)", digit_groups::between};

inline constexpr std::array<std::string_view, 3> afmoe_patterns{
    digit_groups::apart,
    R"([\x{4e00}-\x{9fff}\x{3040}-\x{309f}\x{30a0}-\x{30ff}\x{3400}-\x{4dbf}\x{f900}-\x{faff}\x{ff65}-\x{ff9f}\x{2f00}-\x{2fdf}]+)"
    R"(|[\x{e00}-\x{e7f}]+|[\x{e80}-\x{eff}]+|[\x{1780}-\x{17ff}]+|[\x{1000}-\x{109f}\x{aa60}-\x{aa7f}\x{a9e0}-\x{a9ff}]+)"
    R"(|[\x{ac00}-\x{d7af}\x{1100}-\x{11ff}]+)",
    deepseek3_patterns[2]};

inline constexpr std::array<std::string_view, 1> bloom_patterns{
    R"( ?[^(\s|.,!?\x{2026}\x{3002}\x{ff0c}\x{3001}\x{964}\x{6d4}\x{60c})]+)"};

inline constexpr std::array<std::string_view, 2> viking_patterns{bloom_patterns[0], R"(\p{N})"};

inline constexpr std::array<std::string_view, 6> chameleon_patterns{R"(<sentinel:[0-9]+>)",    R"(IMGIMG[A-I]{1,4}Z)",
                                                                    R"([\x{9}\n]|    |  )",    R"(\p{N})",
                                                                    R"([\p{P}!-/:-@\[-`{-~])", gpt2_pattern};

inline constexpr std::array<std::string_view, 1> bailingmoe_patterns{
    R"('(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N})"
    R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)"};

inline constexpr pre_tokenizer_rules llama3(std::string_view name) {
    return {.name = name, .patterns = llama3_patterns, .ignore_merges = true, .adds_bos = true};
}
inline constexpr pre_tokenizer_rules composed(std::string_view name, pattern_list patterns) {
    return {.name = name, .patterns = patterns, .form = normalization::nfc};
}
inline constexpr pre_tokenizer_rules plain(std::string_view name, pattern_list patterns) {
    return {.name = name, .patterns = patterns};
}

}  // namespace detail

/// Every pre-tokenizer known here. The patterns are those the models were trained with.
inline constexpr std::array pre_tokenizers{
    detail::llama3("llama-bpe"),
    detail::llama3("llama3"),
    detail::llama3("llama-v3"),
    detail::llama3("falcon3"),
    detail::llama3("falcon-h1"),
    detail::llama3("pixtral"),
    detail::llama3("midm-2.0"),
    detail::llama3("lfm2"),
    detail::llama3("jina-v5-nano"),
    detail::plain("smaug-bpe", detail::llama3_patterns),
    detail::plain("dbrx", detail::llama3_patterns),
    detail::plain("glm4", detail::llama3_patterns),
    detail::plain("chatglm-bpe", detail::llama3_patterns),
    detail::composed("qwen2", detail::qwen2_patterns),
    detail::plain("deepseek-r1-qwen", detail::qwen2_patterns),
    detail::plain("kormo", detail::qwen2_patterns),
    detail::plain("f2llmv2", detail::qwen2_patterns),
    detail::plain("hunyuan", detail::qwen2_patterns),
    detail::plain("solar-open", detail::qwen2_patterns),
    detail::plain("grok-2", detail::qwen2_patterns),
    detail::plain("megrez", detail::qwen2_patterns),
    detail::plain("stablelm2", detail::qwen2_patterns),
    detail::composed("qwen35", detail::qwen35_patterns),
    detail::plain("gpt-2", detail::gpt2_patterns),
    detail::plain("phi-2", detail::gpt2_patterns),
    detail::composed("mpt", detail::gpt2_patterns),
    detail::composed("olmo", detail::gpt2_patterns),
    detail::plain("jais", detail::gpt2_patterns),
    detail::plain("modern-bert", detail::gpt2_patterns),
    detail::plain("exaone4", detail::gpt2_patterns),
    detail::plain("gigachat", detail::gpt2_patterns),
    detail::plain("a.x-4.0", detail::gpt2_patterns),
    detail::plain("mellum", detail::gpt2_patterns),
    detail::plain("trillion", detail::gpt2_patterns),
    detail::plain("granite-docling", detail::gpt2_patterns),
    detail::plain("roberta-bpe", detail::gpt2_patterns),
    detail::plain("jina-v1-en", detail::gpt2_patterns),
    detail::plain("jina-v2-code", detail::gpt2_patterns),
    detail::plain("jina-v2-es", detail::gpt2_patterns),
    detail::plain("jina-v2-de", detail::gpt2_patterns),
    detail::plain("smollm", detail::smollm_patterns),
    detail::composed("command-r", detail::smollm_patterns),
    detail::plain("starcoder", detail::smollm_patterns),
    detail::plain("refact", detail::smollm_patterns),
    detail::plain("codeshell", detail::smollm_patterns),
    detail::plain("exaone", detail::smollm_patterns),
    detail::plain("minerva-7b", detail::smollm_patterns),
    detail::plain("mellum2", detail::smollm_patterns),
    detail::plain("deepseek-llm", detail::deepseek_llm_patterns),
    detail::plain("deepseek-coder", detail::deepseek_coder_patterns),
    detail::plain("deepseek-v3", detail::deepseek3_patterns),
    detail::plain("hunyuan-dense", detail::deepseek3_patterns),
    detail::plain("joyai-llm", detail::deepseek3_patterns),
    pre_tokenizer_rules{.name = "tekken", .patterns = detail::tekken_patterns, .ignore_merges = true, .adds_bos = true},
    detail::plain("gpt-4o", detail::gpt4o_patterns),
    detail::plain("llama4", detail::gpt4o_patterns),
    detail::plain("kanana2", detail::gpt4o_patterns),
    detail::plain("talkie", detail::gpt4o_patterns),
    detail::plain("minimax-m2", detail::gpt4o_patterns),
    detail::plain("tiny_aya", detail::tiny_aya_patterns),
    detail::plain("cohere2moe", detail::tiny_aya_patterns),
    pre_tokenizer_rules{.name = "youtu", .patterns = detail::youtu_patterns, .ignore_merges = true},
    detail::plain("kimi-k2", detail::kimi_patterns),
    detail::plain("seed-coder", detail::seed_coder_patterns),
    detail::plain("exaone-moe", detail::exaone_moe_patterns),
    detail::plain("superbpe", detail::superbpe_patterns),
    detail::plain("afmoe", detail::afmoe_patterns),
    detail::plain("bloom", detail::bloom_patterns),
    detail::plain("poro-chat", detail::bloom_patterns),
    detail::plain("gpt3-finnish", detail::bloom_patterns),
    detail::plain("viking", detail::viking_patterns),
    pre_tokenizer_rules{.name = "chameleon", .patterns = detail::chameleon_patterns, .adds_bos = true},
    detail::plain("bailingmoe", detail::bailingmoe_patterns),
    detail::plain("bailingmoe2", detail::bailingmoe_patterns),
    detail::plain("llada-moe", detail::bailingmoe_patterns),
    detail::plain("falcon", detail::falcon_patterns),
    detail::plain("default", detail::default_patterns),
};

/// The rules of a pre-tokenizer by its name. Throws, naming those whose names are nearest, when nobody here knows it.
[[nodiscard]] inline const pre_tokenizer_rules& find_pre_tokenizer(std::string_view name) {
    const auto found = std::find_if(pre_tokenizers.begin(), pre_tokenizers.end(),
                                    [&](const pre_tokenizer_rules& rules) { return rules.name == name; });
    if (found == pre_tokenizers.end()) {
        std::vector<std::string_view> known;
        for (const pre_tokenizer_rules& rules : pre_tokenizers) known.push_back(rules.name);
        fail("metadata key tokenizer.ggml.pre: wanted a known pre-tokenizer, got ", name, "; the nearest are ",
             nearest_names(name, known));
    }
    return *found;
}

}  // namespace tessera::text
