// What a program does, counted.
#pragma once

#include <cstdint>

namespace support {

/// Blocks of instructions that have been run in files compiled with -fsanitize-coverage=trace-pc, and the bytes that
/// the C library's functions on memory went through, eight for one. The same in every run and on every machine.
[[nodiscard]] std::uint64_t work_done() noexcept;

}  // namespace support
