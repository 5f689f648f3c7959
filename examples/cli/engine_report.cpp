#include "engine_report.hpp"

#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace cli {

using namespace tessera;

void print_needs(const engine_needs& needs) {
    std::cout << "formats need " << needs.text() << '\n';
    const std::vector<std::string_view> names = needs.not_portable();
    if (names.empty()) return;
    std::cout << "warning: not portable: ";
    for (std::size_t i = 0; i < names.size(); ++i) std::cout << (i ? ", " : "") << names[i];
    std::cout
        << "; a program whose llama.cpp is older refuses the file, and a back end that lacks a format leaves its\n"
           "  tensors to the CPU or fails\n";
}

nlohmann::ordered_json needs_json(const engine_needs& needs) {
    nlohmann::ordered_json builds;
    for (const back_end& on : back_ends) {
        const engine_build first = needs.build(on);
        builds[std::string(on.name)] = first.exists() ? nlohmann::ordered_json(first.number) : nlohmann::ordered_json();
    }
    return {{"text", needs.text()}, {"builds", std::move(builds)}, {"not_portable", needs.not_portable()}};
}

}  // namespace cli
