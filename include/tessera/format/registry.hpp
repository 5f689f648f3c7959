// From a type id met at run time to a format known at compile time: one dispatch per tensor.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include "tessera/core/bytes.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/core/type_id.hpp"
#include "tessera/format/check.hpp"
#include "tessera/format/concepts.hpp"
#include "tessera/format/engines.hpp"

namespace tessera {

/// Names a format in a value, for generic lambdas: `[&]<class F>(format_tag<F>) { ... }`.
template <block_format F>
struct format_tag {
    using type = F;
};

template <class... Formats>
struct format_list;

namespace detail {

// Whether any two of the layouts are alike.
template <std::size_t N, class Alike>
[[nodiscard]] constexpr bool has_twins(const std::array<type_layout, N>& layouts, Alike alike) noexcept {
    for (std::size_t a = 0; a < N; ++a)
        for (std::size_t b = 0; b < a; ++b)
            if (alike(layouts[a], layouts[b])) return true;
    return false;
}

// The formats of several lists in one.
template <class... Lists>
struct joined {
    using list = format_list<>;
};
template <class... Formats>
struct joined<format_list<Formats...>> {
    using list = format_list<Formats...>;
};
template <class... First, class... Second, class... Rest>
struct joined<format_list<First...>, format_list<Second...>, Rest...> {
    using list = typename joined<format_list<First..., Second...>, Rest...>::list;
};

template <class Result, class F, class Function>
Result call_with(Function& f) {
    static_assert(std::is_same_v<Result, decltype(f(format_tag<F>{}))>, "returns the same type for every format");
    return f(format_tag<F>{});
}

}  // namespace detail

/// A list of formats: the one place that dispatch, names and tests read. No two have the same id or name.
template <class... Formats>
struct format_list {
    static_assert((check_gguf_format<Formats>() && ...));

    /// The same list with more formats after it.
    template <class... More>
    using extend = format_list<Formats..., More...>;

    /// A list of those that say that they take rows which are no whole blocks of another format.
    using fallbacks =
        typename detail::joined<std::conditional_t<is_fallback<Formats>, format_list<Formats>, format_list<>>...>::list;

    /// Whether a format is in the list.
    template <class F>
    static constexpr bool contains = (std::is_same_v<F, Formats> || ...);

    static constexpr std::size_t size = sizeof...(Formats);
    static constexpr std::array<type_layout, size> layouts{layout_of<Formats>...};
    static_assert(!detail::has_twins(layouts, [](const auto& a, const auto& b) { return a.id == b.id; }),
                  "no two formats of a list have the same type id: those of your own count from first_private");
    static_assert(!detail::has_twins(layouts,
                                     [](const auto& a, const auto& b) { return same_format_name(a.name, b.name); }),
                  "no two formats of a list have the same name, whatever the case of its letters");

    /// The layout of the format with this id or name, or null.
    [[nodiscard]] static constexpr const type_layout* find(type_id id) noexcept { return find_layout(layouts, id); }
    [[nodiscard]] static constexpr const type_layout* find(std::string_view name) noexcept {
        return find_layout(layouts, name);
    }

    /// The layouts of the formats that are portable: what to choose from unless one knows where a file will run.
    [[nodiscard]] static constexpr std::span<const type_layout> portable() noexcept { return portable_layouts; }

    /// What the engines have to be that run a file of these tensors. Types that are not in the list, plain integers
    /// for example, need nothing.
    [[nodiscard]] static engine_needs needs_of(std::span<const tensor_info> tensors) {
        engine_needs needs;
        const auto is_there = [&](type_id id) {
            return std::ranges::any_of(tensors, [&](const tensor_info& info) { return info.type() == id; });
        };
        for_each([&]<class F>(format_tag<F>) {
            if (is_there(F::type)) needs.add(F::name, engines_of<F>);
        });
        return needs;
    }

    /// Calls f(format_tag<F>{}) for the format F with this id and returns what it returns. Throws when the list has
    /// none.
    template <class Function>
    static decltype(auto) dispatch(type_id id, Function&& f) {
        using result = decltype(f(format_tag<std::tuple_element_t<0, std::tuple<Formats...>>>{}));
        // One row per format, all of one type: nothing nests, and nothing is inlined into one large function.
        static constexpr std::array<result (*)(std::remove_reference_t<Function>&), size> calls{
            &detail::call_with<result, Formats, std::remove_reference_t<Function>>...};
        for (std::size_t i = 0; i < size; ++i)
            if (layouts[i].id == id) return calls[i](f);
        refuse(id);
    }
    /// The same for the type of a tensor, whose name stands in what is thrown.
    template <class Function>
    static decltype(auto) dispatch(const type_layout& layout, Function&& f) {
        if (find(layout.id) == nullptr)
            fail("format ", layout.name, ": wanted one of ", names(), ", got one that this program does not have");
        return dispatch(layout.id, std::forward<Function>(f));
    }

    /// Calls f(format_tag<F>{}) for every format, in order.
    template <class Function>
    static void for_each(Function&& f) {
        (f(format_tag<Formats>{}), ...);
    }

    /// "F32, F16, ...": for messages and help texts.
    [[nodiscard]] static std::string names() { return layout_names(layouts); }

    /// Decodes rows of any format in the list. `bytes` holds whole blocks; out.size() is the weights they make.
    static void decode(type_id id, byte_view bytes, std::span<float> out) {
        dispatch(id, [&]<class F>(format_tag<F>) {
            using block = typename F::block;
            // Blocks in a mapped file may be unaligned for types such as float; copy some at a time then.
            if (reinterpret_cast<std::uintptr_t>(bytes.data()) % alignof(block) == 0) {
                decode_blocks<F>({reinterpret_cast<const block*>(bytes.data()), bytes.size() / sizeof(block)}, out);
                return;
            }
            constexpr std::size_t at_once = 4096 / F::block_size + 1;
            std::array<block, at_once> aligned;
            for (std::size_t b = 0, count = bytes.size() / sizeof(block); b < count; b += at_once) {
                const std::size_t n = std::min(at_once, count - b);
                std::memcpy(aligned.data(), bytes.data() + b * sizeof(block), n * sizeof(block));
                decode_blocks<F>({aligned.data(), n}, out.subspan(b * F::block_size, n * F::block_size));
            }
        });
    }

private:
    static constexpr std::size_t portable_count = (std::size_t{is_portable(engines_of<Formats>)} + ... + 0);
    static constexpr std::array<type_layout, portable_count> portable_layouts = [] {
        std::array<type_layout, portable_count> found{};
        std::size_t count = 0;
        (void(is_portable(engines_of<Formats>) && (found[count++] = layout_of<Formats>, true)), ...);
        return found;
    }();

    [[noreturn]] static void refuse(type_id id) {
        fail("tensor type ", static_cast<std::uint32_t>(id), ": wanted one of ", names(),
             ", got one that this program has no format for");
    }
};

namespace detail {

template <class List, class... Formats>
struct completed {
    using list = List;
};
template <class List, class First, class... Rest>
struct completed<List, First, Rest...>
    : completed<std::conditional_t<List::find(First::type) == nullptr, typename List::template extend<First>, List>,
                Rest...> {};

}  // namespace detail

/// A list, and after it those of some formats that it lacks.
template <class List, class... Formats>
using completed_list = typename detail::completed<List, Formats...>::list;

}  // namespace tessera
