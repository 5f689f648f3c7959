// What a command will take, told before it starts.
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "tessera/app/disk_space.hpp"
#include "tessera/app/listener.hpp"
#include "tessera/app/memory.hpp"
#include "tessera/app/options.hpp"
#include "tessera/app/texts.hpp"
#include "tessera/app/work_estimate.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/core/output_rule.hpp"
#include "tessera/core/tensor_info.hpp"

namespace tessera::app {

/// The stages of a command, and the room on disks that all of them need.
struct forecast {
    std::vector<planned_stage> stages{};
    std::vector<disk_need> disk{};  ///< scratch file, unfinished work, output: those that need any
};

/// Where a command writes. Empty names: nowhere.
struct places {
    std::filesystem::path work{};    ///< the folder of unfinished work
    std::filesystem::path output{};  ///< the file
};

/// What the stages take of a machine of this speed, in the memory that the options allow: what does not fit of the
/// activations goes to the scratch file. A window of 0 tokens is that of the model by default. Work that an earlier run
/// has left in its folder is there already.
[[nodiscard]] inline forecast forecast_of(std::span<const stage_cost> stages, std::span<const tensor_info> tensors,
                                          const metadata& properties, const memory_options& memory, std::size_t window,
                                          int threads, const places& where, const machine_speed& speed) {
    const std::uint64_t limit = memory_limit_of(memory);
    forecast all;
    std::uint64_t scratch = 0, kept = 0, written = 0;
    byte_bound bound = byte_bound::expected;
    for (const stage_cost& stage : stages) {
        planned_stage planned{.name = stage.name, .seconds = stage.seconds_left(speed), .done = stage.done};
        if (stage.done >= 1) {
            all.stages.push_back(planned);
            continue;
        }
        std::uint64_t spilt = 0;
        if (stage.runs) {
            const std::uint64_t fixed = needs_of(*stage.runs, properties, tensors, window_length(window, properties),
                                                 threads, stage.encoded_bytes)
                                            .all();
            const auto at_rest = static_cast<std::uint64_t>(sizeof(float) * stage.floats_at_rest);
            const std::uint64_t in_memory = std::min(at_rest, limit > fixed ? limit - fixed : 0);
            planned.memory = fixed + in_memory;
            spilt = at_rest - in_memory;
        }
        const auto kept_now = static_cast<std::uint64_t>(where.work.empty() ? 0.0 : stage.kept_bytes);
        planned.disk = spilt + kept_now + stage.written_bytes;
        scratch = std::max(scratch, spilt);
        kept = std::max(kept, kept_now);
        written += stage.written_bytes;
        if (stage.written == byte_bound::at_most) bound = stage.written;
        all.stages.push_back(planned);
    }
    const auto add = [&](const std::filesystem::path& folder, std::uint64_t bytes,
                         byte_bound is = byte_bound::expected) {
        if (bytes > 0) all.disk.push_back({folder, bytes, is});
    };
    const std::uint64_t there = where.work.empty() ? 0 : bytes_in(where.work);
    add(memory.scratch.empty() ? std::filesystem::temp_directory_path() : memory.scratch, scratch);
    add(where.work, kept - std::min(kept, there));
    add(where.output.empty() ? std::filesystem::path() : folder_of(where.output),
        written - std::min(written, there - std::min(kept, there)), bound);
    return all;
}

/// Tells the listener the stages, and throws when there is not enough room on the disks. foretold(speed) is the
/// forecast of the stages on a machine of this speed.
template <class Foretold>
void announce(std::span<const stage_cost> stages, const Foretold& foretold, int threads, const listener& listener) {
    const forecast all = foretold(listener.planned ? speed_for(stages, threads) : slow_machine);
    require_space(all.disk);
    listener.plan(all.stages);
}

}  // namespace tessera::app
