// What a metric of a candidate model against a reference must offer.
#pragma once

#include <concepts>
#include <cstddef>
#include <span>

namespace tessera {

/// Collects what two models say about the same tokens: `add` takes both rows of logits and the id of the token that
/// really follows, `merge` takes in what another one collected from later tokens.
template <class M>
concept metric = std::default_initializable<M> && std::move_constructible<M> &&
                 requires(M& m, const M& finished, M&& other, std::span<const float> row, std::size_t target) {
                     m.add(row, row, target);
                     m.merge(static_cast<M&&>(other));
                     finished.result();
                 };

}  // namespace tessera
