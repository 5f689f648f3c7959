#include "jinja/work_counter.hpp"

#include <cstddef>

namespace {

std::uint64_t work = 0;

void count_bytes(std::size_t count) { work += 1 + count / 8; }

}  // namespace

std::uint64_t support::work_done() noexcept { return work; }

// These take the place of the C library's for the whole program. Compiled without built-ins, so that no loop here is
// turned into a call of itself.
extern "C" {

void __sanitizer_cov_trace_pc() { ++work; }

int memcmp(const void* a, const void* b, std::size_t count) {
    const auto* x = static_cast<const unsigned char*>(a);
    const auto* y = static_cast<const unsigned char*>(b);
    std::size_t i = 0;
    while (i < count && x[i] == y[i]) ++i;
    count_bytes(i);
    return i == count ? 0 : x[i] - y[i];
}

void* memchr(const void* text, int wanted, std::size_t count) {
    auto* bytes = const_cast<unsigned char*>(static_cast<const unsigned char*>(text));
    std::size_t i = 0;
    while (i < count && bytes[i] != static_cast<unsigned char>(wanted)) ++i;
    count_bytes(i);
    return i == count ? nullptr : bytes + i;
}

void* memmove(void* to, const void* from, std::size_t count) {
    auto* target = static_cast<unsigned char*>(to);
    const auto* source = static_cast<const unsigned char*>(from);
    if (target < source)
        for (std::size_t i = 0; i < count; ++i) target[i] = source[i];
    else
        for (std::size_t i = count; i-- > 0;) target[i] = source[i];
    count_bytes(count);
    return to;
}

void* memcpy(void* to, const void* from, std::size_t count) { return memmove(to, from, count); }

void* memset(void* to, int byte, std::size_t count) {
    auto* target = static_cast<unsigned char*>(to);
    for (std::size_t i = 0; i < count; ++i) target[i] = static_cast<unsigned char>(byte);
    count_bytes(count);
    return to;
}
}
