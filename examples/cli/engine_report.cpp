#include "engine_report.hpp"

#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "tessera/format/builtin.hpp"

namespace cli {

using namespace tessera;

void print_needs(std::span<const tensor_info> tensors) {
    const engine_needs needs = builtin_formats::needs_of(tensors);
    std::cout << "formats need " << needs.text() << '\n';
    const std::vector<std::string_view> names = needs.not_portable();
    if (names.empty()) return;
    std::cout << "warning: not portable: ";
    for (std::size_t i = 0; i < names.size(); ++i) std::cout << (i ? ", " : "") << names[i];
    std::cout
        << "; a program whose llama.cpp is older refuses the file, and a back end that lacks a format leaves its\n"
           "  tensors to the CPU or fails\n";
}

nlohmann::ordered_json needs_json(std::span<const tensor_info> tensors) {
    const engine_needs needs = builtin_formats::needs_of(tensors);
    nlohmann::ordered_json builds;
    for (const back_end& on : back_ends) {
        const engine_build first = needs.build(on);
        builds[std::string(on.name)] = first.exists() ? nlohmann::ordered_json(first.number) : nlohmann::ordered_json();
    }
    return {{"text", needs.text()}, {"builds", std::move(builds)}, {"not_portable", needs.not_portable()}};
}

}  // namespace cli
