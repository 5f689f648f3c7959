// Whether what is about to be done fits into memory.
#pragma once

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>

#include "tessera/core/error.hpp"
#include "tessera/core/metadata.hpp"

namespace tessera::app {

namespace detail {

// The largest of a key's values, which has one for every layer in some models; 0 without the key.
[[nodiscard]] inline std::uint64_t largest(const metadata& properties, const std::string& key) {
    const metadata_value* found = properties.find(key);
    if (found == nullptr) return 0;
    return std::visit(
        []<class T>(const T& v) -> std::uint64_t {
            if constexpr (std::is_integral_v<T>) {
                return v > 0 ? static_cast<std::uint64_t>(v) : 0;
            } else if constexpr (requires {
                                     typename T::value_type;
                                     requires std::is_integral_v<typename T::value_type>;
                                 }) {
                std::uint64_t most = 0;
                for (const auto one : v) most = std::max(most, one > 0 ? static_cast<std::uint64_t>(one) : 0);
                return most;
            } else {
                return 0;
            }
        },
        *found);
}

// At least: a row of hidden states, its normed copy, and the widest that a layer makes of it, in floats. Routed experts
// see a part of the tokens at a time and are not counted.
[[nodiscard]] inline std::uint64_t bytes_per_token(const metadata& properties) {
    const std::string prefix = properties.get_or<std::string>("general.architecture", "") + '.';
    const auto count = [&](const char* key) { return largest(properties, prefix + key); };
    const std::uint64_t width = count("embedding_length");
    const std::uint64_t inner =
        count(count("expert_count") > 0 ? "expert_shared_feed_forward_length" : "feed_forward_length");
    return sizeof(float) * (2 * width + std::max(width, inner));
}

[[nodiscard]] inline std::string gigabytes(std::uint64_t bytes) {
    const std::uint64_t tenths = (bytes + 50'000'000) / 100'000'000;
    return std::to_string(tenths / 10) + '.' + std::to_string(tenths % 10) + " GB";
}

}  // namespace detail

/// Bytes that this process can have: what is free on the machine, or less where its group or its shell limits it.
[[nodiscard]] inline std::uint64_t memory_limit() {
    std::uint64_t limit =
        static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    std::ifstream information("/proc/meminfo");
    std::uint64_t kilobytes = 0;
    for (std::string name; information >> name; information.ignore(256, '\n'))
        if (name == "MemAvailable:" && information >> kilobytes) limit = std::min(limit, kilobytes << 10);
    std::uint64_t group = 0;
    if (std::ifstream("/sys/fs/cgroup/memory.max") >> group) limit = std::min(limit, group);
    ::rlimit shell{};
    if (::getrlimit(RLIMIT_AS, &shell) == 0 && shell.rlim_cur != RLIM_INFINITY)
        limit = std::min<std::uint64_t>(limit, shell.rlim_cur);
    return limit;
}

/// Throws when a model that these metadata describe needs more memory than there is to run over so many tokens at once:
/// it holds their hidden states, and what a layer makes of them. `remedy` ends the message.
inline void require_memory(const metadata& properties, std::size_t tokens, std::string_view remedy) {
    const std::uint64_t limit = memory_limit(), each = detail::bytes_per_token(properties);
    if (each == 0 || tokens <= limit / each) return;
    fail("texts: ", tokens, " tokens take about ", detail::gigabytes(tokens * each),
         " while the model runs over them, wanted at most ", detail::gigabytes(limit),
         ", which is all the memory that is free (", limit / each, " tokens); ", remedy);
}

}  // namespace tessera::app
