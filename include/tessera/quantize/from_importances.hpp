// A schedule for encoders that need no text: importances from a table.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "tessera/calibrate/importance_table.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/quantize/encoding_job.hpp"

namespace tessera {

/// All matrices at once, with the importances of a table, or none. The table must outlive it. Throws when it is that of
/// another model.
struct from_importances {
    const importance_table* table = nullptr;  ///< null: all columns count alike

    template <class Job>
    void run(Job& job) const {
        static_assert(!Job::needs().any(), "this encoder learns from text: use the schedule from_text");
        job.resume([](const tensor_info&) { return true; }, lost_tensors::one_by_one);
        if (table == nullptr) return;
        const std::vector<tensor_info> targets = job.plan().targets();
        table->require_fit(targets);
        std::vector<known_matrix> all;
        for (std::size_t t = 0; t < targets.size(); ++t) {
            const tensor_importance* entry = table->find(targets[t].name);
            for (std::size_t m = 0; m < matrix_count(targets[t]); ++m) {
                if (job.is_done({t, m})) continue;
                const std::uint64_t tokens = entry == nullptr            ? 0
                                             : entry->tokens.size() == 1 ? entry->tokens.front()
                                                                         : entry->tokens[m];
                all.push_back({{t, m}, {.importance = table->find(targets[t], m), .tokens = tokens}});
            }
        }
        job.encode(all);
    }
};

}  // namespace tessera
