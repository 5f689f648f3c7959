#include "text_sources.hpp"

#include <charconv>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "about.hpp"
#include "framing.hpp"
#include "tessera/core/error.hpp"
#include "tessera/text/document_reader.hpp"
#include "tessera/text/documents.hpp"
#include "tessera/text/source_files.hpp"
#include "tessera/text/text_file.hpp"
#include "tessera/text/vocabulary.hpp"

namespace cli {

namespace {

using namespace tessera::text;

struct named_source {
    std::string pattern;
    std::optional<double> weight;
};

// "PATH" or "PATH=WEIGHT"; a path that exists is taken as it is.
named_source parse_source(const std::string& argument) {
    const std::size_t equals = argument.rfind('=');
    if (equals == std::string::npos || std::filesystem::exists(argument)) return {argument, std::nullopt};
    double weight = 0;
    const char* end = argument.data() + argument.size();
    const auto [last, problem] = std::from_chars(argument.data() + equals + 1, end, weight);
    if (problem != std::errc() || last != end || !(weight >= 0)) return {argument, std::nullopt};
    return {argument.substr(0, equals), weight};
}

std::string counted(std::size_t count, const std::string& what) {
    return std::to_string(count) + ' ' + what + (count == 1 ? "" : "s");
}

// Tokens of all texts at most; they are held in memory.
constexpr std::size_t most_tokens = std::size_t{1} << 28;

// Reads sources and counts what was seen.
class source_reader {
public:
    // The documents of every file that an argument stands for; read(text, file) gives those of one.
    template <class Read>
    text_source operator()(const std::string& argument, Read&& read) {
        const named_source named = parse_source(argument);
        text_source source{.name = named.pattern, .weight = named.weight};
        for (const std::filesystem::path& path : files_of_text(argument)) {
            const text_file file(path);
            utf16_ += file.changes().was_utf16 ? 1 : 0;
            carriage_returns_ += file.changes().had_carriage_returns ? 1 : 0;
            for (auto& document : read(file.text(), path.string())) {
                tokens_ += document.size();
                if (tokens_ > most_tokens)
                    tessera::fail(path.string(), ": wanted at most ", most_tokens,
                                  " tokens in all texts, got more; name fewer or smaller files");
                source.documents.push_back(std::move(document));
            }
        }
        return source;
    }

    // What was changed on the way, to follow how the texts were read.
    [[nodiscard]] std::string changes() const {
        return (utf16_ > 0 ? ", " + counted(utf16_, "file") + " converted from UTF-16" : "") +
               (carriage_returns_ > 0
                    ? ", line ends of " + counted(carriage_returns_, "file") + " changed from \\r\\n to \\n"
                    : "");
    }

private:
    std::size_t tokens_ = 0;
    std::size_t utf16_ = 0;
    std::size_t carriage_returns_ = 0;
};

std::string unescaped(std::string text) {
    for (std::size_t at = 0; (at = text.find("\\n", at)) != text.npos; ++at) text.replace(at, 2, "\n");
    return text;
}

std::string framing_of(const document_reader& reader) {
    const document_reader::report& read = reader.so_far();
    const std::string plain = read.texts > 0 ? ", " + counted(read.texts, "plain text") + " as written" : "";
    const std::string losses = read.losses().empty() ? "" : ", " + read.losses();
    if (!reader.has_template()) {
        if (read.conversations == 0) return "as written; the model has no chat template" + losses;
        return counted(read.conversations, "conversation") + " as plain text; the model has no chat template" + losses +
               plain;
    }
    if (read.conversations == 0)
        return "as written; the model has a chat template, for conversations (*.jsonl)" + losses;
    return counted(read.conversations, "conversation") + " in the model's chat template" + losses + plain;
}

}  // namespace

std::vector<std::filesystem::path> files_of_text(const std::string& argument) {
    return find_text_files(parse_source(argument).pattern);
}

text_sources read_text_sources(const tessera::metadata& properties, const text_options& options) {
    const vocabulary vocabulary(properties);
    source_reader read_source;
    text_sources all{{}, vocabulary.adds_bos() ? vocabulary.bos() : std::nullopt, 0, "token ids as they are"};
    if (!options.texts.empty()) {
        document_reader reader(properties, {unescaped(options.separator), options.parse_special});
        for (const std::string& argument : options.texts)
            all.sources.push_back(
                read_source(argument, [&](auto text, const auto& file) { return reader.read(text, file); }));
        all.conversations = reader.so_far().conversations;
        all.framing = framing_of(reader);
    }
    for (const std::string& argument : options.token_ids)
        all.sources.push_back(read_source(
            argument, [&](auto text, const auto& file) { return parse_token_ids(text, vocabulary.size(), file); }));
    all.framing += read_source.changes();
    return all;
}

scored_text read_scored_text(const tessera::metadata& properties, const std::vector<std::string>& texts,
                             std::size_t length, std::size_t limit) {
    const text_sources read = read_text_sources(properties, {.texts = texts});
    const text_source& first = read.sources.front();
    const bool is_one_text = read.conversations == 0 && read.sources.size() == 1 && first.documents.size() == 1;
    if (!is_one_text)
        return with_framing(read.framing, [&]() -> scored_text {
            return {pack_windows(read.sources, {.length = length, .limit = limit, .bos = read.bos}).windows,
                    read.framing};
        });
    return about(first.name, [&]() -> scored_text {
        return {cut_windows(first.documents[0], read.bos, {.length = length, .limit = limit}), read.framing};
    });
}

}  // namespace cli
