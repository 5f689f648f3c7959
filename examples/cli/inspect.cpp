#include <array>
#include <charconv>
#include <cstddef>
#include <filesystem>
#include <iostream>
#include <string>
#include <type_traits>
#include <variant>
#include <vector>

#include <nlohmann/json.hpp>

#include "chat_template.hpp"
#include "commands.hpp"
#include "engine_report.hpp"
#include "json_text.hpp"
#include "terminal.hpp"
#include "tessera/app/inspect.hpp"
#include "tessera/app/model_summary.hpp"
#include "tessera/core/printable.hpp"
#include "tessera/tensor/tensor_table.hpp"

namespace cli {

namespace {

using tessera::excerpt;
using json = nlohmann::ordered_json;

template <class T>
inline constexpr bool is_array = false;
template <class T>
inline constexpr bool is_array<std::vector<T>> = true;

template <class T>
std::string scalar_text(const T& value) {
    if constexpr (std::is_same_v<T, std::string>)
        return excerpt(value);
    else if constexpr (std::is_same_v<T, bool>)
        return value ? "true" : "false";
    else {
        std::array<char, 32> text;  // holds any number; of a float the shortest text that reads back as the same
        return {text.data(), std::to_chars(text.data(), text.data() + text.size(), value).ptr};
    }
}

// A value on one line: of an array its length and first elements.
std::string value_text(const tessera::metadata_value& value) {
    return std::visit(
        []<class T>(const T& v) -> std::string {
            if constexpr (is_array<T>) {
                constexpr std::size_t shown = 6;
                std::string text = std::to_string(v.size()) + ": [";
                for (std::size_t i = 0; i < v.size() && i < shown; ++i)
                    text += (i ? ", " : "") + scalar_text<typename T::value_type>(v[i]);
                return text + (v.size() > shown ? ", ...]" : "]");
            } else {
                return scalar_text(v);
            }
        },
        value);
}

json to_json(const app::inspection& found) {
    const tessera::any_model& model = found.model;
    const app::model_summary& summary = found.summary;
    json result;
    for (const auto& file : model.files()) result["files"].push_back(file.string());
    result["file_bytes"] = found.file_bytes;
    result["weights"] = summary.weights;
    result["tensor_bytes"] = summary.bytes;
    result["bits_per_weight"] = summary.bits_per_weight();
    if (found.needs) result["needs"] = needs_json(*found.needs);
    result["formats"] = json::array();
    for (const app::format_share& f : summary.formats)
        result["formats"].push_back(
            {{"name", f.name}, {"tensors", f.tensors}, {"weights", f.weights}, {"bytes", f.bytes}});
    result["metadata"] = json::object();
    for (const auto& [key, value] : model.metadata())
        result["metadata"][key] = {{"type", tessera::type_name(value)},
                                   {"value", std::visit([](const auto& v) { return json(v); }, value)}};
    result["chat_templates"] = chat_templates_json(found.chat_templates);
    result["tensors"] = json::array();
    for (const tessera::tensor_info& info : model.tensors()) {
        json dims = json::array();
        for (std::uint32_t d = 0; d < info.rank; ++d) dims.push_back(info.dims[d]);
        result["tensors"].push_back(
            {{"name", info.name}, {"format", info.layout.name}, {"dims", std::move(dims)}, {"bytes", info.bytes()}});
    }
    return result;
}

void print(const app::inspection& found) {
    const tessera::any_model& model = found.model;
    const app::model_summary& summary = found.summary;
    text_table properties({"key", "type", "value"});
    for (const auto& [key, value] : model.metadata())
        properties.add({excerpt(key), tessera::type_name(value), value_text(value)});
    text_table tensors({"tensor", "format and dimensions", ">bytes"});
    for (const tessera::tensor_info& info : model.tensors())
        tensors.add({info.name, tessera::shape_text(info), std::to_string(info.bytes())});
    text_table formats({"format", ">tensors", ">weights", ">bytes", ">share"});
    for (const app::format_share& f : summary.formats)
        formats.add({std::string(f.name), std::to_string(f.tensors), std::to_string(f.weights), std::to_string(f.bytes),
                     fixed(100.0 * static_cast<double>(f.bytes) / static_cast<double>(summary.bytes), 1) + " %"});
    std::cout << properties << '\n' << tensors << '\n' << formats << '\n';
    print_chat_templates(found.chat_templates);
    for (const auto& file : model.files()) std::cout << "file: " << path_text(file) << '\n';
    std::cout << "size: " << bytes_text(found.file_bytes) << "\nweights: " << summary.weights
              << "\nbits per weight: " << fixed(summary.bits_per_weight(), 3) << '\n';
    if (found.needs) print_needs(*found.needs);
}

}  // namespace

void inspect(const inspect_command& command, const app::any_formats& formats) {
    terminal_listener tell;
    app::listener listener = tell.listener();
    listener.progress = {};  // it is done at once
    const app::inspection found = app::inspect(command.model, listener, formats);
    if (command.as == printed::json)
        std::cout << json_text("tessera inspection", to_json(found));
    else
        print(found);
}

}  // namespace cli
