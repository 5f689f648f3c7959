// A reference's logits, kept for many comparisons.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string_view>

#include "tessera/core/token_windows.hpp"
#include "tessera/core/view.hpp"
#include "tessera/measure/compare.hpp"

namespace tessera {

/// Logits of another source that are computed once, where they fit `most_bytes`; else every time. The source must
/// outlive it.
template <logits_source Source>
class kept_logits {
public:
    kept_logits(const Source& source, std::size_t most_bytes) : source_(&source) {
        const std::size_t vocabulary = source.vocabulary();
        const std::size_t positions =
            source.windows().size() * scored_positions::of_window(source.windows().length()).count;
        if (positions > most_bytes / sizeof(float) / vocabulary) return;
        logits_ = std::make_unique_for_overwrite<float[]>(positions * vocabulary);
        source.logits(0, {{logits_.get(), positions * vocabulary}, vocabulary});
    }

    [[nodiscard]] std::string_view role() const noexcept { return source_->role(); }
    [[nodiscard]] std::size_t vocabulary() const noexcept { return source_->vocabulary(); }
    [[nodiscard]] const token_windows& windows() const noexcept { return source_->windows(); }
    void logits(std::size_t first, mutable_matrix_view out) const {
        if (logits_ == nullptr) return source_->logits(first, out);
        std::copy_n(logits_.get() + first * out.columns(), out.values().size(), out.values().data());
    }

private:
    const Source* source_;
    std::unique_ptr<float[]> logits_;
};

}  // namespace tessera
