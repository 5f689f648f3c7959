// A plan as a JSON file that a person can read, edit and run again.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "tessera/core/bytes.hpp"
#include "tessera/core/mapped_file.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/core/output_file.hpp"
#include "tessera/core/output_rule.hpp"
#include "tessera/core/tensor_index.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/core/tied_table.hpp"
#include "tessera/files/json_file.hpp"
#include "tessera/files/model_identity.hpp"
#include "tessera/format/builtin.hpp"
#include "tessera/gguf/layout.hpp"
#include "tessera/json/parse.hpp"
#include "tessera/quantize/output_metadata.hpp"
#include "tessera/select/plan.hpp"
#include "tessera/select/rules.hpp"

namespace tessera {

inline constexpr std::string_view plan_file_kind = "tessera plan";

/// The reasons in the words of plan files.
inline constexpr auto reason_names = std::to_array<std::pair<select::reason, std::string_view>>({
    {select::reason::unchanged, "unchanged"},
    {select::reason::requested, "requested"},
    {select::reason::kept, "full precision"},
    {select::reason::row_length, "row length"},
    {select::reason::budget, "budget"},
    {select::reason::unpriced, "damage unknown"},
});

[[nodiscard]] constexpr std::string_view reason_name(select::reason why) noexcept {
    for (const auto& [reason, name] : reason_names)
        if (reason == why) return name;
    return {};
}

namespace detail {

[[nodiscard]] inline nlohmann::ordered_json to_json(const std::optional<double>& number) {
    return number ? nlohmann::ordered_json(*number) : nlohmann::ordered_json(nullptr);
}

// The fingerprint of a plan is that of its source: a table written twice counts once.
[[nodiscard]] inline model_identity source_identity(const select::plan& plan) {
    std::vector<tensor_info> tensors;
    for (const select::choice& c : plan.choices)
        if (c.made_from.empty()) tensors.push_back(c.target);
    return identify(tensors);
}

}  // namespace detail

/// The plan as JSON text. `properties` are the source's metadata: the size of the file depends on them.
[[nodiscard]] inline std::string plan_to_json(const select::plan& plan, const metadata& properties) {
    nlohmann::ordered_json file = detail::json_file(plan_file_kind, detail::source_identity(plan));
    file["file_bytes"] = gguf::file_size(plan.targets(), output_metadata(properties, plan));
    file["tensor_bytes"] = plan.bytes();
    file["bits_per_weight"] = plan.bits_per_weight();
    file["predicted_kld"] = detail::to_json(plan.damage());
    file["proven_gap"] = detail::to_json(plan.gap);
    if (plan.file_type) file["file_type"] = *plan.file_type;
    nlohmann::ordered_json rows = nlohmann::ordered_json::array();
    for (const select::choice& c : plan.choices) {
        nlohmann::ordered_json row{
            {"name", c.target.name}, {"format", c.target.layout.name}, {"bytes", c.target.bytes()}};
        if (c.damage) row["damage"] = {{std::string(c.target.layout.name), *c.damage}};
        row["reason"] = reason_name(c.why);
        if (c.wanted.id != c.target.type()) row["wanted"] = c.wanted.name;
        if (!c.made_from.empty()) row["made_from"] = c.made_from;
        rows.push_back(std::move(row));
    }
    return detail::json_text(file, rows);
}

namespace detail {

// One row of a plan file. Where the format was edited, bytes, damage and reason in the row belong to another format.
[[nodiscard]] inline select::choice read_choice(const json_place& row, const tensor_info& source,
                                                std::span<const type_layout> formats) {
    select::choice made{.target = source, .source = source.layout};
    const type_layout& format = row["format"].format(formats);
    if (source.columns() % format.block_size != 0)
        fail(row.where(), ": tensor ", source.name, ": wanted a format that takes rows of ", source.columns(),
             " weights, got ", format.name, " with blocks of ", format.block_size);
    if ((is_integer(source.type()) || is_integer(format.id)) && format.id != source.type())
        fail(row.where(), ": tensor ", source.name,
             ": wanted whole numbers to stay what they are and weights not to become such, got ", format.name, " for ",
             source.layout.name);
    if (select::stays_full_precision(source) && format.block_size > 1)
        fail(row.where(), ": tensor ", source.name, ": wanted F32 for a tensor that stays in full precision, got ",
             format.name);
    made.target.layout = format;
    made.wanted = format;
    bool is_edited = row.has("bytes") && row["bytes"].count() != made.target.bytes();
    if (row.has("damage"))
        row["damage"].each_member([&](const std::string& name, const json_place& damage) {
            if (same_format_name(name, format.name))
                made.damage = damage.amount();
            else
                is_edited = true;
        });
    if (is_edited || !row.has("reason")) return made;
    if (row.has("wanted")) made.wanted = row["wanted"].format(formats);
    for (const auto& [why, name] : reason_names)
        if (row["reason"].text() == name) made.why = why;
    return made;
}

}  // namespace detail

/// A plan from JSON text, for the model with these tensors; `where` starts every message. What counts of a tensor is
/// its name and format; one that was edited is taken as requested, and its damage as unknown. Throws when the
/// text is no plan, was made for another model, leaves a tensor out, has one twice or one too many, or gives a tensor a
/// format that does not take its rows or is not one of `formats`.
[[nodiscard]] inline select::plan plan_from_json(std::string_view text, std::string_view where,
                                                 std::span<const tensor_info> tensors,
                                                 std::span<const type_layout> formats) {
    const nlohmann::json parsed = parse_json(text, where);
    const detail::json_place file(parsed, std::string(where));
    detail::require_json_file(file, plan_file_kind, identify(tensors));

    select::plan plan;
    if (file.has("file_type"))
        plan.file_type = static_cast<std::uint32_t>(
            std::min<std::uint64_t>(file["file_type"].count(), std::numeric_limits<std::uint32_t>::max()));
    const tensor_index known(tensors, where);
    std::vector<std::optional<select::choice>> found(tensors.size());
    std::optional<select::choice> second;
    file["tensors"].each([&](const detail::json_place& row) {
        const std::string& name = row["name"].text();
        const tensor_info* tied = tied_table(tensors);
        const bool is_second = tied != nullptr && name == output_name;
        const std::size_t position = known.find(is_second ? tied->name : name);
        if (position == tensor_index::npos) fail(row.where(), ": wanted a tensor of the model, got ", name);
        std::optional<select::choice>& place = is_second ? second : found[position];
        if (place) fail(row.where(), ": wanted every tensor once, got ", name, " twice");
        place = detail::read_choice(row, tensors[position], formats);
        if (is_second) {
            place->target.name = name;
            place->made_from = tied->name;
        }
    });
    for (std::size_t t = 0; t < tensors.size(); ++t) {
        if (!found[t]) fail(where, ": wanted every tensor of the model, got none named ", tensors[t].name);
        plan.choices.push_back(*std::move(found[t]));
    }
    if (second) plan.choices.push_back(*std::move(second));
    return plan;
}

/// Writes plan_to_json to a file. Throws naming the path when it cannot or must not.
inline void save_plan(const std::filesystem::path& path, const select::plan& plan, const metadata& properties,
                      const output_rule& rule = {.existing = existing_file::replace}) {
    write_text_file(path, plan_to_json(plan, properties), rule);
}

/// Reads what save_plan wrote, perhaps edited since. Formats are known by their names in `formats`.
[[nodiscard]] inline select::plan load_plan(const std::filesystem::path& path, std::span<const tensor_info> tensors,
                                            std::span<const type_layout> formats) {
    const mapped_file file(path);
    return plan_from_json(as_text(file.bytes()), path.string(), tensors, formats);
}

/// The same with the formats of a list.
template <class Formats = builtin_formats>
[[nodiscard]] select::plan plan_from_json(std::string_view text, std::string_view where,
                                          std::span<const tensor_info> tensors) {
    return plan_from_json(text, where, tensors, stored_formats_of<Formats>::layouts);
}
template <class Formats = builtin_formats>
[[nodiscard]] select::plan load_plan(const std::filesystem::path& path, std::span<const tensor_info> tensors) {
    return load_plan(path, tensors, stored_formats_of<Formats>::layouts);
}

/// The plan as options of llama-quantize, one `--tensor-type NAME=TYPE` a line, each with an expression that matches
/// this tensor alone. Tensors that no option can change are left out. Throws when the plan writes a table twice, which
/// no option of that tool asks for.
[[nodiscard]] inline std::string tensor_type_options(const select::plan& plan) {
    const auto is_plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; };
    std::string text;
    for (const select::choice& c : plan.choices) {
        if (!c.made_from.empty())
            fail("--tensor-type options: wanted a plan with each table once, got ", c.target.name, " made from ",
                 c.made_from);
        if (select::stays_full_precision(c.target)) continue;
        text += "--tensor-type ^";
        for (const char letter : c.target.name)
            text += is_plain(letter) ? std::string(1, letter) : std::string{'\\', letter};
        text += "$=";
        for (const char letter : c.target.layout.name)
            text += letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter;
        text += '\n';
    }
    return text;
}

}  // namespace tessera
