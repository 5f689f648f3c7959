// What the parts of a layer share while windows of tokens go through it.
#pragma once

#include <cstddef>
#include <span>

#include "tessera/decoder/activations.hpp"
#include "tessera/decoder/linear.hpp"
#include "tessera/decoder/model_spec.hpp"
#include "tessera/decoder/observer.hpp"
#include "tessera/decoder/rope.hpp"
#include "tessera/decoder/routing.hpp"
#include "tessera/tensor/concepts.hpp"

namespace tessera::decoder {

/// One layer at work. Rows of all matrices are tokens, window after window.
template <tensor_source Source>
struct layer_run {
    const Source& source;
    const model_spec& spec;
    const attention_scope& scope;
    const rope_table& rope;
    std::size_t layer;
    std::size_t window;  ///< tokens in a window
    int threads;
    input_observer observer = {};
    shown_inputs shown = shown_inputs::whole;
    std::size_t first_token = 0;    ///< of the rows at work, among all
    tile_memory* memory = nullptr;  ///< of what lies between the steps

    /// Shows the observer, if there is one, the rows that these linear layers are about to be multiplied with.
    void observe(const input_tiles& rows, std::span<const linear* const> shared,
                 std::span<const routed_token> routed = {}) const {
        if (observer) observer({layer, shared, rows, routed, routed.empty() ? first_token : 0});
    }
};

}  // namespace tessera::decoder
