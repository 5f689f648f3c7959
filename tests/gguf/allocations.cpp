// Replaces the global allocation functions; alone in its file, so that compilers cannot look through them.
#include "gguf/allocations.hpp"

#include <algorithm>
#include <cstdlib>
#include <new>

namespace {
thread_local std::size_t largest = 0;
}

std::size_t support::largest_allocation() noexcept { return largest; }
void support::reset_largest_allocation() noexcept { largest = 0; }

void* operator new(std::size_t size) {
    largest = std::max(largest, size);
    if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
    throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
