// Reading and writing at a place of an open file, all of it, whatever a single call takes.
#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "tessera/core/bytes.hpp"

namespace tessera::detail {

// Moves all bytes by calls of transfer(first byte, bytes, offset), which is pread or pwrite. Where one does not go on,
// calls failed(bytes that are left, their offset, reason), which throws; `at_end` is the reason when there is no error.
template <class Byte, class Transfer, class Failed>
void transfer_all(std::uint64_t offset, std::span<Byte> bytes, const char* at_end, Transfer&& transfer,
                  Failed&& failed) {
    constexpr std::size_t most = std::size_t{1} << 30;  // one call takes less than 2^31
    while (!bytes.empty()) {
        const ::ssize_t done = transfer(bytes.data(), std::min(bytes.size(), most), static_cast<::off_t>(offset));
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) failed(bytes.size(), offset, done < 0 ? std::strerror(errno) : at_end);
        offset += static_cast<std::uint64_t>(done);
        bytes = bytes.subspan(static_cast<std::size_t>(done));
    }
}

template <class Failed>
void write_all(int descriptor, std::uint64_t offset, byte_view bytes, Failed&& failed) {
    const auto write = [&](const std::byte* from, std::size_t size, ::off_t at) {
        return ::pwrite(descriptor, from, size, at);
    };
    transfer_all(offset, bytes, "no room", write, failed);
}

template <class Failed>
void read_all(int descriptor, std::uint64_t offset, std::span<std::byte> bytes, Failed&& failed) {
    const auto read = [&](std::byte* to, std::size_t size, ::off_t at) { return ::pread(descriptor, to, size, at); };
    transfer_all(offset, bytes, "it ends before", read, failed);
}

}  // namespace tessera::detail
