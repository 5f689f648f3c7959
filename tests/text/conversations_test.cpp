// Messages to text and tokens, as the model's template has them.
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "jinja/small_chat.hpp"
#include "support/support.hpp"
#include "tessera/text/chat.hpp"
#include "tessera/text/conversations.hpp"
#include "tessera/text/document_reader.hpp"
#include "tessera/text/packing.hpp"
#include "text/vocabularies.hpp"

using namespace tessera;
using json = nlohmann::ordered_json;
using jinja::raised_error;
using support::has;

namespace {

const std::string small_chat = support::small_chat("['user', 'assistant', 'tool']");

text::chat_template small_template() { return {small_chat, "small", {.bos = "<s>", .eos = "</s>"}}; }

// A byte-level vocabulary with the markers of the small template, <s> and </s>.
support::vocabulary_builder chat_vocabulary() {
    auto vocabulary = support::byte_pieces("gpt-2");
    vocabulary.set("bos_token_id", static_cast<std::uint32_t>(vocabulary.add("<s>", text::token_type::control)));
    for (const char* marker : {"<|user|>", "<|assistant|>", "<|end|>"})
        vocabulary.add(marker, text::token_type::control);
    return vocabulary;
}

metadata instruct_model() {
    metadata keys = chat_vocabulary().build();
    keys.set(std::string(text::chat_template_key), small_chat);
    return keys;
}

}  // namespace

TEST_CASE("conversations: messages, options and tokens reach the template") {
    const auto small = small_template();
    const text::conversation talk{json::parse(R"([{"role": "user", "content": " hi "}])")};
    CHECK(small.render(talk) == "<s><|user|>hi<|end|>\n");
    CHECK(small.render(talk, {.add_generation_prompt = true}) == "<s><|user|>hi<|end|>\n<|assistant|>");
    CHECK(small.render(talk, {.add_generation_prompt = true, .variables = {{"enable_thinking", false}}}) ==
          "<s><|user|>hi<|end|>\n<|assistant|><think></think>");
    CHECK_THROWS_AS(static_cast<void>(small.render({json::parse(R"([{"role": "bard", "content": ""}])")})),
                    raised_error);
    CHECK_THROWS_AS(static_cast<void>(small.render({json::array()})), error);
    CHECK_THROWS_AS(static_cast<void>(small.render({"hi"})), error);
}

TEST_CASE("conversations: messages are brought into the layout that the template takes") {
    using layout = text::chat_layout;
    const json parts =
        json::parse(R"([{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}])");
    const json calls =
        json::parse(R"([{"role": "user", "content": "w"}, {"role": "assistant", "content": null, "tool_calls":
        [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{\"x\": 1}"}}]}])");
    const auto small = small_template();
    CHECK(small.layout().contents == layout::content::as_given);
    CHECK(small.render({parts}) == "<s><|user|>ab<|end|>\n");
    CHECK(small.render({calls}) == "<s><|user|>w<|end|>\n<|assistant|><call>f{\"x\": 1}<|end|>\n");

    const text::chat_template plain(
        "{% for m in messages %}{{ m.role + ':' + m.content }}"
        "{% for c in m.tool_calls %}{{ c.function.name + '(' + c.function.arguments + ')' }}{% endfor %};{% endfor %}",
        "plain", {});
    CHECK(plain.layout().contents == layout::content::text);
    CHECK(plain.layout().missing == layout::empty::text);
    CHECK(plain.layout().calls == layout::arguments::text);
    CHECK(plain.render({parts}) == "user:a\nb;");
    CHECK(plain.render({calls}) == "user:w;assistant:f({\"x\": 1});");
    const json image = json::parse(R"([{"role": "user", "content": [{"type": "image_url"}]}])");
    CHECK(has(support::message_of<error>([&] { static_cast<void>(plain.render({image})); }), "got image_url"));

    const text::chat_template listing(
        "{% for m in messages %}{% for p in m.content %}{{ p.text }}{% endfor %};{% endfor %}", "listing", {});
    CHECK(listing.layout().contents == layout::content::parts);
    CHECK(listing.render({json::parse(R"([{"role": "user", "content": "a"}])")}) == "a;");
}

TEST_CASE("conversations: the tool_use template is used where there are tools") {
    metadata keys = instruct_model();
    keys.set("tokenizer.chat_template.tool_use",
             std::string("{{ bos_token }}{{ tools[0].name }}:{{ messages[0].content }}"));
    const text::chat_templates templates(keys);
    const json messages = json::parse(R"([{"role": "user", "content": "b"}])");
    CHECK(templates.render({messages}) == "<s><|user|>b<|end|>\n");
    CHECK(templates.render({messages, json::parse(R"([{"name": "f"}])")}) == "<s>f:b");
}

TEST_CASE("conversations: templates that print a date print a fixed one") {
    const text::chat_template dated("{{ strftime_now('%A %d %B %Y') }}{{ messages[0].content }}", "dated", {});
    CHECK(dated.render({json::parse(R"([{"role": "user", "content": "!"}])")}) == "Wednesday 01 January 2025!");
}

TEST_CASE("documents: files of conversations are recognised by name or content") {
    CHECK(text::holds_conversations("", "talks.jsonl"));
    CHECK(text::holds_conversations("\n [{\"role\": \"user\"}]\r\nrest", "talks.txt"));
    CHECK(text::holds_conversations("{\"id\": 1, \"messages\": [{\"role\": \"user\"}]}", "talks.json"));
    for (const char* text :
         {"", "[1] A footnote.", "{", "{\"messages\": []}", "{\"messages\": [\"role\"]}", "[{\"text\": 1}]"})
        CHECK_FALSE_MESSAGE(text::holds_conversations(text, "text.txt"), text);
}

TEST_CASE(
    "documents: conversations go through the chat template of instruct models, and are plain text for base models") {
    const std::string lines =
        "[{\"role\": \"user\", \"content\": \"a\"}]\n\r\n"
        "{\"messages\": [{\"role\": \"system\", \"content\": \"no\"}]}\n"
        "{\"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"text\", \"text\": \"b\"}]},"
        " {\"role\": \"assistant\", \"content\": null}, {\"role\": \"assistant\", \"content\": \"c\"}], \"tools\": "
        "null}";
    const metadata instruct = instruct_model();
    const text::tokenizer tokenizer(instruct);
    const auto as_text = [&](const std::vector<std::vector<text::token_id>>& documents) {
        std::vector<std::string> texts;
        for (const auto& document : documents) texts.push_back(tokenizer.decode(document, {.show_special = true}));
        return texts;
    };
    text::document_reader reader(instruct);
    CHECK(reader.has_template());
    const auto talks = reader.read(lines, "talks.jsonl");
    CHECK(as_text(talks) ==
          std::vector<std::string>{"<s><|user|>a<|end|>\n",
                                   "<s><|user|>b<|end|>\n<|assistant|><|end|>\n<|assistant|>c<|end|>\n"});
    CHECK(talks[0].size() == 5);  // markers are single tokens
    CHECK(as_text(reader.read("<s>x", "plain.txt")) == std::vector<std::string>{"<s>x"});
    CHECK(reader.read("<s>x", "plain.txt")[0].size() == 4);  // in plain text they are letters
    CHECK(reader.so_far().conversations == 2);
    CHECK(reader.so_far().texts == 2);
    CHECK(reader.so_far().refused == 1);
    CHECK(reader.so_far().first_refusal == "talks.jsonl: line 3: unknown role system");

    const metadata base_keys = chat_vocabulary().build();
    text::document_reader base(base_keys, {.separator = "--"});
    CHECK_FALSE(base.has_template());
    CHECK(as_text(base.read(lines, "talks.jsonl")) == std::vector<std::string>{"a", "no", "b\n\nc"});
    CHECK(as_text(base.read("d--e", "plain.txt")) == std::vector<std::string>{"d", "e"});
    CHECK(base.so_far().conversations == 3);
    CHECK(base.so_far().refused == 0);
}

TEST_CASE("documents: what is not a conversation is refused, naming file and line") {
    const metadata keys = instruct_model();
    const auto complaint = [&](std::string_view lines, std::string_view name = "talks.jsonl") {
        return support::message_of<error>(
            [&] { static_cast<void>(text::document_reader(keys).read(lines, std::string(name))); });
    };
    CHECK(has(complaint("\n{"), "talks.jsonl: line 2: wanted a conversation, {\"messages\""));
    CHECK(has(complaint("{\"text\": 1}"), "line 1: wanted a conversation"));
    CHECK(has(complaint("[{\"role\": \"bard\", \"content\": \"\"}]"),
              "talks.jsonl: wanted conversations that the chat template takes, got none: 1 left out that it refuses "
              "(talks.jsonl: line 1: unknown role bard)"));
    CHECK(has(complaint("[{\"role\": 1, \"content\": \"\"}]"),
              "got none: 1 left out that it fails on (talks.jsonl: line 1: tokenizer.chat_template: line "));
    const std::string deep(100'000, '[');
    CHECK(has(complaint("[{\"role\": \"user\", \"content\": " + deep), "wanted a conversation"));
    CHECK(has(complaint("[{\"role\": \"user\", \"content\": " + deep + std::string(deep.size(), ']') + "}]"),
              "wanted a conversation"));
    const std::string call =
        "[{\"role\": \"user\", \"content\": \"\", \"tool_calls\": [{\"function\": {\"name\": \"f\", \"arguments\": \"";
    CHECK_NOTHROW(
        static_cast<void>(text::document_reader(keys).read(call + deep + "\"}}]}]", "talks.jsonl")));  // stays text
    metadata broken = instruct_model();
    broken.set(std::string(text::chat_template_key), std::string("{% if %}"));
    text::document_reader reader(broken);
    CHECK_NOTHROW(static_cast<void>(reader.read("plain", "plain.txt")));
    CHECK_THROWS_WITH_AS(static_cast<void>(reader.read("[{\"role\": \"user\"}]", "talks.jsonl")),
                         "tokenizer.chat_template: line 1, column 7: wanted an expression, got %}", error);
}

TEST_CASE("documents: what cannot be used is left out and counted, and the rest is read") {
    const metadata keys = instruct_model();
    const std::string good = "[{\"role\": \"user\", \"content\": \"a\"}]\n";
    const auto read = [&](const metadata& model, const std::string& lines) {
        text::document_reader reader(model);
        CHECK(reader.read(lines, "talks.jsonl").size() == reader.so_far().conversations);
        return reader.so_far();
    };
    const auto malformed = read(keys, good + "\x1b]0;no\x07\n{\"messages\": [{\"role\": \"us\n" + good);
    CHECK(malformed.conversations == 2);
    CHECK(malformed.malformed == 2);
    CHECK(has(malformed.first_malformed, "talks.jsonl: line 2: wanted a conversation"));
    CHECK(has(malformed.losses(), "2 lines left out that are no conversations (talks.jsonl: line 2"));

    metadata adding = keys;  // what is no text cannot be added to one
    adding.set(std::string(text::chat_template_key),
               std::string("{% for m in messages %}{{ '<' + m.role + '>' + m.content }}{% endfor %}"));
    const std::string empty =
        "[{\"role\": \"user\", \"content\": \"hi\"}, {\"role\": \"assistant\", \"content\": null}]\n";
    const auto failed = read(adding, good + empty + empty + good);
    CHECK(failed.conversations == 2);
    CHECK(failed.failed == 2);
    CHECK(has(failed.losses(), "2 left out that it fails on (talks.jsonl: line 2: tokenizer.chat_template: line 1"));
    CHECK(has(failed.losses(), "not \"NoneType\""));
    CHECK(read(keys, good).losses().empty());

    metadata endless = keys;  // every conversation would take as long
    endless.set(std::string(text::chat_template_key),
                std::string("{{ 'a' * 20000000 if messages|length > 1 else 'a' }}"));
    text::document_reader stopped(endless);
    CHECK(has(
        support::message_of<error>([&] { (void)stopped.read(good + empty + good, "talks.jsonl"); }),
        "talks.jsonl: line 2: tokenizer.chat_template: line 1, column 19: wanted an output of at most 16777216 bytes"));
}

TEST_CASE("documents: unpaired surrogates become replacement characters") {
    const auto repaired = [](std::string text) {
        const std::size_t count = repair_surrogates(text);
        return std::to_string(count) + text;
    };
    CHECK(repaired(R"("\ud83d\ude00 \u00e9 \n \\ud83d")") == R"(0"\ud83d\ude00 \u00e9 \n \\ud83d")");
    CHECK(repaired(R"(\ud83d)") == R"(1\ufffd)");
    CHECK(repaired(R"(\uDE00\ud83dx\ud83d\ud83d\ude00\ud8)") == R"(3\ufffd\ufffdx\ufffd\ud83d\ude00\ud8)");
    const metadata keys = instruct_model();
    text::document_reader reader(keys);
    const auto talks = reader.read(R"([{"role": "user", "content": "a\ud83d"}])", "talks.jsonl");
    CHECK(text::tokenizer(keys).decode(talks.at(0)) == "a\ufffd\n");
    CHECK(reader.so_far().replaced == 1);
    CHECK(has(reader.so_far().losses(), "1 half a surrogate pair replaced by U+FFFD"));
}

TEST_CASE("documents: conversations that fit into a window stay whole in it") {
    const metadata keys = instruct_model();
    text::document_reader reader(keys);
    std::string lines;
    for (int i = 0; i < 60; ++i)
        lines += "[{\"role\": \"user\", \"content\": \"" + std::string(9, static_cast<char>('a' + i % 26)) + "\"}]\n";
    const text::text_source talks{"talks", {}, reader.read(lines, "talks.jsonl")};
    const std::size_t length = talks.documents[0].size();  // <s><|user|>, nine letters, <|end|> and a line's end
    const auto packed = text::pack_windows({&talks, 1}, {.length = 3 * length});
    CHECK(packed.windows.size() == 20);
    const std::set<std::vector<text::token_id>> known(talks.documents.begin(), talks.documents.end());
    for (std::size_t w = 0; w < packed.windows.size(); ++w)
        for (std::size_t at = 0; at < 3 * length; at += length) {
            const auto part = packed.windows.window(w).subspan(at, length);
            CHECK(known.count({part.begin(), part.end()}) == 1);
        }
}
