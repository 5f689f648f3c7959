// Importances: a weight for every column of every tensor's matrices.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/core/tensor_info.hpp"

namespace tessera {

/// Mean squares of the inputs of one tensor's matrices.
struct tensor_importance {
    std::vector<float> mean_squares;    ///< matrices x columns
    std::vector<std::uint64_t> tokens;  ///< that went through each matrix, or one number for all of them

    /// The matrices that no token reached.
    [[nodiscard]] std::uint64_t unreached() const noexcept {
        return static_cast<std::uint64_t>(std::count(tokens.begin(), tokens.end(), 0u));
    }
    friend bool operator==(const tensor_importance&, const tensor_importance&) = default;
};

/// Importances by tensor name.
class importance_table {
public:
    using entries = std::map<std::string, tensor_importance, std::less<>>;

    /// Adds the importances of a tensor. Throws when there are some already, a number is negative or not finite, or the
    /// token counts do not divide the columns.
    void add(std::string name, tensor_importance importance) {
        const auto& [values, tokens] = importance;
        if (values.empty() || tokens.empty() || values.size() % tokens.size() != 0)
            fail("importances of ", name, ": wanted a multiple of the ", tokens.size(), " token counts, got ",
                 values.size(), " columns");
        const auto bad = std::ranges::find_if(values, [](float x) { return !std::isfinite(x) || x < 0.0f; });
        if (bad != values.end())
            fail("importances of ", name, ": wanted finite mean squares, got ", *bad, " at place ",
                 bad - values.begin());
        if (!entries_.emplace(std::move(name), std::move(importance)).second)
            fail("importances of ", name, ": wanted one entry, got two");
    }

    /// The importances of a tensor by its name, or null.
    [[nodiscard]] const tensor_importance* find(std::string_view name) const {
        const auto found = entries_.find(name);
        return found == entries_.end() ? nullptr : &found->second;
    }

    /// One importance for each column of a tensor's matrix (see matrix_count); nothing when there are none for it or no
    /// token reached it. Throws when the tensor's shape is another than that of the entry.
    [[nodiscard]] std::span<const float> find(const tensor_info& info, std::uint64_t matrix) const {
        const tensor_importance* entry = find(info.name);
        if (entry == nullptr) return {};
        const std::uint64_t matrices = matrix_count(info);
        const std::size_t counts = entry->tokens.size();
        if (entry->mean_squares.size() != info.columns() * matrices || (counts != 1 && counts != matrices))
            fail("importances of ", info.name, ": wanted ", matrices, " x ", info.columns(),
                 " for the matrices and columns of the tensor, got ", entry->mean_squares.size(), " with ", counts,
                 " token counts");
        if (entry->tokens[counts == 1 ? 0 : matrix] == 0) return {};
        return std::span(entry->mean_squares).subspan(matrix * info.columns(), info.columns());
    }

    /// Throws when a tensor's shape is another than that of its entry, or no entry is for any of the tensors: the table
    /// is then another model's.
    void require_fit(std::span<const tensor_info> tensors) const {
        bool any = empty();
        for (const tensor_info& info : tensors) {
            (void)find(info, 0);
            any = any || find(info.name) != nullptr;
        }
        if (!any)
            fail("importances: wanted some for the tensors of the model, got only others, such as ",
                 entries_.begin()->first);
    }

    [[nodiscard]] bool empty() const noexcept { return entries_.empty(); }
    [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }
    [[nodiscard]] auto begin() const noexcept { return entries_.begin(); }  ///< in order of names
    [[nodiscard]] auto end() const noexcept { return entries_.end(); }
    friend bool operator==(const importance_table&, const importance_table&) = default;

private:
    entries entries_;
};

}  // namespace tessera
