// What error feedback saves in every format on every tensor.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/core/type_id.hpp"

namespace tessera {

/// By what part the relative errors that `weighted` leaves shrink with error feedback.
struct feedback_gains {
    struct gain {
        type_layout layout;
        double factor;  ///< on the relative error; 1 where feedback does not help
    };
    /// The name is that of the tensor's role: an embedding table that is the output, too, has two entries. As
    /// embedding, which nothing is multiplied with, it gets worse: what feedback saves of one column's error others
    /// pay.
    struct tensor_gains {
        std::string name;
        std::vector<gain> formats{};
    };
    std::vector<tensor_gains> tensors{};

    /// The factor of a tensor in a format: 1 where nothing is known.
    [[nodiscard]] double factor(std::string_view name, type_id format) const noexcept {
        const auto tensor = std::ranges::find(tensors, name, &tensor_gains::name);
        if (tensor == tensors.end()) return 1.0;
        const auto found = std::ranges::find(tensor->formats, format, [](const gain& g) { return g.layout.id; });
        return found == tensor->formats.end() ? 1.0 : found->factor;
    }
};

}  // namespace tessera
