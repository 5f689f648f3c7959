// The texts named on the command line, as documents of tokens. The one place that compiles tokenizers and chat
// templates.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "commands.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/text/packing.hpp"
#include "tessera/text/token.hpp"
#include "tessera/text/windows.hpp"

namespace cli {

struct text_sources {
    std::vector<tessera::text::text_source> sources;
    std::optional<tessera::text::token_id> bos;  ///< begins every document where the vocabulary adds such a token
    std::size_t conversations = 0;               ///< documents that are conversations
    std::string framing;                         ///< how they were read, as a sentence for people
};

/// The files that an argument stands for: a file, a directory or a pattern, perhaps with "=WEIGHT" after it. Throws
/// when there are none.
std::vector<std::filesystem::path> files_of_text(const std::string& argument);

/// Reads the texts for the model that the metadata describe.
text_sources read_text_sources(const tessera::metadata& properties, const text_options& options);

struct scored_text {
    tessera::token_windows windows;
    std::string framing;
};

/// Windows to measure on, at most `limit` (0: all). A single plain text is cut as llama.cpp's perplexity tool cuts it,
/// so that figures can be compared; anything else is packed.
scored_text read_scored_text(const tessera::metadata& properties, const std::vector<std::string>& texts,
                             std::size_t length, std::size_t limit);

}  // namespace cli
