// Text: tokenizers and their files, chat templates, conversations.
#include <algorithm>
#include <array>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "fuzz/fuzz.hpp"
#include "tessera/format/plain.hpp"
#include "tessera/format/registry.hpp"
#include "tessera/gguf/header.hpp"
#include "tessera/gguf/layout.hpp"
#include "tessera/huggingface/vocabulary.hpp"
#include "tessera/jinja/from_json.hpp"
#include "tessera/jinja/lint.hpp"
#include "tessera/text.hpp"
#include "text/vocabularies.hpp"

using namespace tessera;
using fuzz::accepted;
using fuzz::require;
using text::token_id;
using text::token_type;

namespace {

// ---------------------------------------------------------------------------------------------------------------------
// What holds for every tokenizer

bool is_ordinary(const text::tokenizer& tokens, token_id id) {
    return tokens.type(id) == token_type::normal || tokens.type(id) == token_type::byte;
}

/// Whether a vocabulary can spell every byte, so that decoding undoes encoding. One of pieces needs the visible space,
/// too: spelled in bytes, the one that goes before a text is no space that decoding would take away.
bool is_complete(const text::tokenizer& tokens, bool is_byte_level) {
    if (!is_byte_level) {
        const auto space = tokens.find(text::visible_space);
        if (!space || tokens.type(*space) != token_type::normal) return false;
    }
    for (unsigned byte = 0; byte < 256; ++byte) {
        std::string spelled;
        if (is_byte_level) {
            text::append_spelled_byte(spelled, static_cast<char>(byte));
        } else {
            constexpr std::string_view digits = "0123456789ABCDEF";
            spelled = {'<', '0', 'x', digits[byte / 16], digits[byte % 16], '>'};
        }
        const auto id = tokens.find(spelled);
        if (!id || tokens.type(*id) != (is_byte_level ? token_type::normal : token_type::byte)) return false;
    }
    return true;
}

/// Encodes a text and decodes it again, in all ways that there are.
void require_round_trip(const text::tokenizer& tokens, bool is_byte_level, std::string_view said,
                        text::workspace* reused = nullptr) {
    const text::encode_options plain{.add_special = false, .parse_special = false, .normalize = false};
    const auto encoded = accepted("", [&] { return tokens.encode(said, plain); });
    const bool spells_all = is_complete(tokens, is_byte_level);
    require(encoded || !spells_all, "a vocabulary with every byte encodes every text");
    for (const text::encode_options options :
         {text::encode_options{}, {.add_special = true, .parse_special = true, .normalize = true}})
        if (const auto others = accepted("", [&] { return tokens.encode(said, options); }))
            static_cast<void>(tokens.decode(*others, {.show_special = true}));
    if (!encoded) return;
    for (const token_id id : *encoded)
        require(id >= 0 && static_cast<std::size_t>(id) < tokens.size(), "tokens are those of the vocabulary");
    if (reused != nullptr) {
        std::vector<token_id> again;
        tokens.encode(said, *reused, again, plain);
        require(again == *encoded, "what was encoded before does not matter");
    }
    const std::string decoded = tokens.decode(*encoded);
    if (spells_all && std::ranges::all_of(*encoded, [&](token_id id) { return is_ordinary(tokens, id); })) {
        // Visible spaces are spaces. In what is no UTF-8, one may lie across characters, and stay visible.
        const auto shown = [](std::string_view text) { return replaced(text, text::visible_space, " "); };
        require(is_byte_level ? decoded == repaired_utf8(said) : shown(decoded) == shown(said),
                "decoding undoes encoding");
        require(!is_utf8(said) || tokens.encode(decoded, plain) == *encoded, "encoding undoes decoding");
    }
}

/// Keeps the automata of a pre-tokenizer, which take longer to make than anything else.
void keep_automata(const text::pre_tokenizer_rules& rules) {
    static std::map<std::string_view, std::shared_ptr<const text::automaton>> all;
    const fuzz::unmetered ours;
    for (const std::string_view pattern : rules.patterns)
        if (std::shared_ptr<const text::automaton>& place = all[pattern]; place == nullptr)
            place = text::shared_automaton(pattern);
}

/// Takes metadata for a tokenizer and tries it on a text.
void try_tokenizer(const metadata& keys, std::string_view said) {
    const auto tokens = accepted("", [&] { return text::tokenizer(keys); });
    if (!tokens) return;
    for (token_id id = 0; static_cast<std::size_t>(id) < tokens->size(); ++id)
        static_cast<void>(tokens->decode(std::span(&id, 1), {.show_special = true}));
    const bool is_byte_level = keys.require<std::string>("tokenizer.ggml.model") == "gpt2";
    if (is_byte_level)
        keep_automata(text::find_pre_tokenizer(keys.get_or<std::string>("tokenizer.ggml.pre", "default")));
    require_round_trip(*tokens, is_byte_level, said);
}

constexpr std::string_view sample_text =
    "It's 2024, isn't it?\n\n  Füße und Ähren: 日本語 \xf0\x9f\x98\x80 <s> <|im_end|>\t\r\n x=1;";

std::string project_file(std::string_view relative) {
    std::ifstream file(fuzz::corpus::project() / relative, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
}

// ---------------------------------------------------------------------------------------------------------------------
// Files of tokenizers

void try_directory(std::string_view said) {
    const auto keys =
        accepted(fuzz::folder().string(), [&] { return huggingface::tokenizer_metadata(fuzz::folder(), 0); });
    if (keys) try_tokenizer(*keys, said);
}

void run_tokenizer_json(std::string_view input) {
    const auto parts = fuzz::parts_of(input, 3);
    fuzz::write_file("tokenizer.json", parts[0]);
    if (parts.size() > 1) fuzz::write_file("tokenizer_config.json", parts[1]);
    try_directory(parts.size() > 2 ? parts[2] : sample_text);
}

std::string byte_level_json(const nlohmann::json& pre_tokenizer,
                            const nlohmann::json& more = nlohmann::json::object()) {
    nlohmann::json vocab, file{{"version", "1.0"}, {"model", {{"type", "BPE"}}}, {"pre_tokenizer", pre_tokenizer}};
    for (int byte = 0; byte < 256; ++byte) {
        std::string spelled;
        text::append_spelled_byte(spelled, static_cast<char>(byte));
        vocab[spelled] = byte;
    }
    vocab["Ġa"] = 256;
    vocab["in"] = 257;
    vocab["Ġain"] = 258;
    file["model"]["vocab"] = vocab;
    file["model"]["merges"] = {"Ġ a", "i n", "Ġa in"};
    file["added_tokens"] = {{{"id", 259}, {"content", "<|im_end|>"}, {"special", true}},
                            {{"id", 260}, {"content", "<tool>"}, {"special", false}}};
    file.update(more);
    return file.dump();
}

void seed_tokenizer_json(fuzz::corpus& seeds) {
    const nlohmann::json byte_level{{"type", "ByteLevel"}, {"add_prefix_space", false}};
    const std::string config = R"({"bos_token":"<|im_end|>","eos_token":{"content":"<|im_end|>"},"add_bos_token":true,
        "chat_template":"{{ messages }}","added_tokens_decoder":{"261":{"content":"<extra>","special":false}}})";
    const std::array<std::string, 3> three{byte_level_json(byte_level), config, std::string(sample_text)};
    seeds.add(fuzz::joined(three));
    seeds.add(byte_level_json(
        {{"type", "Sequence"}, {"pretokenizers", {{{"type", "Digits"}, {"individual_digits", true}}, byte_level}}},
        {{"normalizer", {{"type", "NFC"}}},
         {"post_processor",
          {{"type", "TemplateProcessing"},
           {"single", {{{"SpecialToken", {{"id", "<|im_end|>"}}}}, {{"Sequence", {{"id", "A"}}}}}}}}}));
    const std::array<std::string, 2> fable{project_file("examples/models/fable-3m/tokenizer.json"),
                                           project_file("examples/models/fable-3m/tokenizer_config.json")};
    seeds.add(fuzz::joined(fable));
    seeds.add_shared("cases", "tokenizer.json");
}

void run_tokenizer_model(std::string_view input) {
    const auto parts = fuzz::parts_of(input, 4);
    fuzz::write_file("tokenizer.model", parts[0]);
    if (parts.size() > 1) fuzz::write_file("tokenizer_config.json", parts[1]);
    if (parts.size() > 2) fuzz::write_file("added_tokens.json", parts[2]);
    try_directory(parts.size() > 3 ? parts[3] : sample_text);
}

/// A protocol buffer's field of bytes.
std::string field(unsigned number, std::string_view bytes) {
    std::string out(1, static_cast<char>(number << 3 | 2));
    return (out += static_cast<char>(bytes.size())).append(bytes);
}

void seed_tokenizer_model(fuzz::corpus& seeds) {
    const auto piece = [](std::string_view text, char type) {
        std::string fields = field(1, text);
        fields += std::string("\x15\x00\x00\x80\xbf\x18", 6) + type;  // a score of -1
        return field(1, fields);
    };
    std::string model = piece("<unk>", 2) + piece("<s>", 3) + piece("</s>", 3);
    for (int byte = 0; byte < 256; ++byte) {
        constexpr std::string_view digits = "0123456789ABCDEF";
        const auto b = static_cast<std::size_t>(byte);
        model += piece(std::string{'<', '0', 'x', digits[b / 16], digits[b % 16], '>'}, 6);
    }
    for (const std::string_view text : {"▁", "a", "▁a", "i", "n", "in", "▁ain"}) model += piece(text, 1);
    model += field(2, "\x18\x02") + field(3, std::string("\x18\x01", 2));  // byte-pair encoding, a space in front
    seeds.add(model);
    const std::array<std::string, 4> all{model,
                                         R"({"added_tokens_decoder":{"266":{"content":"<extra>","special":true}}})",
                                         R"({"<more>": 267})", std::string(sample_text)};
    seeds.add(fuzz::joined(all));
    seeds.add(project_file("examples/models/fable-3m/tokenizer.model"));
    seeds.add_shared("cases", ".cut1116");
}

// ---------------------------------------------------------------------------------------------------------------------
// Tokenizers from metadata, and over fixed vocabularies

void run_vocabulary(std::string_view input) {
    const std::span bytes = std::as_bytes(std::span(input));
    const auto file = accepted("file", [&] { return gguf::parse_header<format_list<f32>>(bytes, "file"); });
    if (!file) return;
    try_tokenizer(file->properties, sample_text);
    if (text::chat_templates::are_in(file->properties))
        static_cast<void>(accepted("", [&] { return text::chat_tokens_of(file->properties); }));
}

std::string header_bytes(const metadata& properties) {
    const auto bytes = gguf::plan_files({}, properties, 0).front().header();
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

support::vocabulary_builder pieces_of(std::string model) {
    support::vocabulary_builder pieces = support::sentence_pieces(std::move(model));
    float score = -1.0f;
    for (const char* text : {"▁", "a", "▁a", "i", "n", "in", "▁ain", "é", "日", "aa", "aaaa", "▁▁", "▁▁▁▁", "a▁"})
        pieces.add(text, token_type::normal, score -= 1.0f);
    pieces.add_merge("▁", "a");
    pieces.add_merge("i", "n");
    pieces.add_merge("a", "a");
    pieces.add("<|im_end|>", token_type::control);
    pieces.add("<tool>", token_type::user_defined);
    pieces.set("bos_token_id", std::uint32_t{1});
    return pieces;
}

support::vocabulary_builder bytes_of(std::string_view pre) {
    support::vocabulary_builder bytes = support::byte_pieces(std::string(pre));
    for (const char* text : {"Ġa", "in", "Ġain", "aa", "aaaa", "ĠĠ", "ĠĠĠĠ", "'s", "Ã©", "<|im_end|>"}) bytes.add(text);
    bytes.add("<s>", token_type::control);
    bytes.add("<tool>", token_type::user_defined);
    for (const auto& [left, right] : {std::pair("Ġ", "a"),
                                      {"i", "n"},
                                      {"Ġa", "in"},
                                      {"a", "a"},
                                      {"aa", "aa"},
                                      {"Ġ", "Ġ"},
                                      {"ĠĠ", "ĠĠ"},
                                      {"'", "s"},
                                      {"Ã", "©"},
                                      {"x", "y"}})
        bytes.add_merge(left, right);
    bytes.set("add_bos_token", false);
    return bytes;
}

void seed_vocabulary(fuzz::corpus& seeds) {
    for (const char* model : {"llama", "gemma4"}) seeds.add(header_bytes(pieces_of(model).build()));
    for (const char* pre : {"llama-bpe", "qwen2", "default", "deepseek-v3"})
        seeds.add(header_bytes(bytes_of(pre).build()));
}

/// A vocabulary that is kept for all inputs, with what was encoded before.
struct kept_tokenizer {
    text::tokenizer tokens;
    text::workspace work{};
};

constexpr std::size_t llama_pieces = 254, gemma_pieces = 255;  // others are numbers of pre-tokenizers
static_assert(text::pre_tokenizers.size() < llama_pieces);

kept_tokenizer& kept(std::size_t number) {
    static std::map<std::size_t, std::unique_ptr<kept_tokenizer>> all;
    std::unique_ptr<kept_tokenizer>& place = all[number];
    if (place == nullptr) {
        const fuzz::unmetered ours;
        const metadata keys = number == llama_pieces   ? pieces_of("llama").build()
                              : number == gemma_pieces ? pieces_of("gemma4").build()
                                                       : bytes_of(text::pre_tokenizers[number].name).build();
        place = std::make_unique<kept_tokenizer>(kept_tokenizer{text::tokenizer(keys)});
        static_cast<void>(place->tokens.encode("made when first used"));
    }
    return *place;
}

void run_encode(std::string_view input) {
    if (input.empty()) return;
    const auto first = static_cast<unsigned char>(input[0]);
    const bool is_byte_level = first < llama_pieces;
    kept_tokenizer& chosen = kept(is_byte_level ? first % text::pre_tokenizers.size() : first);
    require_round_trip(chosen.tokens, is_byte_level, input.substr(1), &chosen.work);
}

void seed_encode(fuzz::corpus& seeds) {
    const auto add = [&](std::size_t number) {
        seeds.add(std::string(1, static_cast<char>(number)) + std::string(sample_text));
    };
    for (std::size_t number = 0; number < text::pre_tokenizers.size(); ++number) add(number);
    add(llama_pieces);
    add(gemma_pieces);
}

// ---------------------------------------------------------------------------------------------------------------------
// Templates and conversations

constexpr jinja::limits narrow{.steps = 1 << 15, .output_bytes = 1 << 15, .depth = 200};

constexpr std::string_view usual_variables = R"({"messages":[{"role":"system","content":"Be brief."},
 {"role":"user","content":[{"type":"text","text":"What is 2 + 2?"}]},{"role":"assistant","content":null,
 "tool_calls":[{"id":"call12345","type":"function","function":{"name":"add","arguments":{"a":2,"b":[2,0.5,true,null]}}}]},
 {"role":"tool","content":"4","tool_call_id":"call12345"},{"role":"assistant","content":"<think>sum</think>4"}],
 "tools":[{"type":"function","function":{"name":"add","description":"Adds.","parameters":{"type":"object","properties":
 {"a":{"type":"number"}}}}}],"documents":null,"add_generation_prompt":true,"bos_token":"<s>","eos_token":"</s>"})";

void run_template(std::string_view input) {
    const auto parts = fuzz::parts_of(input, 2);
    const auto parsed = accepted("template", [&] { return jinja::text_template(parts[0], "template"); });
    if (!parsed) return;
    for (const jinja::finding& f : jinja::lint(*parsed))
        require(!f.problem.empty() && f.line > 0 && f.column > 0, "a finding says what and where");
    std::optional<nlohmann::ordered_json> variables;
    if (parts.size() > 1) variables = find_json(parts[1]);
    if (!variables || !variables->is_object()) variables = nlohmann::ordered_json::parse(usual_variables);
    const jinja::render_options options{.now = text::usual_date(), .bounds = narrow};
    const auto rendered = accepted("template", [&] { return jinja::render(*parsed, *variables, options); });
    require(!rendered || rendered->size() <= narrow.output_bytes, "a text stays within the limit");
    require(rendered == accepted("template", [&] { return jinja::render(*parsed, *variables, options); }),
            "rendering changes nothing");
    if (!rendered) return;
    static_cast<void>(text::find_chat_layout([&](const nlohmann::ordered_json& messages) {
        nlohmann::ordered_json shown = *variables;
        shown["messages"] = messages;
        shown["tools"] = text::probe_tools();
        return jinja::render(*parsed, shown, options);
    }));
}

void seed_template(fuzz::corpus& seeds) {
    for (
        const std::string_view source : {
            R"({% for m in messages %}{{ '<|' + m['role'] + '|>\n' + m.content|trim }}{% endfor %})",
            R"({%- macro f(x, y=1, z={}) -%}{{ x ~ y }}{{ z|tojson(indent=2) }}{{ caller() if caller }}{%- endmacro -%}{{ f('a') }}{% call f(2) %}b{% endcall %})",
            R"({% set ns = namespace(n=0, s='') %}{% for i in range(3, 9, 2) %}{% set ns.n = ns.n + i %}{% if loop.first %}{% continue %}{% elif not loop.last %}{% break %}{% endif %}{% else %}x{% endfor %}{{ ns.n // 2 ** 3 % 5 - -1.5 }})",
            R"({{ 'a,b'.split(',')|join('-')|upper|replace('A', 'bb')|indent(4, true)|length }}{{ 'x%s%03d' % ('y', 4) }}{{ '{0!r:>8}'.format('z') }})",
            R"({{ messages[1:][::-1]|map(attribute='role')|unique|list|sort(reverse=true)|first|default('none', true)|title }}{{ {'a': 1}.items()|list }}{{ [1, 2]|sum }})",
            R"({% filter upper %}{% raw %}{{ x }}{% endraw %}{% endfilter %}{# c #}{% set a, b = (1, 2) %}{{ a is odd and b is divisibleby 2 or 'x' in 'xyz' }}{% generation %}g{% endgeneration %})",
            R"({{ strftime_now('%d %b %Y') }}{% if tools is iterable and tools is not none %}{{ raise_exception('no') if false else 'ok' }}{% endif %}{{ cycler('a', 'b').next() }}{{ joiner('; ')() }}{{ dict(a=1)|dictsort }}{{ lipsum is defined }})",
            R"({{ [1,2,3,4]|batch(3, 0)|list }}{{ messages|selectattr('role', 'equalto', 'user')|rejectattr('content', 'none')|list|count }}{{ messages|groupby('role') }}{{ '3.7'|float|round(1, 'floor')|int|string|center(9)|wordcount }})",
        })
        seeds.add(source);
    const std::array<std::string, 2> both{R"({{ x.y[0] }})", R"({"x": {"y": ["z"]}})"};
    seeds.add(fuzz::joined(both));
    seeds.add_shared("golden/chat", ".jinja");
    seeds.add_shared("cases", ".jinja");
}

const text::chat_template& small_template() {
    static const auto made = [] {
        const fuzz::unmetered ours;
        return text::chat_template(
            R"({{ bos_token }}{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% for c in m.tool_calls or [] %})"
            R"({{ c.function.name }}{{ c.function.arguments|tojson }}{% endfor %}{% endfor %})",
            "template", {.bos = "<s>", .eos = "</s>"});
    }();
    return made;
}

/// Everything in a file of conversations is read, or left out and counted.
void read_documents(std::string_view input, std::size_t lines) {
    static const metadata keys = [] {
        const fuzz::unmetered ours;
        metadata made = bytes_of("llama-bpe").build();
        made.set(std::string(text::chat_template_key),
                 std::string("{% for m in messages %}{{ m.role + ': ' + m.content }}{% endfor %}"));
        return made;
    }();
    static text::document_reader reader = [] {
        const fuzz::unmetered ours;
        return text::document_reader(keys, {.rendering = {.bounds = narrow}});
    }();
    keep_automata(text::find_pre_tokenizer("llama-bpe"));
    const auto so_far = [] {
        const auto& report = reader.so_far();
        return std::pair(report.conversations, report.refused + report.failed + report.malformed);
    };
    const auto before = so_far();
    const auto documents = accepted("talks.jsonl: ", [&] { return reader.read(input, "talks.jsonl"); });
    if (!documents) return;
    const auto after = so_far();
    require(documents->size() == after.first - before.first, "every conversation that is read is a document");
    require(documents->size() + after.second - before.second == lines,
            "what is left out of a file of conversations is counted");
}

void run_conversations(std::string_view input) {
    static_cast<void>(text::holds_conversations(input, "talks.txt"));
    const text::chat_template& templates = small_template();
    const text::chat_options options{.bounds = narrow};
    std::size_t lines = 0;
    const auto count = [&](const std::string& where) {
        require(where.starts_with("talks.jsonl: line "), "every conversation has its line");
        ++lines;
    };
    const auto take = [&](const text::conversation& talk, const std::string& where, std::size_t) {
        count(where);
        require(!talk.messages.empty(), "a conversation has messages");
        if (const auto plain = accepted("", [&] { return text::plain_text(talk); }))
            require(is_utf8(*plain), "what JSON says is UTF-8");
        if (const auto rendered = accepted("", [&] { return templates.render(talk, options); }))
            require(is_utf8(*rendered), "a rendered conversation is UTF-8");
    };
    const auto refuse = [&](const std::string& where, const std::string& why) {
        count(where);
        require(is_utf8(why), "what is wrong with a line is said in UTF-8");
    };
    text::for_each_conversation(input, "talks.jsonl", take, refuse);
    require(lines <= 1 + static_cast<std::size_t>(std::ranges::count(input, '\n')),
            "a line is one conversation at most");
    read_documents(input, lines);
}

void seed_conversations(fuzz::corpus& seeds) {
    seeds.add(R"({"messages": [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}]}
[{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "\u00e9\ud83d\ude00"}]}]

{"messages": [{"role": "assistant", "content": null, "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{\"a\": 1}"}}]}], "tools": [{"type": "function"}]}
)");
    seeds.add_shared("cases", ".jsonl");
    seeds.add_shared("text", ".jsonl");
}

void run_plain_text(std::string_view input) {
    constexpr std::string_view mark = "\xef\xbb\xbf";
    text::text_changes changes;
    const auto changed = accepted("text.txt: ", [&] { return text::as_plain_text(input, "text.txt", &changes); });
    if (!changed) return;
    const std::string_view plain = *changed ? std::string_view(**changed) : input;
    require(is_utf8(plain), "plain text is UTF-8");
    require(*changed || !(changes.was_utf16 || changes.had_carriage_returns), "what was changed is told");
    // One mark goes, and one carriage return of each line.
    const bool had_several = plain.starts_with(mark) || plain.find("\r\n") != plain.npos;
    if (had_several) return;
    const auto again =
        accepted("text.txt: ", [&] { return text::as_plain_text(plain, "text.txt"); });  // perhaps a %PDF
    require(!again || !*again, "plain text stays as it is");
    static_cast<void>(text::split_documents(plain, "\n\n"));
    static_cast<void>(accepted("text.txt: ", [&] { return text::parse_token_ids(plain, 1000, "text.txt"); }));
}

void seed_plain_text(fuzz::corpus& seeds) {
    using namespace std::string_view_literals;
    for (const std::string_view text :
         {"plain \xc3\xa9 text\nof two lines\n"sv, "\xef\xbb\xbfwith a mark\r\nand carriage returns\r\n"sv,
          "\xff\xfeU\0T\0F\0\r\0\n\0\x3d\xd8\x00\xde"sv, "\xfe\xff\0U\0T\0F\xd8\x3d\xde\x00"sv, "Latin-1 \xe9\n"sv,
          "GGUF\3\0\0\0"sv, "1 22 333\n\n4 5\n"sv})
        seeds.add(text);
}

// Trees of JSON, copied for every way in which a template is tried.
constexpr fuzz::memory_bounds files{.live = 32 << 20, .live_per_byte = 1024, .made = 128 << 20, .made_per_byte = 32768};
constexpr fuzz::memory_bounds texts{.live = 8 << 20, .live_per_byte = 256, .made = 32 << 20, .made_per_byte = 4096};
// A step may make some bytes.
constexpr fuzz::memory_bounds rendering{
    .live = 16 << 20, .live_per_byte = 1024, .made = 128 << 20, .made_per_byte = 16384};

constexpr std::array all_targets{
    fuzz::target{"tokenizer_json", run_tokenizer_json, seed_tokenizer_json, files},
    fuzz::target{"tokenizer_model", run_tokenizer_model, seed_tokenizer_model, files},
    fuzz::target{"vocabulary", run_vocabulary, seed_vocabulary, files},
    fuzz::target{"encode_text", run_encode, seed_encode, texts},
    fuzz::target{"template", run_template, seed_template, rendering},
    fuzz::target{"conversations", run_conversations, seed_conversations, rendering},
    fuzz::target{"plain_text", run_plain_text, seed_plain_text},
};

}  // namespace

std::span<const fuzz::target> fuzz::targets() { return all_targets; }
