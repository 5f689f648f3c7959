// The keys by which the files of a split model know their place.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "tessera/core/error.hpp"
#include "tessera/core/metadata.hpp"

namespace tessera::gguf {

/// One key of the convention: its name and the only type that stock readers take.
template <class T>
struct split_key {
    std::string_view name;
};

inline constexpr split_key<std::uint16_t> split_number{"split.no"};             ///< position, from 0
inline constexpr split_key<std::uint16_t> split_count{"split.count"};           ///< files
inline constexpr split_key<std::int32_t> split_tensors{"split.tensors.count"};  ///< tensors in all files

template <class T>
void set_split(tessera::metadata& properties, split_key<T> key, T value) {
    properties.set(std::string(key.name), value);
}

/// Removes what says that a model is split: true of its files, not of the model.
template <class = void>
void erase_split(tessera::metadata& properties) {
    for (const std::string_view name : {split_number.name, split_count.name, split_tensors.name})
        properties.erase(name);
}

/// The value of a key, or null. Throws, starting with `where`, when it has another type.
template <class T>
[[nodiscard]] const T* find_split(const tessera::metadata& properties, split_key<T> key, std::string_view where) {
    const metadata_value* value = properties.find(key.name);
    if (value == nullptr) return nullptr;
    const T* typed = std::get_if<T>(value);
    if (typed == nullptr)
        fail(where, ": key ", key.name, ": wanted ", type_name(metadata_value(T{})), ", got ", type_name(*value));
    return typed;
}

/// Throws unless the key is there and holds `wanted`.
template <class T>
void require_split(const tessera::metadata& properties, split_key<T> key, T wanted, std::string_view where) {
    const T* value = find_split(properties, key, where);
    if (value == nullptr) fail(where, ": key ", key.name, ": wanted ", wanted, ", got nothing");
    if (*value != wanted) fail(where, ": key ", key.name, ": wanted ", wanted, ", got ", *value);
}

}  // namespace tessera::gguf
