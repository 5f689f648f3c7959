// What long work takes of the memory, and what is left of it for the activations of texts.
#pragma once

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <limits>
#include <span>
#include <string>

#include "tessera/app/options.hpp"
#include "tessera/core/block_index.hpp"
#include "tessera/core/control_groups.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/core/output_rule.hpp"
#include "tessera/core/parallel.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/decoder/linear.hpp"
#include "tessera/decoder/model_metadata.hpp"
#include "tessera/decoder/model_spec.hpp"
#include "tessera/decoder/tile_memory.hpp"
#include "tessera/encode/shared_product.hpp"
#include "tessera/measure/compare.hpp"

namespace tessera::app {

namespace detail {

inline constexpr std::uint64_t no_limit = std::numeric_limits<std::uint64_t>::max();

// The number that a file holds; the largest one if it holds none ("max").
[[nodiscard]] inline std::uint64_t limit_in(const std::filesystem::path& file) {
    std::uint64_t limit = no_limit;
    std::ifstream in(file);
    return in >> limit ? limit : no_limit;
}

[[nodiscard]] inline std::string gigabytes(std::uint64_t bytes) {
    const auto hundredths = static_cast<std::uint64_t>(static_cast<double>(bytes) / 0x1p30 * 100 + 0.5);
    const std::string digits = std::to_string(hundredths % 100);
    return std::to_string(hundredths / 100) + '.' + (digits.size() < 2 ? "0" : "") + digits + " GiB";
}

// What is in memory of this process by now.
[[nodiscard]] inline std::uint64_t resident_bytes() {
    std::uint64_t size = 0, resident = 0;
    std::ifstream("/proc/self/statm") >> size >> resident;
    return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace detail

/// The bytes that the control groups of this process grant: its own ones and those that they are in, of version 2 and
/// version 1. Files are looked for below `root`.
[[nodiscard]] inline std::uint64_t group_memory_limit(const std::filesystem::path& root = "/") {
    const std::filesystem::path mount = root / "sys/fs/cgroup";
    std::uint64_t least =
        std::min(detail::limit_in(mount / "memory.max"), detail::limit_in(mount / "memory/memory.limit_in_bytes"));
    for_each_control_group(root == "/" ? "" : root.string(), "memory",
                           [&](const std::filesystem::path& folder, cgroup_version version) {
                               const bool is_new = version == cgroup_version::v2;
                               const char* name = is_new ? "memory.max" : "memory.limit_in_bytes";
                               least = std::min(least, detail::limit_in(folder / name));
                           });
    return least;
}

/// Bytes that this process can have: what is free on the machine, or less where its groups or its shell limit it.
[[nodiscard]] inline std::uint64_t memory_limit() {
    std::uint64_t limit =
        static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    std::ifstream information("/proc/meminfo");
    std::uint64_t kilobytes = 0;
    for (std::string name; information >> name; information.ignore(256, '\n'))
        if (name == "MemAvailable:" && information >> kilobytes) limit = std::min(limit, kilobytes << 10);
    limit = std::min(limit, group_memory_limit());
    ::rlimit shell{};
    if (::getrlimit(RLIMIT_AS, &shell) == 0 && shell.rlim_cur != RLIM_INFINITY)
        limit = std::min<std::uint64_t>(limit, shell.rlim_cur);
    return limit;
}

/// The options with a place for what does not fit: beside an output, where they name none.
[[nodiscard]] inline memory_options with_scratch(memory_options options, const std::filesystem::path& output) {
    if (options.scratch.empty() && !output.empty()) options.scratch = folder_of(output);
    return options;
}

/// What a model does when it runs over a text: that alone, or encoders learn from it, or damage is measured, too.
enum class memory_stage { running, learning, measuring };

/// What some work takes of the memory beside the activations that are kept, in bytes.
struct memory_needs {
    std::uint64_t now = 0;       ///< by the process as it is
    std::uint64_t weights = 0;   ///< of the layers at work, and of tensors that are encoded
    std::uint64_t matrices = 0;  ///< of moments of inputs
    std::uint64_t tiles = 0;     ///< of activations that are at work
    std::uint64_t logits = 0;

    [[nodiscard]] std::uint64_t all() const noexcept { return now + weights + matrices + tiles + logits; }
};

/// Those of a stage, for a model with these tensors. `encoded` bytes of packed tensors are kept beside. The one place
/// that knows: what is left of the limit is for tiles at rest. Throws when the decoder does not know the model.
[[nodiscard]] inline memory_needs needs_of(memory_stage stage, const metadata& properties,
                                           std::span<const tensor_info> tensors, std::size_t window, int threads,
                                           std::uint64_t encoded = 0) {
    const decoder::model_spec spec = decoder::make_model_spec(properties);
    const auto team = static_cast<std::uint64_t>(thread_count(threads));
    std::uint64_t inputs = spec.width;  // the widest of a matrix that is multiplied
    for (const tensor_info& info : tensors)
        if (info.rank > 1 && block_index(info.name)) inputs = std::max<std::uint64_t>(inputs, info.columns());
    constexpr std::uint64_t loaded = decoder::loaded_weights;
    memory_needs needs{.now = detail::resident_bytes()};
    needs.weights = sizeof(float) * (2 * std::max(loaded, 1024 * inputs) + team * ((1u << 20) + 126 * (inputs + 512)));
    if (spec.experts.count > 0) needs.weights += 8 * sizeof(float) * loaded;  // batches of experts

    // A row on its way through a layer: its hidden state, that normed, and what becomes of it.
    std::uint64_t mixer = spec.heads * (2 * spec.head_size + 2 * spec.value_size);
    if (spec.latent.rank != 0) mixer += spec.heads * (spec.latent.head_size + spec.latent.value_size);
    const decoder::delta_net_spec& net = spec.delta_net;
    mixer = std::max<std::uint64_t>(mixer, (2 * net.key_heads + 4 * net.value_heads) * net.head_size);
    const std::uint64_t floats = 3 * spec.width + std::max({mixer, 3 * inputs});
    needs.tiles = sizeof(float) * decoder::tile_rows_of(nullptr, window) * floats;

    const std::uint64_t logits = evaluate_options{}.logits_bytes;
    if (stage == memory_stage::running) needs.logits = logits;
    if (stage == memory_stage::measuring) needs.logits = 3 * logits;
    if (stage == memory_stage::running) return needs;
    needs.matrices = sizeof(float) * (5 * inputs * inputs / 2 +
                                      2 * tessera::detail::product_depth * inputs);  // these: packed for products
    needs.weights += sizeof(float) * team * 64 * 6 * inputs + encoded;               // rows that encoders work on
    return needs;
}

/// The bytes that the options allow.
[[nodiscard]] inline std::uint64_t memory_limit_of(const memory_options& options) {
    return options.bytes > 0 ? options.bytes : memory_limit() / 5 * 4;
}

/// The memory that activations of a stage may have: what the options leave. Throws when that is less than nothing, with
/// what would do.
[[nodiscard]] inline decoder::tile_memory_options tile_memory_of(const memory_options& options,
                                                                 const memory_needs& needs) {
    const std::uint64_t limit = memory_limit_of(options);
    if (needs.all() > limit)
        fail("--memory: wanted at least ", detail::gigabytes(needs.all() + (1u << 24)), " for this model (",
             detail::gigabytes(needs.now), " by now, ", detail::gigabytes(needs.weights), " for weights, ",
             detail::gigabytes(needs.matrices), " for moments of inputs, ", detail::gigabytes(needs.tiles),
             " for tokens at work, ", detail::gigabytes(needs.logits), " for logits), got ", detail::gigabytes(limit),
             options.bytes > 0 ? "" : ", four fifths of what is free");
    return {.bytes = limit - needs.all(), .scratch = options.scratch};
}

}  // namespace tessera::app
