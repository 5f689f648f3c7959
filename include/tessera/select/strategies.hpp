// Strategies that choose tensor by tensor, and how they combine.
#pragma once

#include <concepts>
#include <optional>
#include <span>
#include <tuple>
#include <utility>

#include "tessera/select/plan.hpp"
#include "tessera/select/rules.hpp"

namespace tessera::select {

/// Says which type a tensor should have, or nothing when it has no opinion. A lambda will do.
template <class R>
concept type_rule = requires(const R& rule, const tensor_info& info) {
    { rule(info) } -> std::convertible_to<std::optional<type_layout>>;
};

/// The same type for every tensor.
struct uniform {
    type_layout layout;
    std::optional<type_layout> operator()(const tensor_info&) const { return layout; }
};

/// A type for the tensors a predicate picks.
template <std::predicate<const tensor_info&> Predicate>
struct pinned {
    Predicate predicate;
    type_layout layout;
    std::optional<type_layout> operator()(const tensor_info& info) const {
        return predicate(info) ? std::optional(layout) : std::nullopt;
    }
};
template <class Predicate>
pinned(Predicate, type_layout) -> pinned<Predicate>;

/// The first rule with an opinion decides.
template <type_rule... Rules>
struct first_match {
    std::tuple<Rules...> rules;
    explicit first_match(Rules... list) : rules(std::move(list)...) {}
    std::optional<type_layout> operator()(const tensor_info& info) const {
        return std::apply(
            [&](const auto&... rule) {
                std::optional<type_layout> answer;
                (void)((answer = rule(info), answer.has_value()) || ...);
                return answer;
            },
            rules);
    }
};

/// A rule's answers for every tensor, within the rules all files obey: tensors that stay in full precision become F32,
/// rows that do not fit get the next larger type of `available`, tensors without an answer keep the type they have.
template <type_rule Rule>
[[nodiscard]] plan make_plan(std::span<const tensor_info> tensors, const Rule& rule,
                             std::span<const type_layout> available) {
    plan result;
    result.choices.reserve(tensors.size());
    for (const tensor_info& info : tensors) {
        choice made{.target = info, .source = info.layout};
        if (stays_full_precision(info)) {
            made.wanted = *find_type(type_id::f32);
            made.why = reason::kept;
        } else {
            made.wanted = rule(info).value_or(info.layout);
        }
        const type_layout& layout = fitting(info, made.wanted, available);
        if (layout.id != made.wanted.id) made.why = reason::row_length;
        made.target = with_layout(info, layout);
        result.choices.push_back(std::move(made));
    }
    return result;
}

}  // namespace tessera::select
