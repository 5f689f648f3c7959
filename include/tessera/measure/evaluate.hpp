// How far one model's predictions are from another's.
#pragma once

#include "tessera/core/progress.hpp"
#include "tessera/core/token_windows.hpp"
#include "tessera/measure/compare.hpp"
#include "tessera/measure/concepts.hpp"
#include "tessera/measure/kl_divergence.hpp"
#include "tessera/measure/scored_model.hpp"
#include "tessera/tensor/concepts.hpp"

namespace tessera {

/// Measures `candidate` against `reference` on windows of tokens: both run, then they are compared.
/// Throws as scored_model::run and compare do; the message begins with "reference" or "candidate".
template <metric Metric = kl_divergence, tensor_source Reference, tensor_source Candidate>
[[nodiscard]] Metric evaluate(const Reference& reference, const Candidate& candidate, const token_windows& windows,
                              const evaluate_options& options = {}, progress_callback report = {}) {
    scored_model p("reference", reference, options.threads);
    scored_model q("candidate", candidate, options.threads);
    require_same_vocabulary(p, q);  // before the long work
    p.run(windows, report, options.memory);
    q.run(windows, report, options.memory);
    return compare<Metric>(p, q, options, report);
}

}  // namespace tessera
