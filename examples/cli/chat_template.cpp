#include "chat_template.hpp"

#include <iostream>
#include <utility>

#include "tessera/core/printable.hpp"

namespace cli {

void print_chat_templates(const std::vector<tessera::app::checked_template>& all) {
    if (all.empty()) std::cout << "chat template: none\n";
    for (const tessera::app::checked_template& t : all) {
        if (!t.problem.empty()) {
            std::cout << "chat template does not parse: " << tessera::printable(t.problem) << '\n';
            continue;
        }
        std::cout << "chat template: " << tessera::printable(t.key) << " parses";
        if (!t.findings.empty()) std::cout << "; not every engine takes it alike:";
        std::cout << '\n';
        for (const auto& f : t.findings)
            std::cout << "  line " << f.line << ", column " << f.column << ": " << tessera::printable(f.problem)
                      << "; works everywhere: " << tessera::printable(f.rewrite) << '\n';
    }
}

nlohmann::ordered_json chat_templates_json(const std::vector<tessera::app::checked_template>& all) {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const tessera::app::checked_template& t : all) {
        nlohmann::ordered_json one{{"key", t.key}, {"parses", t.problem.empty()}};
        if (!t.problem.empty()) one["problem"] = t.problem;
        one["findings"] = nlohmann::ordered_json::array();
        for (const auto& f : t.findings)
            one["findings"].push_back(
                {{"line", f.line}, {"column", f.column}, {"problem", f.problem}, {"rewrite", f.rewrite}});
        list.push_back(std::move(one));
    }
    return list;
}

}  // namespace cli
