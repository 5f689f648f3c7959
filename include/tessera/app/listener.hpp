// What work tells while it lasts.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string_view>

#include "tessera/core/error.hpp"
#include "tessera/core/function_ref.hpp"
#include "tessera/core/progress.hpp"

namespace tessera::app {

/// A stage that a verb will come to, and what it, or what is left of it, is estimated to take.
struct planned_stage {
    std::string_view name;
    double seconds;
    std::uint64_t memory = 0;  ///< bytes at its peak; 0: unknown
    std::uint64_t disk = 0;    ///< bytes that it writes
    double done = 0;           ///< the share that an earlier run has left; 1: all
};

/// All of some stages, one after another: their time, and the most memory and disk that any of them takes.
[[nodiscard]] inline planned_stage all_of(std::span<const planned_stage> stages) {
    planned_stage all{.name = "all", .seconds = 0};
    for (const planned_stage& stage : stages) {
        all.seconds += stage.seconds;
        all.memory = std::max(all.memory, stage.memory);
        all.disk = std::max(all.disk, stage.disk);
    }
    return all;
}

/// Whom a verb tells what it does. All may be empty. They refer to callables that outlive the call.
struct listener {
    progress_callback progress = {};
    function_ref<void(std::string_view)> said = {};   ///< a sentence for a person: what was read, resumed, written
    function_ref<void(std::string_view)> noted = {};  ///< the same of how a model's files were read
    /// The stages from here to the end, in order: before they begin, and again when more is known of them.
    function_ref<void(std::span<const planned_stage>)> planned = {};

    /// The same, but the stages are not told.
    [[nodiscard]] listener without_stages() const noexcept { return {progress, said, noted}; }

    /// Says the parts as one sentence.
    template <class... Parts>
    void say(const Parts&... parts) const {
        if (said) said(concat(parts...));
    }
    void plan(std::span<const planned_stage> stages) const {
        if (planned) planned(stages);
    }
    template <class... Parts>
    void note(const Parts&... parts) const {
        if (noted) noted(concat(parts...));
    }
};

}  // namespace tessera::app
