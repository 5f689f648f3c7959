// What the parts of a layer share while windows of tokens go through it.
#pragma once

#include <cstddef>

#include "tessera/model/decoder_spec.hpp"
#include "tessera/model/rope.hpp"
#include "tessera/tensor/concepts.hpp"

namespace tessera::model {

/// One layer at work. Rows of all matrices are tokens, window after window.
template <tensor_source Source>
struct layer_run {
    const Source& source;
    const decoder_spec& spec;
    const attention_scope& scope;
    const rope_table& rope;
    std::size_t layer;
    std::size_t window;  ///< tokens in a window
    int threads;
};

}  // namespace tessera::model
