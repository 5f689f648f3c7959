// How much of the activations is in memory, and where the rest is.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <memory>
#include <utility>

#include "tessera/core/scratch_file.hpp"

namespace tessera::decoder {

struct tile_memory_options {
    /// That tiles at rest may take, all stores together; beyond that they lie in a scratch file, which is made when it
    /// is first needed. Tiles at work are not counted.
    std::uint64_t bytes = std::numeric_limits<std::uint64_t>::max();
    std::filesystem::path scratch{};  ///< the folder of the scratch file; empty: that of temporary files
    /// Tokens in a tile, or fewer where that makes whole windows, and a window at least. What is summed over tokens is
    /// summed tile by tile, so results may differ in their last bits with this number; with no other one here.
    std::size_t tile_tokens = 4096;
};

/// What the stores of some work share: see activations. Used from one thread; must outlive the stores. Stores without
/// one are in memory.
class tile_memory {
public:
    explicit tile_memory(tile_memory_options options = {}) : options_(std::move(options)) {}

    /// Rows of a tile whose windows have so many.
    [[nodiscard]] std::size_t tile_rows(std::size_t window) const noexcept {
        return std::max<std::size_t>(1, options_.tile_tokens / window) * window;
    }

    /// Sets bytes of memory aside, if there are so many.
    [[nodiscard]] bool reserve(std::uint64_t bytes) noexcept {
        if (reserved_ > options_.bytes || bytes > options_.bytes - reserved_) return false;
        reserved_ += bytes;
        return true;
    }
    void release(std::uint64_t bytes) noexcept { reserved_ -= bytes; }
    /// Bytes that are set aside.
    [[nodiscard]] std::uint64_t reserved() const noexcept { return reserved_; }

    /// Bytes of something else that are taken in any case, while this lives: so much less is for tiles.
    class taken {
    public:
        /// Without a memory it does nothing.
        taken(tile_memory* memory, std::uint64_t bytes) noexcept : memory_(memory), bytes_(bytes) {
            if (memory_ != nullptr) memory_->reserved_ += bytes_;
        }
        taken(const taken&) = delete;
        taken& operator=(const taken&) = delete;
        ~taken() {
            if (memory_ != nullptr) memory_->release(bytes_);
        }

    private:
        tile_memory* memory_;
        std::uint64_t bytes_;
    };

    [[nodiscard]] scratch_file& scratch() {
        if (file_ == nullptr)
            file_ = std::make_unique<scratch_file>(options_.scratch.empty() ? std::filesystem::temp_directory_path()
                                                                            : options_.scratch);
        return *file_;
    }
    /// The most bytes that were in the scratch file.
    [[nodiscard]] std::uint64_t scratch_bytes() const noexcept { return file_ == nullptr ? 0 : file_->size(); }

private:
    tile_memory_options options_;
    std::uint64_t reserved_ = 0;
    std::unique_ptr<scratch_file> file_;
};

/// Rows of a tile where memory is not limited, and none was made for it.
[[nodiscard]] inline std::size_t tile_rows_of(const tile_memory* memory, std::size_t window) {
    return memory != nullptr ? memory->tile_rows(window) : tile_memory().tile_rows(window);
}

}  // namespace tessera::decoder
