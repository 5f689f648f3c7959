#include "chat_template.hpp"

#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/core/printable.hpp"
#include "tessera/jinja/lint.hpp"
#include "tessera/jinja/text_template.hpp"
#include "tessera/text/chat.hpp"
#include "tessera/text/text_file.hpp"

namespace cli {

namespace {

using tessera::jinja::finding;
using tessera::jinja::text_template;
using tessera::text::chat_template_key;

constexpr std::string_view key_of_names = "tokenizer.chat_templates";

struct checked_template {
    std::string key;
    std::string problem;  // empty when it parses
    std::vector<finding> findings;
};

std::vector<checked_template> check_all(const tessera::metadata& properties) {
    std::vector<checked_template> all;
    for (const auto& [key, value] : properties) {
        const auto* source = std::get_if<std::string>(&value);
        if (source == nullptr || (key != chat_template_key && !key.starts_with(std::string(chat_template_key) + ".")))
            continue;
        checked_template one{key, {}, {}};
        try {
            one.findings = lint(text_template(*source, key));
        } catch (const tessera::error& e) {
            one.problem = e.what();
        }
        all.push_back(std::move(one));
    }
    return all;
}

}  // namespace

void print_chat_templates(const tessera::metadata& properties) {
    const auto all = check_all(properties);
    if (all.empty()) std::cout << "chat template: none\n";
    for (const checked_template& t : all) {
        if (!t.problem.empty()) {
            std::cout << "chat template does not parse: " << tessera::printable(t.problem) << '\n';
            continue;
        }
        std::cout << "chat template: " << tessera::printable(t.key) << " parses";
        if (!t.findings.empty()) std::cout << "; not every engine takes it alike:";
        std::cout << '\n';
        for (const finding& f : t.findings)
            std::cout << "  line " << f.line << ", column " << f.column << ": " << tessera::printable(f.problem)
                      << "; works everywhere: " << tessera::printable(f.rewrite) << '\n';
    }
}

nlohmann::ordered_json chat_templates_json(const tessera::metadata& properties) {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const checked_template& t : check_all(properties)) {
        nlohmann::ordered_json one{{"key", t.key}, {"parses", t.problem.empty()}};
        if (!t.problem.empty()) one["problem"] = t.problem;
        one["findings"] = nlohmann::ordered_json::array();
        for (const finding& f : t.findings)
            one["findings"].push_back(
                {{"line", f.line}, {"column", f.column}, {"problem", f.problem}, {"rewrite", f.rewrite}});
        list.push_back(std::move(one));
    }
    return list;
}

tessera::metadata with_chat_template(tessera::metadata properties, const std::filesystem::path& file) {
    if (file.empty()) return properties;
    const std::string source(tessera::text::text_file(file).text());
    const text_template parsed(source, file.string());
    if (const auto* names = properties.get<std::vector<std::string>>(key_of_names))
        for (const std::string& name : std::vector(*names))
            properties.erase(std::string(chat_template_key) + "." + name);
    properties.erase(key_of_names);
    properties.set(std::string(chat_template_key), source);
    return properties;
}

}  // namespace cli
