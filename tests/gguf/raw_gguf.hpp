// Builds GGUF bytes field by field, right or wrong, without the library: what the reader's tests feed it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace support {

/// A file in the making. Every field is noted by name, so that a test can spoil it afterwards.
class raw_gguf {
public:
    struct field {
        std::string name;
        std::size_t offset;
        std::size_t size;
    };

    raw_gguf(std::uint64_t tensors, std::uint64_t entries, std::uint32_t version = 3) {
        text("magic", "GGUF");
        number("version", version);
        number("tensor count", tensors);
        number("metadata count", entries);
    }

    template <class T>
    raw_gguf& number(std::string name, T value) {
        text(std::move(name), std::string_view(reinterpret_cast<const char*>(&value), sizeof value));
        return *this;
    }
    raw_gguf& text(std::string name, std::string_view value) {
        fields_.push_back({std::move(name), bytes_.size(), value.size()});
        bytes_ += value;
        return *this;
    }
    raw_gguf& string(const std::string& name, std::string_view value) {
        number(name + " length", std::uint64_t{value.size()});
        return text(name, value);
    }

    raw_gguf& key(std::string_view key, std::uint32_t type) {
        string(std::string(key) + " key", key);
        return number(std::string(key) + " type", type);
    }
    template <class T>
    raw_gguf& entry(std::string_view name, std::uint32_t type, T value) {
        key(name, type);
        return number(std::string(name), value);
    }
    raw_gguf& entry(std::string_view name, std::string_view value) {
        key(name, 8);
        return string(std::string(name), value);
    }
    template <class T>
    raw_gguf& array(std::string_view name, std::uint32_t type, std::initializer_list<T> values) {
        const std::string field(name);
        key(name, 9).number(field + " element type", type).number(field + " count", std::uint64_t{values.size()});
        for (const T& value : values)
            if constexpr (std::is_arithmetic_v<T>)
                number(field + " element", value);
            else
                string(field + " element", value);
        return *this;
    }

    raw_gguf& tensor(std::string_view name, std::initializer_list<std::uint64_t> dims, std::uint32_t type,
                     std::uint64_t offset) {
        const std::string field(name);
        string(field + " name", name).number(field + " rank", static_cast<std::uint32_t>(dims.size()));
        for (const std::uint64_t dim : dims) number(field + " dim", dim);
        return number(field + " type", type).number(field + " offset", offset);
    }

    raw_gguf& pad(std::size_t alignment) {
        bytes_.resize((bytes_.size() + alignment - 1) / alignment * alignment);
        return *this;
    }
    /// `size` bytes that count up, from 1.
    raw_gguf& data(std::size_t size) {
        for (std::size_t i = 0; i < size; ++i) bytes_ += static_cast<char>(i + 1);
        return *this;
    }

    [[nodiscard]] const std::string& bytes() const { return bytes_; }
    [[nodiscard]] const std::vector<field>& fields() const { return fields_; }

    /// The bytes with a field, or the first of this name, holding something else of the same size.
    [[nodiscard]] std::string spoiled(const field& f, std::string_view value) const {
        if (value.size() != f.size) throw std::logic_error("spoiled " + f.name + ": another size");
        return std::string(bytes_).replace(f.offset, f.size, value);
    }
    [[nodiscard]] std::string spoiled(const field& f, std::uint64_t value) const {
        return spoiled(f, std::string_view(reinterpret_cast<const char*>(&value), f.size));
    }
    [[nodiscard]] std::string spoiled(std::string_view name, std::string_view value) const {
        return spoiled(find(name), value);
    }
    [[nodiscard]] std::string spoiled(std::string_view name, std::uint64_t value) const {
        return spoiled(find(name), value);
    }

private:
    [[nodiscard]] const field& find(std::string_view name) const {
        for (const field& f : fields_)
            if (f.name == name) return f;
        throw std::logic_error("no field " + std::string(name));
    }

    std::string bytes_;
    std::vector<field> fields_;
};

/// A small file with every value type and three tensors: first F32 [8, 3], other Q8_0 [64, 2], third F16 [5].
inline raw_gguf sample_gguf(std::uint32_t alignment = 32, std::uint32_t version = 3) {
    const auto padded = [&](std::uint64_t n) { return (n + alignment - 1) / alignment * alignment; };
    raw_gguf file(3, 25, version);
    file.entry("general.architecture", "test")
        .entry("general.alignment", 4, alignment)
        .entry("a.uint8", 0, std::uint8_t{200})
        .entry("a.int8", 1, std::int8_t{-100})
        .entry("a.uint16", 2, std::uint16_t{60000})
        .entry("a.int16", 3, std::int16_t{-30000})
        .entry("a.uint32", 4, std::uint32_t{4000000000})
        .entry("a.int32", 5, std::int32_t{-2000000000})
        .entry("a.float32", 6, 1.5f)
        .entry("a.bool", 7, std::uint8_t{1})
        .entry("a.uint64", 10, std::uint64_t{1} << 63)
        .entry("a.int64", 11, std::int64_t{-1} << 62)
        .entry("a.float64", 12, -0.1)
        .array<std::uint8_t>("b.uint8", 0, {1, 2, 255})
        .array<std::int8_t>("b.int8", 1, {-1, 0})
        .array<std::uint16_t>("b.uint16", 2, {1, 65535})
        .array<std::int16_t>("b.int16", 3, {-32768})
        .array<std::uint32_t>("b.uint32", 4, {7, 8})
        .array<std::int32_t>("b.int32", 5, {-7})
        .array<float>("b.float32", 6, {0.25f, -8.0f})
        .array<std::uint8_t>("b.bool", 7, {1, 0, 1})
        .array<std::string_view>("b.string", 8, {"one", "", "\xff\x01 not text"})
        .array<std::uint64_t>("b.uint64", 10, {1, ~std::uint64_t{0}})
        .array<std::int64_t>("b.int64", 11, {})
        .array<double>("b.float64", 12, {2.5})
        .tensor("first", {8, 3}, 0, 0)
        .tensor("other", {64, 2}, 8, padded(96))
        .tensor("third", {5}, 1, padded(padded(96) + 136))
        .pad(alignment);
    return file.data(96).pad(alignment).data(136).pad(alignment).data(10).pad(alignment);
}

}  // namespace support
