// Rows of activations in tiles, in memory or in a scratch file.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

#include "tessera/config.hpp"
#include "tessera/core/bytes.hpp"
#include "tessera/core/view.hpp"
#include "tessera/decoder/matrix.hpp"
#include "tessera/decoder/tile_memory.hpp"

namespace tessera::decoder {

/// Activations of windows of tokens: one row per token, window after window. Positions start at 0 in every window, and
/// no window sees another.
///
/// Rows lie in tiles of whole windows, whose sizes depend on the window alone. The first tiles are in memory as far as
/// that goes, since all are visited in turn; the others are in the scratch file, as the same floats. A tile is taken,
/// worked on and put back, or looked at.
class activations {
public:
    /// Room for rows; every tile has to be put before it is taken.
    activations(std::size_t rows, std::size_t columns, std::size_t window, std::size_t tile_rows, tile_memory* memory)
        : rows_(rows), columns_(columns), window_(window), tile_rows_(tile_rows), memory_(memory) {
        for (std::size_t i = 0; i * tile_rows_ < rows_; ++i) {
            const std::uint64_t size = bytes_of(i);
            tile& added = tiles_.emplace_back();
            added.in_memory = memory_ == nullptr || memory_->reserve(size);
            if (!added.in_memory) added.offset = memory_->scratch().allocate(size);
        }
    }
    activations(std::size_t rows, std::size_t columns, std::size_t window, tile_memory* memory = nullptr)
        : activations(rows, columns, window, tile_rows_of(memory, window), memory) {}

    /// Some rows as a store of one tile, in memory.
    activations(matrix rows, std::size_t window)
        : rows_(static_cast<std::size_t>(rows.rows())),
          columns_(static_cast<std::size_t>(rows.cols())),
          window_(window),
          tile_rows_(std::max<std::size_t>(1, rows_)),
          memory_(nullptr) {
        if (rows_ > 0) tiles_.push_back({true, 0, std::move(rows)});
    }

    activations(activations&& other) noexcept
        : rows_(other.rows_),
          columns_(other.columns_),
          window_(other.window_),
          tile_rows_(other.tile_rows_),
          memory_(other.memory_),
          tiles_(std::exchange(other.tiles_, {})) {}
    activations& operator=(activations&& other) noexcept {
        activations moved(std::move(other));
        std::swap(rows_, moved.rows_);
        std::swap(columns_, moved.columns_);
        std::swap(window_, moved.window_);
        std::swap(tile_rows_, moved.tile_rows_);
        std::swap(memory_, moved.memory_);
        std::swap(tiles_, moved.tiles_);
        return *this;
    }
    activations(const activations& other)
        : activations(other.rows_, other.columns_, other.window_, other.tile_rows_, other.memory_) {
        matrix buffer;
        for (std::size_t i = 0; i < tiles(); ++i) put(i, matrix(other.look(i, buffer)));
    }
    activations& operator=(const activations& other) { return *this = activations(other); }
    ~activations() {
        for (std::size_t i = 0; memory_ != nullptr && i < tiles_.size(); ++i) {
            if (tiles_[i].in_memory)
                memory_->release(bytes_of(i));
            else
                memory_->scratch().release(tiles_[i].offset, bytes_of(i));
        }
    }

    [[nodiscard]] std::size_t rows() const noexcept { return rows_; }
    [[nodiscard]] std::size_t columns() const noexcept { return columns_; }
    [[nodiscard]] std::size_t window() const noexcept { return window_; }  ///< tokens in one
    [[nodiscard]] tile_memory* memory() const noexcept { return memory_; }

    [[nodiscard]] std::size_t tiles() const noexcept { return tiles_.size(); }
    [[nodiscard]] std::size_t tile_rows() const noexcept { return tile_rows_; }  ///< of all but perhaps the last
    [[nodiscard]] std::size_t first_row(std::size_t tile) const noexcept { return tile * tile_rows_; }
    [[nodiscard]] std::size_t rows_of(std::size_t tile) const noexcept {
        return std::min(tile_rows_, rows_ - first_row(tile));
    }

    /// The rows of a tile, which is empty until rows are put.
    [[nodiscard]] matrix take(std::size_t i) {
        if (tiles_[i].in_memory) return std::move(tiles_[i].values);
        return read(i);
    }
    void put(std::size_t i, matrix&& values) {
        TESSERA_ASSERT(static_cast<std::size_t>(values.rows()) == rows_of(i) &&
                           static_cast<std::size_t>(values.cols()) == columns_,
                       "a tile keeps its shape");
        if (tiles_[i].in_memory)
            tiles_[i].values = std::move(values);
        else
            memory_->scratch().write(tiles_[i].offset, as_byte_view(std::span<const float>(
                                                           values.data(), static_cast<std::size_t>(values.size()))));
    }
    /// The rows of a tile, which stay; `buffer` is where they lie unless they are in memory anyway.
    [[nodiscard]] const matrix& look(std::size_t i, matrix& buffer) const {
        if (tiles_[i].in_memory) return tiles_[i].values;
        buffer = read(i);
        return buffer;
    }

    /// Rows one after another, from any thread; none is in a tile that was taken.
    void read_rows(std::size_t first, std::span<float> out) const {
        for_each_part(first, out.size() / columns_, [&](std::size_t i, std::size_t row, std::size_t at, std::size_t n) {
            const std::span<float> part = out.subspan(at * columns_, n * columns_);
            if (tiles_[i].in_memory)
                std::copy_n(tiles_[i].values.data() + row * columns_, part.size(), part.data());
            else
                memory_->scratch().read(tiles_[i].offset + row * columns_ * sizeof(float),
                                        std::as_writable_bytes(part));
        });
    }
    void write_rows(std::size_t first, std::span<const float> in) {
        for_each_part(first, in.size() / columns_, [&](std::size_t i, std::size_t row, std::size_t at, std::size_t n) {
            const std::span<const float> part = in.subspan(at * columns_, n * columns_);
            if (tiles_[i].in_memory)
                std::copy_n(part.data(), part.size(), tiles_[i].values.data() + row * columns_);
            else
                memory_->scratch().write(tiles_[i].offset + row * columns_ * sizeof(float), as_byte_view(part));
        });
    }

    /// Copies of chosen windows, in the order given.
    [[nodiscard]] activations windows(std::span<const std::size_t> chosen) const {
        activations some(chosen.size() * window_, columns_, window_, memory_);
        for (std::size_t i = 0; i < some.tiles(); ++i) {
            matrix rows(static_cast<Eigen::Index>(some.rows_of(i)), static_cast<Eigen::Index>(columns_));
            for (std::size_t row = 0; row < some.rows_of(i); row += window_)
                read_rows(chosen[(some.first_row(i) + row) / window_] * window_,
                          {rows.data() + row * columns_, window_ * columns_});
            some.put(i, std::move(rows));
        }
        return some;
    }
    /// Puts what windows(chosen) gave, changed since, in its place.
    void put_windows(std::span<const std::size_t> chosen, const activations& some) {
        std::vector<float> rows(window_ * columns_);
        for (std::size_t i = 0; i < chosen.size(); ++i) {
            some.read_rows(i * window_, rows);
            write_rows(chosen[i] * window_, rows);
        }
    }

private:
    struct tile {
        bool in_memory = false;
        std::uint64_t offset = 0;  // in the scratch file
        matrix values{};
    };

    [[nodiscard]] std::uint64_t bytes_of(std::size_t i) const noexcept { return rows_of(i) * columns_ * sizeof(float); }

    [[nodiscard]] matrix read(std::size_t i) const {
        matrix values(static_cast<Eigen::Index>(rows_of(i)), static_cast<Eigen::Index>(columns_));
        memory_->scratch().read(tiles_[i].offset,
                                std::as_writable_bytes(std::span(values.data(), rows_of(i) * columns_)));
        return values;
    }

    // body(tile, row in it, row of those asked for, rows)
    template <class Body>
    void for_each_part(std::size_t first, std::size_t rows, Body&& body) const {
        for (std::size_t done = 0; done < rows;) {
            const std::size_t i = (first + done) / tile_rows_, row = (first + done) % tile_rows_;
            const std::size_t n = std::min(rows - done, rows_of(i) - row);
            body(i, row, done, n);
            done += n;
        }
    }

    std::size_t rows_, columns_, window_, tile_rows_;
    tile_memory* memory_;
    std::vector<tile> tiles_;
};

/// The rows of all tiles, for those who know that they fit.
[[nodiscard]] inline matrix all_rows(const activations& state) {
    matrix all(static_cast<Eigen::Index>(state.rows()), static_cast<Eigen::Index>(state.columns()));
    state.read_rows(0, {all.data(), static_cast<std::size_t>(all.size())});
    return all;
}

}  // namespace tessera::decoder
