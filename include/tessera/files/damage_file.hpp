// A damage table as a JSON file, so that it is measured once and planned with often.
#pragma once

#include <filesystem>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include "tessera/core/bytes.hpp"
#include "tessera/core/mapped_file.hpp"
#include "tessera/core/output_file.hpp"
#include "tessera/core/output_rule.hpp"
#include "tessera/core/tensor_index.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/core/tied_table.hpp"
#include "tessera/files/json_file.hpp"
#include "tessera/files/model_identity.hpp"
#include "tessera/format/builtin.hpp"
#include "tessera/json/parse.hpp"
#include "tessera/select/damage_table.hpp"

namespace tessera {

inline constexpr std::string_view damage_file_kind = "tessera damage table";

/// The table as JSON text. `tensors` are those of the model it was measured on.
[[nodiscard]] inline std::string damage_to_json(const select::damage_table& table,
                                                std::span<const tensor_info> tensors) {
    nlohmann::ordered_json file = detail::json_file(damage_file_kind, identify(tensors));
    file["unit"] = "nats of mean KL divergence";
    file["encoder"] = table.encoder;
    if (!table.origin.empty()) file["origin"] = table.origin;
    nlohmann::ordered_json rows = nlohmann::ordered_json::array();
    for (const select::tensor_damage& tensor : table.tensors) {
        nlohmann::ordered_json damage = nlohmann::ordered_json::object();
        for (const select::damage_option& option : tensor.options)
            damage[std::string(option.layout.name)] = option.damage;
        nlohmann::ordered_json row{{"name", tensor.name},
                                   {"sensitivity", tensor.sensitivity},
                                   {"sensitivity_error", tensor.sensitivity_error}};
        if (!tensor.priced_as.empty()) row["priced_as"] = tensor.priced_as;
        if (!tensor.between.empty()) row["between"] = tensor.between;
        row["damage"] = std::move(damage);
        rows.push_back(std::move(row));
    }
    return detail::json_text(file, rows);
}

/// A table from JSON text, for the model with these tensors; `where` starts every message. Throws when the text is no
/// damage table, was made for another model, names a tensor the model does not have or a format that is not one of
/// `formats`, or holds a damage that is no number from 0 up.
[[nodiscard]] inline select::damage_table damage_from_json(std::string_view text, std::string_view where,
                                                           std::span<const tensor_info> tensors,
                                                           std::span<const type_layout> formats) {
    const nlohmann::json parsed = parse_json(text, where);
    const detail::json_place file(parsed, std::string(where));
    detail::require_json_file(file, damage_file_kind, identify(tensors));
    const tensor_index known(tensors, where);
    const bool is_tied = tied_table(tensors) != nullptr;
    std::set<std::string> seen;
    select::damage_table table;
    if (parsed.contains("encoder")) table.encoder = file["encoder"].text();
    if (parsed.contains("origin")) table.origin = file["origin"].text();
    file["tensors"].each([&](const detail::json_place& entry) {
        select::tensor_damage tensor{.name = entry["name"].text(),
                                     .sensitivity = entry["sensitivity"].amount(),
                                     .sensitivity_error = entry["sensitivity_error"].amount()};
        if (entry.has("priced_as")) tensor.priced_as = entry["priced_as"].text();
        if (entry.has("between"))
            entry["between"].each([&](const detail::json_place& other) { tensor.between.push_back(other.text()); });
        if (known.find(tensor.name) == tensor_index::npos && !(is_tied && tensor.name == output_name))
            fail(entry.where(), ": wanted a tensor of the model, got ", tensor.name);
        if (!seen.insert(tensor.name).second)
            fail(entry.where(), ": wanted every tensor once, got ", tensor.name, " twice");
        entry["damage"].each_member([&](const std::string& format, const detail::json_place& damage) {
            tensor.options.push_back({damage.format_named(format, formats), damage.amount()});
        });
        table.tensors.push_back(std::move(tensor));
    });
    return table;
}

/// Writes damage_to_json to a file. Throws naming the path when it cannot or must not.
inline void save_damage(const std::filesystem::path& path, const select::damage_table& table,
                        std::span<const tensor_info> tensors,
                        const output_rule& rule = {.existing = existing_file::replace}) {
    write_text_file(path, damage_to_json(table, tensors), rule);
}

/// Reads what save_damage wrote, perhaps edited since. Formats are known by their names in `formats`.
[[nodiscard]] inline select::damage_table load_damage(const std::filesystem::path& path,
                                                      std::span<const tensor_info> tensors,
                                                      std::span<const type_layout> formats) {
    const mapped_file file(path);
    return damage_from_json(as_text(file.bytes()), path.string(), tensors, formats);
}

/// The same with the formats of a list.
template <class Formats = builtin_formats>
[[nodiscard]] select::damage_table damage_from_json(std::string_view text, std::string_view where,
                                                    std::span<const tensor_info> tensors) {
    return damage_from_json(text, where, tensors, stored_formats_of<Formats>::layouts);
}
template <class Formats = builtin_formats>
[[nodiscard]] select::damage_table load_damage(const std::filesystem::path& path,
                                               std::span<const tensor_info> tensors) {
    return load_damage(path, tensors, stored_formats_of<Formats>::layouts);
}

}  // namespace tessera
