// Importance matrices in llama.cpp's older format: no magic, little-endian 32-bit numbers.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/calibrate/imatrix_file.hpp"
#include "tessera/core/bytes.hpp"
#include "tessera/core/error.hpp"
#include "tessera/gguf/cursor.hpp"
#include "tessera/gguf/rules.hpp"
#include "tessera/gguf/serialize.hpp"

namespace tessera {

namespace detail {

template <class = void>
[[nodiscard]] std::uint32_t take_positive(gguf::cursor& in, std::string_view what) {
    const auto number = in.take<std::int32_t>(what);
    if (number < 1) fail(in.where(), ": ", what, ": wanted at least 1, got ", number);
    return static_cast<std::uint32_t>(number);
}

template <class = void>
[[nodiscard]] std::string take_text(gguf::cursor& in, std::string_view what) {
    return std::string(as_text(in.take_bytes(take_positive(in, what), what)));
}

}  // namespace detail

/// Reads a legacy importance matrix: per entry the mean squares times the number of windows. `where` starts messages.
/// Files do not say how often each expert was used: all of an entry's matrices share one count, and those that no
/// token reached have importances of 1. Throws at the first length, name or number that cannot be.
template <class = void>
[[nodiscard]] imatrix_file parse_imatrix_legacy(byte_view bytes, const std::string& where) {
    using namespace detail;
    gguf::cursor in(bytes, where);
    imatrix_file file;
    const std::uint32_t entries = take_positive(in, "number of entries of an importance matrix");
    for (std::uint32_t e = 0; e < entries; ++e) {
        std::string name = take_text(in, concat("name of entry ", e, " of ", entries));
        gguf::require_name(where, name);
        const auto calls = in.take<std::int32_t>("number of windows");
        const std::uint32_t windows = calls > 0 ? static_cast<std::uint32_t>(calls) : 1;
        const std::uint32_t count = take_positive(in, "number of columns");
        const byte_view values = in.take_bytes(std::uint64_t{count} * sizeof(float), "values of " + name);
        tensor_importance entry{std::vector<float>(count), {std::uint64_t{windows} * file.chunk_size}};
        std::memcpy(entry.mean_squares.data(), values.data(), values.size());
        for (float& value : entry.mean_squares) value /= static_cast<float>(windows);
        try {
            file.importances.add(std::move(name), std::move(entry));
        } catch (const error& problem) {
            fail(where, ": ", problem.what());
        }
        file.chunk_count = std::max(file.chunk_count, windows);
    }
    if (in.left() > 0) file.chunk_count = take_positive(in, "number of all windows");
    if (in.left() > 0) file.datasets.push_back(take_text(in, "name of the text"));
    if (in.left() > 0) fail(where, ": wanted the end at offset ", in.position(), ", got ", in.left(), " more bytes");
    return file;
}

/// The bytes of a legacy importance matrix. Entries of tensors that no token reached are left out. Throws when a number
/// does not fit 31 bits, or there is nothing to write.
template <class = void>
[[nodiscard]] std::vector<std::byte> imatrix_legacy_bytes(const imatrix_file& file) {
    gguf::byte_buffer out;
    const auto put = [&](std::uint64_t number) {
        if (number > std::numeric_limits<std::int32_t>::max())
            fail("importance matrix: wanted numbers below 2^31 in the legacy format, got ", number);
        const auto small = static_cast<std::int32_t>(number);
        out.append(&small, sizeof small);
    };
    const auto put_text = [&](std::string_view text) {
        put(text.size());
        out.append(text.data(), text.size());
    };
    const auto is_written = [&](const auto& entry) { return detail::chunks_of(entry.second, file.chunk_size) > 0; };
    const auto count = std::ranges::count_if(file.importances, is_written);
    if (count == 0) fail("importance matrix: wanted entries to write, got none");
    put(static_cast<std::uint64_t>(count));
    std::uint64_t most_windows = file.chunk_count;  // which files in the other format need not say
    for (const auto& named : file.importances) {
        if (!is_written(named)) continue;
        const auto& [name, entry] = named;
        const std::uint64_t windows = detail::chunks_of(entry, file.chunk_size);
        most_windows = std::max(most_windows, windows);
        const std::size_t columns = entry.mean_squares.size() / entry.tokens.size();
        put_text(name);
        put(windows);
        put(entry.mean_squares.size());
        for (std::size_t i = 0; i < entry.mean_squares.size(); ++i) {
            const float mean = entry.tokens[i / columns] == 0 ? 1.0f : entry.mean_squares[i];
            const float value = mean * static_cast<float>(windows);
            if (!std::isfinite(value)) fail("importances of ", name, ": wanted sums that floats hold, got larger ones");
            out.append(&value, sizeof value);
        }
    }
    put(most_windows);
    put_text(file.datasets.empty() || file.datasets.front().empty() ? "unknown"
                                                                    : std::string_view(file.datasets.front()));
    return std::move(out.bytes);
}

}  // namespace tessera
