// llama.cpp's standard mixes as data: which type a file type gives which tensor. Source: llama-quantize, August 2026.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/core/type_id.hpp"

namespace tessera::select {

/// A mix by llama.cpp's name and number (general.file_type), and the type of the tensors that no rule is about.
struct mix {
    std::string_view name;
    std::uint32_t file_type;
    type_id usual;
};

/// The mixes that are not named after their usual type: those say so themselves (stock_facts::is_mix).
inline constexpr std::array mixed_mixes = std::to_array<mix>({
    {"Q2_K_S", 21, type_id::q2_k},
    {"Q3_K_S", 11, type_id::q3_k},
    {"Q3_K_M", 12, type_id::q3_k},
    {"Q3_K_L", 13, type_id::q3_k},
    {"Q4_K_S", 14, type_id::q4_k},
    {"Q4_K_M", 15, type_id::q4_k},
    {"Q5_K_S", 16, type_id::q5_k},
    {"Q5_K_M", 17, type_id::q5_k},
    {"IQ2_S", 28, type_id::iq2_xs},
    {"IQ2_M", 29, type_id::iq2_s},
    {"IQ3_XS", 22, type_id::iq3_s},
    {"IQ3_M", 27, type_id::iq3_s},
    {"MXFP4_MOE", 38, type_id::mxfp4},
});

/// What a tensor does, as far as the mixes care.
enum class tensor_role { output, embedding, value, key, query, attention_output, up, gate, down, other };

/// What can be true of a model or of a tensor's place in it; rules ask for any number of these together.
namespace facts {
using set = std::uint32_t;
inline constexpr set none = 0;
inline constexpr set importance = 1u << 0;  ///< there are importances of the columns
inline constexpr set no_importance = 1u << 1;
inline constexpr set wide_groups = 1u << 2;    ///< at least four query heads share a key head
inline constexpr set four_experts = 1u << 3;   ///< four or more
inline constexpr set eight_experts = 1u << 4;  ///< exactly eight
inline constexpr set llama_70b = 1u << 5;      ///< Llama with 80 layers and grouped heads
inline constexpr set falcon = 1u << 6;
inline constexpr set expert_stack = 1u << 7;  ///< a tensor of three dimensions
inline constexpr set odd_rows = 1u << 8;      ///< rows that the usual type does not take
// Of n tensors of a role this is number i:
inline constexpr set first_2 = 1u << 9;
inline constexpr set first_4 = 1u << 10;
inline constexpr set first_16th = 1u << 11;   ///< i < n/16
inline constexpr set first_8th = 1u << 12;    ///< i < n/8
inline constexpr set middle = 1u << 13;       ///< n/8 <= i < 7n/8
inline constexpr set every_third = 1u << 14;  ///< the first and the last eighth, and every third between
inline constexpr set counted_first_8th = 1u
                                         << 15;  ///< as first_8th, by counting tensors even where layers have numbers
}  // namespace facts

/// A tensor of this role, in a mix of these names (all of them: "*"), with these facts true of it, gets this type; the
/// usual one where the rule names none.
struct mix_rule {
    tensor_role role;
    std::string_view mixes;
    facts::set when;
    std::optional<type_id> type;
};

/// For each tensor the first rule that applies counts; without one it gets the mix's usual type, or what that has
/// instead for embedding tables. Tied tables have the role output. MXFP4_MOE has a rule of its own beside them.
inline constexpr std::array mix_rules = std::to_array<mix_rule>({
    {tensor_role::output, "MXFP4_MOE", facts::none, type_id::q8_0},
    {tensor_role::output, "*", facts::falcon, type_id::q8_0},
    {tensor_role::output, "*", facts::odd_rows, type_id::q8_0},
    {tensor_role::output, "IQ1_S IQ1_M IQ2_XXS IQ2_XS IQ2_S IQ2_M IQ3_XXS", facts::none, type_id::q5_k},
    {tensor_role::output, "Q8_0", facts::none, type_id::q8_0},
    {tensor_role::output, "*", facts::none, type_id::q6_k},

    {tensor_role::embedding, "IQ1_S IQ1_M IQ2_XXS IQ2_XS", facts::none, type_id::q2_k},
    {tensor_role::embedding, "IQ2_S IQ2_M IQ3_XXS", facts::none, type_id::iq3_s},

    {tensor_role::value, "IQ1_S IQ1_M IQ2_XXS IQ2_XS IQ2_S IQ2_M", facts::wide_groups, type_id::q4_k},
    {tensor_role::value, "IQ1_S IQ1_M IQ2_XXS IQ2_XS IQ2_S IQ2_M", facts::four_experts, type_id::q4_k},
    {tensor_role::value, "IQ2_S IQ2_M", facts::none, type_id::iq3_s},
    {tensor_role::value, "IQ1_S IQ1_M IQ2_XXS IQ2_XS", facts::none, type_id::q2_k},
    {tensor_role::value, "*", facts::eight_experts, type_id::q8_0},
    {tensor_role::value, "Q4_K_M Q5_K_M", facts::every_third, type_id::q6_k},
    {tensor_role::value, "Q3_K_M", facts::first_2, type_id::q5_k},
    {tensor_role::value, "Q4_K_S", facts::first_4, type_id::q5_k},
    {tensor_role::value, "Q3_K_L", facts::none, type_id::q5_k},
    {tensor_role::value, "IQ4_NL IQ4_XS", facts::wide_groups, type_id::q5_k},
    {tensor_role::value, "Q2_K Q3_K_S Q3_K_M Q4_K_S Q4_K_M IQ3_M", facts::llama_70b, type_id::q5_k},
    {tensor_role::value, "Q2_K_S IQ3_XXS IQ3_XS IQ3_S", facts::llama_70b | facts::wide_groups, type_id::q5_k},
    {tensor_role::value, "Q2_K Q2_K_S IQ3_XXS IQ3_XS IQ3_S", facts::wide_groups, type_id::q4_k},
    {tensor_role::value, "Q3_K_M IQ3_M", facts::none, type_id::q4_k},
    {tensor_role::value, "Q2_K", facts::none, type_id::q3_k},
    {tensor_role::value, "IQ3_XXS", facts::no_importance, type_id::iq3_s},

    {tensor_role::key, "IQ1_S IQ1_M IQ2_XXS IQ2_XS IQ2_S IQ2_M", facts::eight_experts, type_id::q4_k},
    {tensor_role::key, "*", facts::eight_experts, type_id::q8_0},
    {tensor_role::key, "IQ3_XS", facts::none, type_id::iq3_xxs},
    {tensor_role::key, "IQ3_XXS", facts::none, type_id::iq2_s},
    {tensor_role::query, "IQ3_XS", facts::none, type_id::iq3_xxs},
    {tensor_role::query, "IQ3_XXS", facts::none, type_id::iq2_s},

    {tensor_role::attention_output, "IQ1_S IQ1_M IQ2_XXS IQ2_XS IQ2_S IQ2_M", facts::eight_experts, type_id::q5_k},
    {tensor_role::attention_output, "IQ1_S IQ1_M", facts::none, type_id::iq2_xxs},
    {tensor_role::attention_output, "IQ2_S IQ2_M", facts::none, type_id::iq3_s},
    {tensor_role::attention_output, "Q3_K_L", facts::falcon, type_id::q4_k},
    {tensor_role::attention_output, "*", facts::falcon, {}},
    {tensor_role::attention_output, "Q2_K Q3_K_S Q3_K_M Q4_K_S Q4_K_M IQ3_XXS IQ3_XS IQ3_S IQ3_M IQ4_NL IQ4_XS",
     facts::eight_experts, type_id::q5_k},
    {tensor_role::attention_output, "*", facts::eight_experts, {}},
    {tensor_role::attention_output, "Q2_K", facts::none, type_id::q3_k},
    {tensor_role::attention_output, "IQ3_XXS", facts::none, type_id::iq3_s},
    {tensor_role::attention_output, "Q3_K_M IQ3_M", facts::none, type_id::q4_k},
    {tensor_role::attention_output, "Q3_K_L", facts::none, type_id::q5_k},

    {tensor_role::up, "IQ3_XS", facts::middle, type_id::iq3_xxs},
    {tensor_role::gate, "IQ3_XS", facts::middle, type_id::iq3_xxs},

    {tensor_role::down, "IQ2_S IQ2_M", facts::counted_first_8th, type_id::iq3_s},
    {tensor_role::down, "IQ1_S IQ1_M IQ2_XXS IQ2_XS", facts::counted_first_8th, type_id::q2_k},
    {tensor_role::down, "Q2_K", facts::none, type_id::q3_k},
    {tensor_role::down, "Q2_K_S", facts::first_8th, type_id::q4_k},
    {tensor_role::down, "IQ3_XXS", facts::no_importance | facts::first_8th, type_id::q4_k},
    {tensor_role::down, "IQ3_XXS", facts::no_importance, type_id::q3_k},
    {tensor_role::down, "Q3_K_M", facts::first_16th, type_id::q5_k},
    {tensor_role::down, "Q3_K_M", facts::falcon | facts::every_third, type_id::q4_k},
    {tensor_role::down, "Q3_K_M", facts::falcon, type_id::q3_k},
    {tensor_role::down, "Q3_K_M", facts::none, type_id::q4_k},
    {tensor_role::down, "Q3_K_L", facts::falcon, type_id::q4_k},
    {tensor_role::down, "Q3_K_L", facts::none, type_id::q5_k},
    {tensor_role::down, "Q4_K_M", facts::falcon | facts::first_16th, type_id::q6_k},
    {tensor_role::down, "Q4_K_M", facts::falcon | facts::every_third, type_id::q5_k},
    {tensor_role::down, "Q4_K_S Q4_K_M", facts::falcon, {}},
    {tensor_role::down, "Q4_K_S", facts::first_8th, type_id::q5_k},
    {tensor_role::down, "Q4_K_M Q5_K_M", facts::every_third, type_id::q6_k},
    {tensor_role::down, "IQ3_M", facts::first_8th, type_id::q4_k},
    {tensor_role::down, "IQ3_M", facts::eight_experts | facts::every_third, type_id::q4_k},
    {tensor_role::down, "IQ4_NL IQ4_XS", facts::no_importance | facts::first_8th, type_id::q5_k},
    {tensor_role::down, "Q4_0", facts::importance | facts::first_8th, type_id::q4_1},
    {tensor_role::down, "Q5_0", facts::importance | facts::first_8th, type_id::q5_1},
});

/// What llama-quantize writes instead of a type whose blocks the rows do not fill: for blocks of 256 (or 64) a type of
/// blocks of 32, for blocks of 32 or fewer F16. Nothing for types it has no substitute for. Until August 2026 it had
/// none for blocks of 32 either, and refused such models.
[[nodiscard]] constexpr std::optional<type_id> mix_substitute(const type_layout& wanted) noexcept {
    if (wanted.stock.substitute) return wanted.stock.substitute;
    return wanted.block_size <= 32 ? std::optional(type_id::f16) : std::nullopt;
}

/// The mixes whose usual type is among these formats, by llama.cpp's numbers.
[[nodiscard]] inline std::vector<mix> mixes_of(std::span<const type_layout> formats) {
    std::vector<mix> all;
    for (const type_layout& format : formats)
        if (format.stock.is_mix && format.stock.file_type)
            all.push_back({format.name, *format.stock.file_type, format.id});
    for (const mix& m : mixed_mixes)
        if (find_layout(formats, m.usual) != nullptr) all.push_back(m);
    std::ranges::stable_sort(all, {}, &mix::file_type);
    return all;
}

/// "F32, F16, ...": for messages and help texts.
[[nodiscard]] inline std::string mix_names(std::span<const type_layout> formats) {
    std::string all;
    for (const mix& m : mixes_of(formats)) all += (all.empty() ? "" : ", ") + std::string(m.name);
    return all;
}

/// The mix of a name, whatever its case; Q3_K, Q4_K and Q5_K mean their _M. Nothing when there is none.
[[nodiscard]] inline std::optional<mix> find_mix(std::string_view name, std::span<const type_layout> formats) {
    for (const mix& m : mixes_of(formats))
        if (same_format_name(m.name, name)) return m;
    for (const std::string_view alias : {"Q3_K", "Q4_K", "Q5_K"})
        if (same_format_name(alias, name)) return find_mix(std::string(alias) + "_M", formats);
    return std::nullopt;
}

}  // namespace tessera::select
