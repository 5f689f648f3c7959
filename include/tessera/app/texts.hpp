// The texts that people name, as windows of tokens.
#pragma once

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "tessera/app/about.hpp"
#include "tessera/app/listener.hpp"
#include "tessera/app/options.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/core/printable.hpp"
#include "tessera/core/token_windows.hpp"
#include "tessera/text/document_reader.hpp"
#include "tessera/text/documents.hpp"
#include "tessera/text/packing.hpp"
#include "tessera/text/source_files.hpp"
#include "tessera/text/text_file.hpp"
#include "tessera/text/token.hpp"
#include "tessera/text/vocabulary.hpp"
#include "tessera/text/windows.hpp"

namespace tessera::app {

/// The tokens of a window where nobody says: 512, or the context the model was trained for if that is shorter.
[[nodiscard]] inline std::size_t default_window(const metadata& properties) {
    const auto& architecture = properties.require<std::string>("general.architecture");
    const auto trained = properties.get_count(architecture + ".context_length").value_or(512);
    return std::min<std::size_t>(512, trained);
}

/// The tokens of a window, of which so many are wanted; 0: those by default.
[[nodiscard]] inline std::size_t window_length(std::size_t wanted, const metadata& properties) {
    return wanted > 0 ? wanted : default_window(properties);
}

namespace detail {

struct named_source {
    std::string pattern;
    std::optional<double> weight;
};

// "PATH" or "PATH=WEIGHT"; a path that exists is taken as it is.
[[nodiscard]] inline named_source parse_source(const std::string& argument) {
    const std::size_t equals = argument.rfind('=');
    if (equals == std::string::npos || std::filesystem::exists(argument)) return {argument, std::nullopt};
    double weight = 0;
    const char* end = argument.data() + argument.size();
    const auto [last, problem] = std::from_chars(argument.data() + equals + 1, end, weight);
    if (problem != std::errc() || last != end || !(weight >= 0)) return {argument, std::nullopt};
    return {argument.substr(0, equals), weight};
}

[[nodiscard]] inline std::string counted(std::size_t count, const std::string& what) {
    return std::to_string(count) + ' ' + what + (count == 1 ? "" : "s");
}

}  // namespace detail

/// The files that an argument stands for: a file, a directory or a pattern, perhaps with "=WEIGHT" after it. Throws
/// when there are none.
[[nodiscard]] inline std::vector<std::filesystem::path> files_of_text(const std::string& argument) {
    return text::find_text_files(detail::parse_source(argument).pattern);
}

/// Texts as documents of tokens.
struct text_sources {
    std::vector<text::text_source> sources;
    std::optional<text::token_id> bos;  ///< begins every document where the vocabulary adds such a token
    std::size_t conversations = 0;      ///< documents that are conversations
    std::string framing;                ///< how they were read, as a sentence for people

    [[nodiscard]] std::uint64_t tokens() const noexcept {
        std::uint64_t sum = 0;
        for (const text::text_source& source : sources) sum += source.tokens();
        return sum;
    }
};

namespace detail {

// Tokens of all texts at most; they are held in memory.
inline constexpr std::size_t most_tokens = std::size_t{1} << 28;

// Reads sources and counts what was seen.
class source_reader {
public:
    // The documents of every file that an argument stands for; read(text, file) gives those of one.
    template <class Read>
    text::text_source operator()(const std::string& argument, Read&& read) {
        const named_source named = parse_source(argument);
        text::text_source source{.name = named.pattern, .weight = named.weight};
        for (const std::filesystem::path& path : files_of_text(argument)) {
            const text::text_file file(path);
            utf16_ += file.changes().was_utf16 ? 1 : 0;
            carriage_returns_ += file.changes().had_carriage_returns ? 1 : 0;
            for (auto& document : read(file.text(), path.string())) {
                tokens_ += document.size();
                if (tokens_ > most_tokens)
                    fail(path.string(), ": wanted at most ", most_tokens,
                         " tokens in all texts, got more; name fewer or smaller files");
                source.documents.push_back(std::move(document));
            }
        }
        return source;
    }

    // What was changed on the way, to stand after how the texts were read.
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

[[nodiscard]] inline std::string unescaped(std::string text) {
    for (std::size_t at = 0; (at = text.find("\\n", at)) != text.npos; ++at) text.replace(at, 2, "\n");
    return text;
}

[[nodiscard]] inline std::string framing_of(const text::document_reader& reader) {
    const text::document_reader::report& read = reader.so_far();
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

}  // namespace detail

/// Reads the texts for the model that the metadata describe.
[[nodiscard]] inline text_sources read_text_sources(const metadata& properties, const text_options& options) {
    const text::vocabulary vocabulary(properties);
    detail::source_reader read_source;
    text_sources all{{}, vocabulary.adds_bos() ? vocabulary.bos() : std::nullopt, 0, "token ids as they are"};
    if (!options.texts.empty()) {
        text::document_reader reader(properties, {detail::unescaped(options.separator), options.parse_special});
        for (const std::string& argument : options.texts)
            all.sources.push_back(
                read_source(argument, [&](auto text, const auto& file) { return reader.read(text, file); }));
        all.conversations = reader.so_far().conversations;
        all.framing = detail::framing_of(reader);
    }
    for (const std::string& argument : options.token_ids)
        all.sources.push_back(read_source(argument, [&](auto text, const auto& file) {
            return text::parse_token_ids(text, vocabulary.size(), file);
        }));
    all.framing += read_source.changes();
    return all;
}

/// Windows to measure on.
struct scored_text {
    token_windows windows;
    std::string framing;  ///< how the texts were read, as a sentence for people
};

/// At most `limit` windows (0: all) of `length` tokens. A single plain text is cut as llama.cpp's perplexity tool cuts
/// it, so that figures can be compared; anything else is packed.
[[nodiscard]] inline scored_text read_scored_text(const metadata& properties, const std::vector<std::string>& texts,
                                                  std::size_t length, std::size_t limit) {
    const text_sources read = read_text_sources(properties, {.texts = texts});
    const text::text_source& first = read.sources.front();
    const bool is_one_text = read.conversations == 0 && read.sources.size() == 1 && first.documents.size() == 1;
    if (!is_one_text)
        return with_framing(read.framing, [&]() -> scored_text {
            return {text::pack_windows(read.sources, {.length = length, .limit = limit, .bos = read.bos}).windows,
                    read.framing};
        });
    return about(first.name, [&]() -> scored_text {
        return {text::cut_windows(first.documents[0], read.bos, {.length = length, .limit = limit}), read.framing};
    });
}

/// Windows to calibrate on.
struct calibration_text {
    struct source {
        std::string name;
        std::size_t tokens;  ///< in all windows, those held out included
    };
    std::vector<source> sources;
    std::string framing;  ///< how the texts were read, as a sentence for people
    divided_windows windows;
    std::uint64_t seed;
};

namespace detail {

// Source after source, document after document, each cut by itself.
[[nodiscard]] inline text::packed_windows cut_contiguously(const text_sources& texts, std::size_t length,
                                                           std::size_t limit) {
    if (texts.conversations > 0) fail("--chunks contiguous: wanted plain texts, got conversations");
    std::vector<text::token_id> all;
    std::vector<std::size_t> source_tokens;
    for (const text::text_source& source : texts.sources) {
        if (source.weight) fail(source.name, ": wanted no weight with contiguous chunks, got ", *source.weight);
        const std::size_t before = all.size();
        for (const auto& document : source.documents) {
            const std::size_t room = limit > 0 ? limit - all.size() / length : 0;
            if (limit > 0 && room == 0) break;
            const token_windows windows = about(
                source.name, [&] { return text::cut_windows(document, texts.bos, {.length = length, .limit = room}); });
            all.insert(all.end(), windows.tokens().begin(), windows.tokens().end());
        }
        source_tokens.push_back(all.size() - before);
    }
    return {{std::move(all), length}, std::move(source_tokens)};
}

}  // namespace detail

/// Cuts texts into windows as the options say. Throws when there is not one whole window.
[[nodiscard]] inline calibration_text cut_calibration_text(const text_sources& texts, const metadata& properties,
                                                           const calibration_options& options) {
    const bool is_packed = options.chunks == chunking::packed;
    const double held_out = options.held_out.value_or(is_packed ? 0.1 : 0.0);
    const std::size_t length = window_length(options.window, properties);
    std::size_t limit = 0;  // so that what is used, without what is held out, is within options.tokens
    if (options.tokens > 0) {
        limit = static_cast<std::size_t>(static_cast<double>(options.tokens / length) / (1 - held_out) + 1e-9);
        if (limit == 0) fail("--tokens: wanted at least one window of ", length, ", got ", options.tokens);
    }
    const text::packed_windows packed = with_framing(texts.framing, [&] {
        return is_packed
                   ? text::pack_windows(texts.sources,
                                        {.length = length, .limit = limit, .bos = texts.bos, .seed = options.seed})
                   : detail::cut_contiguously(texts, length, limit);
    });
    calibration_text text{{}, texts.framing, text::hold_out(packed.windows, held_out, options.seed), options.seed};
    for (std::size_t s = 0; s < texts.sources.size(); ++s)
        text.sources.push_back({texts.sources[s].name, packed.source_tokens[s]});
    return text;
}

/// The same, and tells how the texts were read and how much of them is used.
[[nodiscard]] inline calibration_text cut_calibration_text(const text_sources& texts, const metadata& properties,
                                                           calibration_options options, const listener& listener) {
    const std::uint64_t all = texts.tokens();
    if (options.tokens >= all) options.tokens = 0;
    calibration_text text = cut_calibration_text(texts, properties, options);
    listener.say("text: ", printable(text.framing));
    if (options.tokens > 0)
        listener.say("calibrating on ", text.windows.used.tokens().size(), " of ", all, " tokens (see --tokens)");
    return text;
}

}  // namespace tessera::app
