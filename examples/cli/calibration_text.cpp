#include "calibration_text.hpp"

#include <charconv>
#include <cmath>
#include <filesystem>
#include <optional>
#include <string_view>
#include <utility>

#include "about.hpp"
#include "open.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/mapped_file.hpp"
#include "tessera/text/documents.hpp"
#include "tessera/text/source_files.hpp"
#include "tessera/text/tokenizer.hpp"
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

// Reads every file that an argument stands for and hands its text to `add`, which fills the source.
template <class Add>
text_source read_source(const std::string& argument, Add&& add) {
    const named_source named = parse_source(argument);
    text_source source{.name = named.pattern, .weight = named.weight};
    for (const std::filesystem::path& path : find_text_files(named.pattern)) {
        const tessera::mapped_file file(path);
        add(source, path, std::string_view(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()));
    }
    return source;
}

std::string unescaped(std::string text) {
    for (std::size_t at = 0; (at = text.find("\\n", at)) != text.npos; ++at) text.replace(at, 2, "\n");
    return text;
}

std::vector<text_source> read_sources(const tessera::metadata& properties, const vocabulary& vocabulary,
                                      const calibrate_options& options) {
    std::vector<text_source> sources;
    if (!options.texts.empty()) {
        const tokenizer tokenizer(properties);
        const std::string separator = unescaped(options.separator);
        for (const std::string& argument : options.texts)
            sources.push_back(read_source(argument, [&](text_source& to, const auto&, std::string_view text) {
                for (const std::string_view document : split_documents(text, separator))
                    to.documents.push_back(tokenizer.encode(document, {.parse_special = options.parse_special}));
            }));
    }
    for (const std::string& argument : options.token_ids)
        sources.push_back(read_source(argument, [&](text_source& to, const auto& path, std::string_view text) {
            for (auto& document : parse_token_ids(text, vocabulary.size(), path.string()))
                to.documents.push_back(std::move(document));
        }));
    return sources;
}

// Source after source, document after document, each cut by itself.
packed_windows cut_contiguously(std::span<const text_source> sources, std::optional<token_id> bos, std::size_t length,
                                std::size_t limit) {
    std::vector<token_id> all;
    std::vector<std::size_t> source_tokens;
    for (const text_source& source : sources) {
        if (source.weight) tessera::fail(source.name, ": wanted no weight with contiguous chunks, got ", *source.weight);
        const std::size_t before = all.size();
        for (const auto& document : source.documents) {
            const std::size_t room = limit > 0 ? limit - all.size() / length : 0;
            if (limit > 0 && room == 0) break;
            const token_windows windows = about(source.name, [&] {
                return cut_windows(document, bos, {.length = length, .limit = room});
            });
            all.insert(all.end(), windows.tokens().begin(), windows.tokens().end());
        }
        source_tokens.push_back(all.size() - before);
    }
    return {{std::move(all), length}, std::move(source_tokens)};
}

}  // namespace

calibration_text read_calibration_text(const tessera::metadata& properties, const calibrate_options& options) {
    const vocabulary vocabulary(properties);
    const auto bos = vocabulary.adds_bos() ? vocabulary.bos() : std::nullopt;
    const std::vector<text_source> sources = read_sources(properties, vocabulary, options);
    const bool is_packed = options.chunks == "packed";
    const double held_back = options.held_back.value_or(is_packed ? 0.1 : 0.0);
    const std::size_t length = options.window > 0 ? options.window : default_window(properties);
    std::size_t limit = 0;  // so that what is used, without what is held back, is within --tokens
    if (options.tokens > 0) {
        limit = static_cast<std::size_t>(static_cast<double>(options.tokens / length) / (1 - held_back) + 1e-9);
        if (limit == 0) tessera::fail("--tokens: wanted at least one window of ", length, ", got ", options.tokens);
    }
    const packed_windows packed =
        is_packed ? pack_windows(sources, {.length = length, .limit = limit, .bos = bos, .seed = options.seed})
                  : cut_contiguously(sources, bos, length, limit);
    calibration_text text{{}, hold_back(packed.windows, held_back, options.seed)};
    for (std::size_t s = 0; s < sources.size(); ++s) text.sources.push_back({sources[s].name, packed.source_tokens[s]});
    return text;
}

}  // namespace cli
