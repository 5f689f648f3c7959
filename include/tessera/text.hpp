// Umbrella: from text to tokens and windows of them.
#pragma once

#include "tessera/text/chat.hpp"
#include "tessera/text/conversations.hpp"
#include "tessera/text/document_reader.hpp"
#include "tessera/text/documents.hpp"
#include "tessera/text/packing.hpp"
#include "tessera/text/source_files.hpp"
#include "tessera/text/text_file.hpp"
#include "tessera/text/token.hpp"
#include "tessera/text/tokenizer.hpp"
#include "tessera/text/vocabulary.hpp"
#include "tessera/text/windows.hpp"
