// Whether what is about to be done fits into memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "tessera/core/metadata.hpp"

namespace cli {

/// Bytes that this process can have: what is free on the machine, or less where its group or its shell limits it.
std::uint64_t memory_limit();

/// Throws when a model that these metadata describe needs more memory than there is to run over so many tokens at once:
/// it holds their hidden states, and what a layer makes of them. `remedy` ends the message.
void require_memory(const tessera::metadata& properties, std::size_t tokens, std::string_view remedy);

}  // namespace cli
