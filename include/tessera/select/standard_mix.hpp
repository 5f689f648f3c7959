// llama.cpp's standard mixes as a strategy: Q4_K_M and its relatives.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tessera/core/block_index.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/core/tied_table.hpp"
#include "tessera/select/concepts.hpp"
#include "tessera/select/mix_table.hpp"
#include "tessera/select/plan.hpp"
#include "tessera/select/rules.hpp"
#include "tessera/select/strategies.hpp"

namespace tessera::select {

/// What the mixes depend on in a model beside its tensors.
struct mix_model {
    std::string architecture;
    std::uint64_t layers = 0;
    std::uint64_t heads = 0;     ///< of queries, in the first layer
    std::uint64_t kv_heads = 0;  ///< in the first layer
    std::uint64_t experts = 0;
    enum class importances { absent, present } columns = importances::absent;
};

/// What a mix gives a tensor: the type it means, and what is written where the rows are no whole blocks of that.
struct mix_type {
    type_layout wanted, written;
};

namespace detail {

[[nodiscard]] inline bool contains(std::string_view text, std::string_view part) noexcept {
    return text.find(part) != std::string_view::npos;
}

[[nodiscard]] inline tensor_role role_of(std::string_view name) noexcept {
    if (name == output_name) return tensor_role::output;
    if (name == embedding_name || name == "per_layer_token_embd.weight") return tensor_role::embedding;
    constexpr auto parts = std::to_array<std::pair<std::string_view, tensor_role>>({
        {"attn_qkv.weight", tensor_role::value},
        {"attn_kv_b.weight", tensor_role::value},
        {"attn_v.weight", tensor_role::value},
        {"attn_k.weight", tensor_role::key},
        {"attn_q.weight", tensor_role::query},
        {"attn_output.weight", tensor_role::attention_output},
        {"ffn_up", tensor_role::up},
        {"ffn_gate", tensor_role::gate},
        {"ffn_down", tensor_role::down},
    });
    for (const auto& [part, role] : parts)
        if (contains(name, part)) return role;
    return tensor_role::other;
}

// Is the name one of those in a list that blanks separate?
[[nodiscard]] inline bool lists(std::string_view list, std::string_view name) noexcept {
    while (!list.empty()) {
        const std::string_view first = list.substr(0, list.find(' '));
        if (first == name || first == "*") return true;
        list.remove_prefix(std::min(list.size(), first.size() + 1));
    }
    return false;
}

// Decides tensor by tensor, in llama-quantize's order, because it counts.
class mixer {
public:
    mixer(const mix& chosen, const mix_model& model, std::span<const tensor_info> tensors,
          std::span<const type_layout> formats)
        : mix_(chosen),
          formats_(formats),
          usual_(layout(chosen.usual)),
          model_(model),
          is_tied_(tied_table(tensors) != nullptr) {
        using namespace facts;
        const std::uint64_t queries_per_key = model.kv_heads == 0 ? 0 : model.heads / model.kv_heads;
        model_facts_ = model.columns == mix_model::importances::present ? importance : no_importance;
        if (queries_per_key >= 4) model_facts_ |= wide_groups;
        if (model.experts >= 4) model_facts_ |= four_experts;
        if (model.experts == 8) model_facts_ |= eight_experts;
        if (model.architecture == "falcon") model_facts_ |= falcon;
        if (model.architecture == "llama" && model.layers == 80 && model.heads != model.kv_heads)
            model_facts_ |= llama_70b;
        values_ = static_cast<std::uint64_t>(std::count_if(tensors.begin(), tensors.end(), [](const tensor_info& info) {
            return role_of(info.name) == tensor_role::value;
        }));
    }

    /// The type of the next tensor. Throws when no type takes its rows.
    mix_type operator()(const tensor_info& info) {
        tensor_role role = role_of(info.name);
        if (role == tensor_role::embedding && is_tied_) role = tensor_role::output;
        const type_layout& wanted =
            layout(usual_.block_size == 1 ? mix_.usual : mixed(info, role, facts_of(info, role)));
        const std::uint64_t columns = info.columns();
        if (columns % wanted.block_size == 0) return {wanted, wanted};
        const std::optional<type_id> substitute = mix_substitute(wanted);
        if (!substitute)
            fail("tensor ", info.name, ": rows of ", columns, " weights: ", mix_.name, " wants ", wanted.name,
                 ", which does not take them and has no substitute");
        return {wanted, layout(columns % layout(*substitute).block_size == 0 ? *substitute : type_id::f16)};
    }

private:
    [[nodiscard]] const type_layout& layout(type_id id) const {
        const type_layout* found = find_layout(formats_, id);
        if (found == nullptr)
            fail("mix ", mix_.name, ": wanted a list of formats with tensor type ", static_cast<std::uint32_t>(id),
                 ", got one without it");
        return *found;
    }

    [[nodiscard]] type_id mixed(const tensor_info& info, tensor_role role, facts::set facts) const {
        if (mix_.usual == type_id::mxfp4 && role != tensor_role::output) {
            const bool is_network = role == tensor_role::up || role == tensor_role::gate || role == tensor_role::down;
            const bool is_wanted = is_network || model_.architecture != "bailingmoe3";
            return info.dims[2] > 1 && is_wanted ? type_id::mxfp4 : type_id::q8_0;
        }
        for (const mix_rule& rule : mix_rules)
            if (rule.role == role && (rule.when & ~facts) == 0 && lists(rule.mixes, mix_.name))
                return rule.type.value_or(mix_.usual);
        const bool is_named_after_type = mix_.name == usual_.name;
        if (role == tensor_role::embedding && is_named_after_type) return usual_.stock.embedding.value_or(mix_.usual);
        return mix_.usual;
    }

    facts::set facts_of(const tensor_info& info, tensor_role role) {
        using namespace facts;
        set result = model_facts_;
        if (info.columns() % usual_.block_size != 0) result |= odd_rows;
        std::uint64_t* count = nullptr;
        if (role == tensor_role::value) count = &value_count_;
        if (role == tensor_role::up) count = &up_count_;
        if (role == tensor_role::gate) count = &gate_count_;
        if (role == tensor_role::down) count = &down_count_;
        if (count == nullptr) return result;

        const std::uint64_t counted = (*count)++;
        const bool by_layer = role != tensor_role::value && model_.experts > 1;
        const std::uint64_t i = by_layer ? block_index(info.name).value_or(counted) : counted;
        const std::uint64_t n = role == tensor_role::value ? values_ : model_.layers;
        if (i < 2) result |= first_2;
        if (i < 4) result |= first_4;
        if (i < n / 16) result |= first_16th;
        if (i < n / 8) result |= first_8th;
        if (counted < n / 8) result |= counted_first_8th;
        if (i >= n / 8 && i < 7 * n / 8) result |= middle;
        if (i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2) result |= every_third;
        return result;
    }

    const mix& mix_;
    std::span<const type_layout> formats_;
    const type_layout& usual_;
    const mix_model& model_;
    bool is_tied_;
    facts::set model_facts_ = 0;
    std::uint64_t values_ = 0;  // tensors of that role in all
    std::uint64_t value_count_ = 0, up_count_ = 0, gate_count_ = 0, down_count_ = 0;
};

}  // namespace detail

/// The type of every tensor in a mix, in the order of `tensors`; nothing for tensors that stay in full precision.
/// Throws when no type takes a tensor's rows, or `formats` lacks one that the mix names.
[[nodiscard]] inline std::vector<std::optional<mix_type>> mix_types(const mix& chosen, const mix_model& model,
                                                                    std::span<const tensor_info> tensors,
                                                                    std::span<const type_layout> formats) {
    std::vector<std::size_t> order(tensors.size());  // llama-quantize's: those of no layer, then by layer and name
    for (std::size_t t = 0; t < order.size(); ++t) order[t] = t;
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
        const std::string &x = tensors[a].name, &y = tensors[b].name;
        return std::tuple(block_index(x), std::string_view(x)) < std::tuple(block_index(y), std::string_view(y));
    });
    std::vector<std::optional<mix_type>> types(tensors.size());
    detail::mixer next(chosen, model, tensors, formats);
    for (const std::size_t t : order)
        if (!stays_full_precision(tensors[t])) types[t] = next(tensors[t]);
    return types;
}

/// A tensor that llama-quantize refuses to write so without importances, or null. `types` are from mix_types.
[[nodiscard]] inline const tensor_info* needs_importances(const mix& chosen, std::span<const tensor_info> tensors,
                                                          std::span<const std::optional<mix_type>> types) {
    for (std::size_t t = 0; t < tensors.size(); ++t) {
        if (!types[t]) continue;
        const tensor_info target{.name = tensors[t].name, .layout = types[t]->written};
        const tensor_role role = detail::role_of(target.name);
        const bool q2_k_s = chosen.name == "Q2_K_S" && target.type() == type_id::q2_k && role != tensor_role::output &&
                            role != tensor_role::embedding;
        if (needs_importances(target) || q2_k_s) return &tensors[t];
    }
    return nullptr;
}

/// The strategy that gives every tensor of one model what llama-quantize would give it.
class standard_mix {
public:
    /// Throws as mix_types, and when the mix needs importances and there are none.
    standard_mix(const mix& chosen, const mix_model& model, std::span<const tensor_info> tensors,
                 std::span<const type_layout> formats) {
        const auto types = mix_types(chosen, model, tensors, formats);
        if (model.columns == mix_model::importances::absent)
            if (const tensor_info* needy = needs_importances(chosen, tensors, types))
                fail("mix ", chosen.name,
                     ": wanted importances of the columns (an importance matrix), got none: ", needy->name,
                     " would be useless without them");
        for (std::size_t t = 0; t < tensors.size(); ++t)
            if (types[t]) types_.emplace(tensors[t].name, *types[t]);
    }

    void settle(plan& draft, std::span<const type_layout>) const {
        for (choice& made : draft.choices) {
            if (made.why != reason::unchanged) continue;
            const auto found = types_.find(made.target.name);
            if (found != types_.end())
                select::settle(made, found->second.wanted, found->second.written, reason::requested);
        }
    }

private:
    std::unordered_map<std::string, mix_type> types_;
};

static_assert(selection_strategy<standard_mix>);

}  // namespace tessera::select
