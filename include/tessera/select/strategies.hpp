// Strategies that choose tensor by tensor, how strategies combine, and how they become a plan.
#pragma once

#include <concepts>
#include <optional>
#include <span>
#include <tuple>
#include <utility>

#include "tessera/select/concepts.hpp"
#include "tessera/select/plan.hpp"
#include "tessera/select/rules.hpp"

namespace tessera::select {

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

/// Settles a choice in a type that stands for the wanted one where the rows do not fit that.
inline void settle(choice& made, const type_layout& wanted, const type_layout& written, reason why) {
    made.wanted = wanted;
    made.why = written.id == wanted.id ? why : reason::row_length;
    made.target = with_layout(std::move(made.target), written);
}

/// Settles a choice in the wanted type, or in the next larger of `available` where the rows do not fit.
inline void settle(choice& made, const type_layout& wanted, reason why, std::span<const type_layout> available) {
    settle(made, wanted, fitting(made.target, wanted, available), why);
}

/// A rule settles what is open, tensor by tensor.
template <type_rule Rule>
void settle(plan& draft, const Rule& rule, std::span<const type_layout> available) {
    for (choice& made : draft.choices) {
        if (made.why != reason::unchanged) continue;
        const std::optional<type_layout> wanted = rule(made.target);
        if (wanted) settle(made, *wanted, reason::requested, available);
    }
}
template <selection_strategy Strategy>
void settle(plan& draft, const Strategy& strategy, std::span<const type_layout> available) {
    strategy.settle(draft, available);
}

/// Rules and strategies in turn: the first that chooses a type for a tensor decides. Of rules alone it is a rule, too.
template <class... Parts>
requires((type_rule<Parts> || selection_strategy<Parts>) && ...)
struct first_match {
    std::tuple<Parts...> parts;
    explicit first_match(Parts... list) : parts(std::move(list)...) {}

    std::optional<type_layout> operator()(const tensor_info& info) const
    requires(type_rule<Parts> && ...)
    {
        return std::apply(
            [&](const auto&... rule) {
                std::optional<type_layout> answer;
                (void)((answer = rule(info), answer.has_value()) || ...);
                return answer;
            },
            parts);
    }
    void settle(plan& draft, std::span<const type_layout> available) const
    requires(!(type_rule<Parts> && ...))
    {
        std::apply([&](const auto&... part) { (select::settle(draft, part, available), ...); }, parts);
    }
};

/// A plan that leaves open every tensor but those that stay in full precision.
[[nodiscard]] inline plan open_plan(std::span<const tensor_info> tensors) {
    plan draft;
    draft.choices.reserve(tensors.size());
    for (const tensor_info& info : tensors) {
        choice made{.target = info, .source = info.layout, .wanted = info.layout, .why = reason::unchanged};
        if (stays_full_precision(info)) {
            made.wanted = full_precision_layout(info);
            made.why = reason::kept;
            made.target = with_layout(info, made.wanted);
            made.damage = 0.0;
        }
        draft.choices.push_back(std::move(made));
    }
    return draft;
}

/// What a rule or strategy makes of every tensor, within the rules all files obey: tensors that stay in full precision
/// get full_precision_layout, rows that do not fit get the next larger type of `available`, tensors without an answer
/// keep the type they have.
template <class Strategy>
requires(type_rule<Strategy> || selection_strategy<Strategy>)
[[nodiscard]] plan make_plan(std::span<const tensor_info> tensors, const Strategy& strategy,
                             std::span<const type_layout> available) {
    plan draft = open_plan(tensors);
    settle(draft, strategy, available);
    return draft;
}

}  // namespace tessera::select
