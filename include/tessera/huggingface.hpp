// Umbrella: Hugging Face directories as sources of tensors and vocabularies.
#pragma once

#include "tessera/huggingface/model.hpp"
#include "tessera/huggingface/vocabulary.hpp"
