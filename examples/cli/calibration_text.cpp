#include "calibration_text.hpp"

#include <utility>

#include "about.hpp"
#include "framing.hpp"
#include "memory.hpp"
#include "open.hpp"
#include "tessera/core/error.hpp"
#include "text_sources.hpp"

namespace cli {

namespace {

using namespace tessera::text;

// Source after source, document after document, each cut by itself.
packed_windows cut_contiguously(const text_sources& texts, std::size_t length, std::size_t limit) {
    if (texts.conversations > 0) tessera::fail("--chunks contiguous: wanted plain texts, got conversations");
    std::vector<token_id> all;
    std::vector<std::size_t> source_tokens;
    for (const text_source& source : texts.sources) {
        if (source.weight)
            tessera::fail(source.name, ": wanted no weight with contiguous chunks, got ", *source.weight);
        const std::size_t before = all.size();
        for (const auto& document : source.documents) {
            const std::size_t room = limit > 0 ? limit - all.size() / length : 0;
            if (limit > 0 && room == 0) break;
            const tessera::token_windows windows =
                about(source.name, [&] { return cut_windows(document, texts.bos, {.length = length, .limit = room}); });
            all.insert(all.end(), windows.tokens().begin(), windows.tokens().end());
        }
        source_tokens.push_back(all.size() - before);
    }
    return {{std::move(all), length}, std::move(source_tokens)};
}

}  // namespace

calibration_text read_calibration_text(const tessera::metadata& properties, const calibrate_options& options) {
    const text_sources texts = read_text_sources(properties, options.texts);
    const bool is_packed = options.chunks == "packed";
    const double held_out = options.held_out.value_or(is_packed ? 0.1 : 0.0);
    const std::size_t length = options.window > 0 ? options.window : default_window(properties);
    std::size_t limit = 0;  // so that what is used, without what is held out, is within --tokens
    if (options.tokens > 0) {
        limit = static_cast<std::size_t>(static_cast<double>(options.tokens / length) / (1 - held_out) + 1e-9);
        if (limit == 0) tessera::fail("--tokens: wanted at least one window of ", length, ", got ", options.tokens);
    }
    const packed_windows packed = with_framing(texts.framing, [&] {
        return is_packed ? pack_windows(texts.sources,
                                        {.length = length, .limit = limit, .bos = texts.bos, .seed = options.seed})
                         : cut_contiguously(texts, length, limit);
    });
    calibration_text text{{}, texts.framing, hold_out(packed.windows, held_out, options.seed), options.seed};
    require_memory(properties, text.windows.used.tokens().size(), "--tokens N takes a part of the texts");
    for (std::size_t s = 0; s < texts.sources.size(); ++s)
        text.sources.push_back({texts.sources[s].name, packed.source_tokens[s]});
    return text;
}

}  // namespace cli
