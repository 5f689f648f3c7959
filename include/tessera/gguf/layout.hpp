// Where everything lies in the files of a model, known before a byte is written. Templates without arguments: whoever
// only reads files does not compile how they are laid out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "tessera/core/checked.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/gguf/serialize.hpp"
#include "tessera/gguf/split.hpp"

namespace tessera::gguf {

inline constexpr std::string_view alignment_key = "general.alignment";

/// The alignment of every file we write. Other values are legal, but stock tools that rewrite a file keep the key and
/// align to 32 all the same.
inline constexpr std::uint32_t default_alignment = 32;

/// One file: metadata, a run of the model's tensors, and where their data lie.
struct file_layout {
    tessera::metadata properties;
    std::span<const tensor_info> tensors;
    std::vector<std::uint64_t> offsets;  ///< of each tensor, from data_offset
    std::uint64_t data_offset = 0;
    std::uint64_t bytes = 0;  ///< of the whole file, padding included

    /// Everything before the data.
    template <class = void>
    [[nodiscard]] std::vector<std::byte> header() const {
        byte_buffer out;
        put_metadata(out, tensors.size(), properties);
        for (std::size_t t = 0; t < tensors.size(); ++t) put_tensor(out, tensors[t], offsets[t]);
        out.bytes.resize(data_offset);  // zero padding
        return std::move(out.bytes);
    }
};

namespace detail {

/// Adds up the size of a file tensor by tensor.
class file_size_sum {
public:
    template <class = void>
    explicit file_size_sum(const tessera::metadata& properties) {
        byte_counter counter;
        put_metadata(counter, 0, properties);
        header_ = counter.count;
    }
    template <class = void>
    void add(const tensor_info& info) {
        byte_counter counter;
        put_tensor(counter, info, 0);
        header_ += counter.count;
        offset_ = data_;
        const auto padded = checked_align(info.bytes(), default_alignment);
        const auto data = padded ? checked_add(data_, *padded) : std::nullopt;
        if (!data || *data > std::uint64_t{1} << 62)
            fail("tensor ", info.name, ": wanted a file below 2^62 bytes, got more");
        data_ = *data;
    }
    [[nodiscard]] std::uint64_t last_offset() const noexcept { return offset_; }
    [[nodiscard]] std::uint64_t data_offset() const noexcept { return *checked_align(header_, default_alignment); }
    [[nodiscard]] std::uint64_t bytes() const noexcept { return data_offset() + data_; }

private:
    std::uint64_t header_ = 0;
    std::uint64_t data_ = 0;
    std::uint64_t offset_ = 0;
};

template <class = void>
file_layout plan_file(std::span<const tensor_info> tensors, tessera::metadata properties) {
    file_size_sum size(properties);
    std::vector<std::uint64_t> offsets;
    for (const tensor_info& info : tensors) {
        size.add(info);
        offsets.push_back(size.last_offset());
    }
    return {std::move(properties), tensors, std::move(offsets), size.data_offset(), size.bytes()};
}

/// The metadata a file of ours carries: without the keys that are true of another file only.
template <class = void>
tessera::metadata own_metadata(tessera::metadata properties) {
    erase_split(properties);
    if (const metadata_value* alignment = properties.find(alignment_key)) {
        const auto* number = std::get_if<std::uint32_t>(alignment);
        if (number == nullptr || *number != default_alignment) properties.erase(alignment_key);
    }
    return properties;
}

template <class = void>
void set_split(tessera::metadata& properties, std::size_t number, std::size_t count, std::size_t tensors) {
    gguf::set_split(properties, split_number, static_cast<std::uint16_t>(number));
    gguf::set_split(properties, split_count, static_cast<std::uint16_t>(count));
    gguf::set_split(properties, split_tensors, static_cast<std::int32_t>(tensors));
}

}  // namespace detail

/// The exact size of the file that the writer makes of these tensors and this metadata, when it makes a single one.
template <class = void>
[[nodiscard]] std::uint64_t file_size(std::span<const tensor_info> tensors, const tessera::metadata& properties) {
    detail::file_size_sum size(detail::own_metadata(properties));
    for (const tensor_info& info : tensors) size.add(info);
    return size.bytes();
}

/// What that file holds before the first tensor's data: it depends on the tensors' names and ranks, not on their types.
template <class = void>
[[nodiscard]] std::uint64_t header_size(std::span<const tensor_info> tensors, const tessera::metadata& properties) {
    detail::file_size_sum size(detail::own_metadata(properties));
    for (const tensor_info& info : tensors) size.add(info);
    return size.data_offset();
}

/// Lays a model out in files of at most `max_bytes` each (0: no limit): one file when all fit in, else shards that take
/// the tensors in order, the first with all metadata. A shard holds at least one tensor, so one that is larger than
/// the limit makes a larger file. The layouts refer to `tensors`. Throws when there would be more than 65535 shards.
template <class = void>
[[nodiscard]] std::vector<file_layout> plan_files(std::span<const tensor_info> tensors,
                                                  const tessera::metadata& properties, std::uint64_t max_bytes) {
    tessera::metadata first = detail::own_metadata(properties);
    if (file_layout whole = detail::plan_file(tensors, first);
        max_bytes == 0 || whole.bytes <= max_bytes || tensors.size() < 2)
        return {std::move(whole)};

    if (tensors.size() > std::size_t{std::numeric_limits<std::int32_t>::max()})
        fail("a split model: wanted fewer than 2^31 tensors, got ", tensors.size());
    tessera::metadata later;
    detail::set_split(first, 0, 0, 0);  // their size does not depend on their value
    detail::set_split(later, 0, 0, 0);

    std::vector<std::span<const tensor_info>> runs;
    std::size_t begin = 0;
    detail::file_size_sum size(first);
    for (std::size_t t = 0; t < tensors.size(); ++t) {
        detail::file_size_sum extended = size;
        extended.add(tensors[t]);
        if (t > begin && extended.bytes() > max_bytes) {
            runs.push_back(tensors.subspan(begin, t - begin));
            begin = t;
            extended = detail::file_size_sum(later);
            extended.add(tensors[t]);
        }
        size = extended;
    }
    runs.push_back(tensors.subspan(begin));
    if (runs.size() > std::numeric_limits<std::uint16_t>::max())
        fail("a split model: wanted at most 65535 shards, got ", runs.size(), " with a limit of ", max_bytes,
             " bytes each");

    std::vector<file_layout> files;
    for (std::size_t i = 0; i < runs.size(); ++i) {
        tessera::metadata& properties_of_shard = i == 0 ? first : later;
        detail::set_split(properties_of_shard, i, runs.size(), tensors.size());
        files.push_back(detail::plan_file(runs[i], properties_of_shard));
    }
    return files;
}

}  // namespace tessera::gguf
