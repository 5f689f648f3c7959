// A list of formats as a value.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "tessera/app/any_model.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/core/type_id.hpp"
#include "tessera/format/builtin.hpp"
#include "tessera/format/engines.hpp"
#include "tessera/gguf/reader.hpp"

namespace tessera::app {

/// What verbs need of a list of formats, without their types: code that takes one is compiled once for all lists.
class any_formats {
public:
    std::span<const type_layout> layouts;   ///< all that weights can be quantized to
    std::span<const type_layout> stored;    ///< those, and the types of plain storage
    std::span<const type_layout> fallback;  ///< for rows that are no whole blocks of a format

    template <class... Formats>
    explicit any_formats(format_list<Formats...> list)
        : layouts(list.layouts),
          stored(stored_formats_of<format_list<Formats...>>::layouts),
          fallback(format_list<Formats...>::fallbacks::layouts),
          portable_(list.portable()),
          needs_of_(&format_list<Formats...>::needs_of),
          read_gguf_(&read_any_gguf<stored_formats_of<format_list<Formats...>>>) {}

    /// The layout of the format of this name, or null.
    [[nodiscard]] const type_layout* find(std::string_view name) const noexcept { return find_layout(layouts, name); }
    /// The same, or throws naming the formats that there are.
    [[nodiscard]] const type_layout& require(std::string_view name) const {
        const type_layout* found = find(name);
        if (found == nullptr) fail("format: wanted one of ", names(), ", got ", name);
        return *found;
    }
    [[nodiscard]] std::span<const type_layout> portable() const noexcept { return portable_; }
    [[nodiscard]] engine_needs needs_of(std::span<const tensor_info> tensors) const { return needs_of_(tensors); }
    /// Reads a GGUF file whose tensors are of these formats or of plain storage.
    [[nodiscard]] any_model read_gguf(const std::filesystem::path& path) const { return read_gguf_(path); }
    /// "F32, F16, ...": for messages and help texts.
    [[nodiscard]] std::string names() const { return layout_names(layouts); }

private:
    template <class Stored>
    static any_model read_any_gguf(const std::filesystem::path& path) {
        return any_model(gguf::basic_reader<Stored>(path));
    }

    std::span<const type_layout> portable_;
    engine_needs (*needs_of_)(std::span<const tensor_info>);
    any_model (*read_gguf_)(const std::filesystem::path&);
};

}  // namespace tessera::app
