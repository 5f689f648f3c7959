// Variables of templates from JSON. The engine itself needs no JSON library, so this header is included by itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "tessera/core/error.hpp"
#include "tessera/core/utf8.hpp"
#include "tessera/jinja/text_template.hpp"
#include "tessera/jinja/value.hpp"

namespace tessera::jinja {

/// JSON as a value. Throws, starting with `where`, for what no template can hold: integers beyond 64 bits, strings that
/// are no UTF-8, more than `levels` of nesting.
[[nodiscard]] inline value value_from_json(const nlohmann::ordered_json& json, std::string_view where,
                                           std::size_t levels) {
    if (levels == 0) fail(where, ": wanted JSON nested less deeply");
    const auto checked = [&](const std::string& text) {
        if (valid_utf8_prefix(text) != text.size())
            fail(where, ": wanted UTF-8, got ", repaired_utf8(text.substr(0, 80)));
        return value(text);
    };
    switch (json.type()) {
        case nlohmann::ordered_json::value_t::null: return none{};
        case nlohmann::ordered_json::value_t::boolean: return json.get<bool>();
        case nlohmann::ordered_json::value_t::number_float: return json.get<double>();
        case nlohmann::ordered_json::value_t::string: return checked(json.get_ref<const std::string&>());
        case nlohmann::ordered_json::value_t::number_integer: return json.get<std::int64_t>();
        case nlohmann::ordered_json::value_t::number_unsigned:
            if (json.get<std::uint64_t>() > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
                fail(where, ": wanted integers of 64 bits with sign, got ", json.get<std::uint64_t>());
            return json.get<std::int64_t>();
        case nlohmann::ordered_json::value_t::array: {
            std::vector<value> items;
            for (const auto& item : json) items.push_back(value_from_json(item, where, levels - 1));
            return make_sequence(std::move(items));
        }
        case nlohmann::ordered_json::value_t::object: {
            std::vector<std::pair<value, value>> entries;
            for (auto entry = json.begin(); entry != json.end(); ++entry)
                entries.emplace_back(checked(entry.key()), value_from_json(entry.value(), where, levels - 1));
            return make_mapping(std::move(entries));
        }
        default: fail(where, ": wanted JSON, got ", json.type_name());
    }
}

/// Renders a template with the members of a JSON object as its variables. Throws as `render` of the template does, and
/// for values that no template can hold.
[[nodiscard]] inline std::string render(const text_template& compiled, const nlohmann::ordered_json& given,
                                        const render_options& options = {}) {
    const std::string& name = compiled.source().name();
    if (!given.is_object()) fail(name, ": wanted an object of variables, got ", given.type_name());
    variables converted;
    for (auto entry = given.begin(); entry != given.end(); ++entry)
        converted.emplace_back(entry.key(), value_from_json(entry.value(), concat(name, ": variable ", entry.key()),
                                                            options.bounds.value_depth));
    return compiled.render(std::move(converted), options);
}

}  // namespace tessera::jinja
