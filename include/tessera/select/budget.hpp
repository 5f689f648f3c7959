// The least predicted damage within a size, or the least size within a damage: all tensors together.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "tessera/core/checked.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/core/tied_table.hpp"
#include "tessera/select/damage_table.hpp"
#include "tessera/select/menu.hpp"
#include "tessera/select/multiple_choice.hpp"
#include "tessera/select/plan.hpp"
#include "tessera/select/predict.hpp"
#include "tessera/select/rules.hpp"
#include "tessera/select/strategies.hpp"

namespace tessera::select {

/// A file of at most so many bytes, of which `header` go to what is not tensor data.
struct at_most_bytes {
    std::uint64_t bytes = 0;
    std::uint64_t header = 0;
};

/// A predicted mean KL divergence of at most so many nats.
struct at_most_damage {
    double nats = 0.0;
};

/// Whether a table that is embedding and output at once may be written twice, in a format for each role.
struct tied_output {
    enum class copies { one, one_or_two } allowed = copies::one;
    std::uint64_t header = 0;  ///< bytes that a second tensor adds beside its data
};

/// Gives every open tensor the format that makes the sum of damages least within the limit. Tensors that are settled
/// count with their bytes, and with their damage where the table knows it.
struct budget {
    damage_table damage;
    std::variant<at_most_bytes, at_most_damage> limit;
    menu choices = {};
    tied_output tied = {};
    std::uint32_t alignment = 32;  ///< each tensor takes a multiple of it
    search_options search = {};

    /// A tensor that the table lacks stays what it is (reason::unpriced) where the menu allows that. Throws where it
    /// does not, and when the limit is out of reach: then the message names the least there is, and the settled tensors
    /// that are larger than they would have to be.
    void settle(plan& draft, std::span<const type_layout> available) const;
};

namespace detail {

/// One way to write a tensor, or both copies of a tied table.
struct budget_option {
    type_layout layout;
    std::optional<type_layout> second;  ///< output.weight, where it is written on its own
    std::uint64_t bytes = 0;
    double damage = 0.0;         ///< of the tensor called by its name
    double second_damage = 0.0;  ///< of the table as output
};

[[nodiscard]] inline std::uint64_t padded_bytes(const tensor_info& info, std::uint32_t alignment) {
    return *checked_align(info.bytes(), alignment);
}

/// Turns a draft into items with options, and the selection back into choices.
class budget_problem {
public:
    budget_problem(const budget& wanted, plan& draft, std::span<const type_layout> available)
        : wanted_(wanted), draft_(draft), available_(available) {
        predict_damage(draft, wanted.damage);
        if (is_tied(draft)) output_ = wanted.damage.find(output_name);
        for (std::size_t c = 0; c < draft.choices.size(); ++c) {
            choice& made = draft.choices[c];
            if (made.why == reason::unchanged && is_unpriced(made)) {
                made.why = reason::unpriced;
                made.damage = 0.0;
            }
            if (made.why == reason::unchanged) {
                open_.push_back(c);
                options_.push_back(options_of(made));
                continue;
            }
            fixed_bytes_ += padded_bytes(made.target, wanted.alignment);
            fixed_damage_ += made.damage.value_or(0.0);
        }
    }

    void solve() {
        const auto* size = std::get_if<at_most_bytes>(&wanted_.limit);
        std::vector<std::vector<priced>> items;
        for (const auto& options : options_) {
            auto& item = items.emplace_back();
            for (const budget_option& o : options) {
                const auto bytes = static_cast<double>(o.bytes);
                const double damage = o.damage + o.second_damage;
                item.push_back(size ? priced{bytes, damage} : priced{damage, bytes});
            }
        }
        const double limit = size ? static_cast<double>(size->bytes) - static_cast<double>(size->header) -
                                        static_cast<double>(fixed_bytes_)
                                  : std::get<at_most_damage>(wanted_.limit).nats - fixed_damage_;
        const std::optional<selection> found = choose(items, limit, wanted_.search);
        if (!found) refuse();
        const double fixed = size ? fixed_damage_ : static_cast<double>(fixed_bytes_);
        const double value = fixed + found->value;
        draft_.gap = value > 0.0 ? (found->value - found->bound) / value : 0.0;
        for (std::size_t i = 0; i < open_.size(); ++i) apply(draft_.choices[open_[i]], options_[i][found->picks[i]]);
        if (second_) draft_.choices.push_back(*std::move(second_));
    }

private:
    // True where the tensor may stay what it is, and what the menu has beside that has no known damage: nothing is
    // decided then.
    [[nodiscard]] bool is_unpriced(const choice& made) const {
        const tensor_info& info = made.target;
        const tensor_damage* entry = wanted_.damage.find(info.name);
        const std::vector<type_layout> menu = wanted_.choices.of(info, available_);
        const auto is_stored = [&](const type_layout& layout) { return layout.id == info.type(); };
        const auto is_known = [&](const type_layout& layout) {
            return !is_stored(layout) && entry != nullptr && entry->damage(layout.id);
        };
        return std::ranges::any_of(menu, is_stored) && !std::ranges::all_of(menu, is_stored) &&
               std::ranges::none_of(menu, is_known);
    }

    // The formats of the menu whose damage the entry knows; what a tensor is stored in does none.
    [[nodiscard]] std::vector<damage_option> priced_menu(const tensor_info& info, const tensor_damage* entry) const {
        std::vector<damage_option> options;
        for (const type_layout& layout : wanted_.choices.of(info, available_)) {
            std::optional<double> damage = entry ? entry->damage(layout.id) : std::nullopt;
            if (layout.id == info.type()) damage = 0.0;
            if (damage) options.push_back({layout, *damage});
        }
        if (options.empty())
            fail("tensor ", info.name, ": wanted the damage of a format to choose from, got none in the damage table");
        return options;
    }

    [[nodiscard]] std::vector<budget_option> options_of(const choice& made) const {
        const auto bytes = [&](const type_layout& layout) {
            return padded_bytes(with_layout(made.target, layout), wanted_.alignment);
        };
        std::vector<budget_option> options;
        const auto menu = priced_menu(made.target, wanted_.damage.find(made.target.name));
        if (output_ == nullptr || made.target.name != embedding_name) {
            for (const auto& [layout, damage] : menu) options.push_back({layout, {}, bytes(layout), damage, 0.0});
            return options;
        }
        for (const auto& as_output : priced_menu(made.target, output_))
            for (const auto& [layout, damage] : menu) {
                if (layout.id == as_output.layout.id)
                    options.push_back({layout, {}, bytes(layout), damage, as_output.damage});
                else if (wanted_.tied.allowed == tied_output::copies::one_or_two)
                    options.push_back({layout, as_output.layout,
                                       bytes(layout) + bytes(as_output.layout) + wanted_.tied.header, damage,
                                       as_output.damage});
            }
        return options;
    }

    void apply(choice& made, const budget_option& option) {
        if (option.second) {
            second_ = made;
            second_->made_from = made.target.name;
            second_->target.name = output_name;
            select::settle(*second_, *option.second, reason::budget, available_);
            second_->damage = option.second_damage;
        }
        select::settle(made, option.layout, reason::budget, available_);
        made.damage = option.damage + (option.second ? 0.0 : option.second_damage);
    }

    // The least that all open tensors can come to, added to what the settled ones are.
    template <class Number>
    [[nodiscard]] Number least(Number sum, Number (*measure)(const budget_option&)) const {
        for (const auto& options : options_) {
            Number smallest = measure(options.front());
            for (const budget_option& o : options) smallest = std::min(smallest, measure(o));
            sum += smallest;
        }
        return sum;
    }

    [[noreturn]] void refuse() const {
        if (const auto* size = std::get_if<at_most_bytes>(&wanted_.limit))
            fail("size: wanted at most ", size->bytes, " bytes, the smallest possible is ",
                 least<std::uint64_t>(fixed_bytes_ + size->header, [](const budget_option& o) { return o.bytes; }),
                 pins_in_the_way());
        fail("predicted damage: wanted at most ", std::get<at_most_damage>(wanted_.limit).nats,
             " nats, the least possible is ",
             least<double>(fixed_damage_, [](const budget_option& o) { return o.damage + o.second_damage; }),
             pins_in_the_way());
    }

    // The rules' tensors, and those of unknown damage, that are larger than their smallest format, or that do damage:
    // those that do most of it first.
    [[nodiscard]] std::string pins_in_the_way() const {
        const bool by_size = std::holds_alternative<at_most_bytes>(wanted_.limit);
        struct pin {
            const choice* made;
            double excess;
        };
        std::vector<pin> pins;
        bool any_unknown = false;
        double sum = 0.0;
        for (const choice& made : draft_.choices) {
            const bool is_unknown = made.why == reason::unpriced;
            if (made.why != reason::requested && made.why != reason::row_length && !is_unknown) continue;
            double excess = made.damage.value_or(0.0);
            if (by_size) {
                std::uint64_t smallest = made.target.bytes();
                tensor_info stored = made.target;
                stored.layout = made.source;
                for (const type_layout& layout : wanted_.choices.of(stored, available_))
                    smallest = std::min(smallest, with_layout(made.target, layout).bytes());
                excess = static_cast<double>(made.target.bytes() - smallest);
            }
            if (excess > 0.0) pins.push_back({&made, excess});
            any_unknown = any_unknown || (excess > 0.0 && is_unknown);
            sum += excess;
        }
        if (pins.empty()) return {};
        std::stable_sort(pins.begin(), pins.end(), [](const pin& a, const pin& b) { return a.excess > b.excess; });
        const auto amount = [&](double x) {
            return by_size ? std::to_string(static_cast<std::uint64_t>(x)) + " bytes" : concat(x, " nats");
        };
        std::string text = any_unknown ? "; tensors that are pinned or of unknown damage" : "; pinned tensors";
        text += " stand in the way with " + amount(sum) + ": ";
        constexpr std::size_t shown = 4;
        for (std::size_t p = 0; p < std::min(shown, pins.size()); ++p)
            text += concat(p ? ", " : "", pins[p].made->target.name, " (", pins[p].made->target.layout.name, ", ",
                           amount(pins[p].excess), ")");
        if (pins.size() > shown) text += concat(" and ", pins.size() - shown, " more");
        return text;
    }

    const budget& wanted_;
    plan& draft_;
    std::span<const type_layout> available_;
    const tensor_damage* output_ = nullptr;  // of a tied table: its damage as output
    std::uint64_t fixed_bytes_ = 0;
    double fixed_damage_ = 0.0;
    std::vector<std::size_t> open_;  // positions in the draft
    std::vector<std::vector<budget_option>> options_;
    std::optional<choice> second_;
};

}  // namespace detail

inline void budget::settle(plan& draft, std::span<const type_layout> available) const {
    detail::budget_problem(*this, draft, available).solve();
}

static_assert(selection_strategy<budget>);

}  // namespace tessera::select
