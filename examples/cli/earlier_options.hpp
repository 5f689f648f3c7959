// Options of earlier versions, which still work.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cli {

/// The arguments of a command line, without the program's name, the last one first, as CLI11 wants them. Options that
/// earlier versions called otherwise get their present names.
[[nodiscard]] inline std::vector<std::string> arguments_of(std::span<char* const> line) {
    constexpr std::array<std::pair<std::string_view, std::string_view>, 2> renamed{
        {{"--held-back", "--held-out"}, {"--recipe", "--mix"}}};
    std::vector<std::string> arguments;
    for (std::size_t a = line.size(); a-- > 1;) {
        std::string argument = line[a];
        for (const auto& [before, now] : renamed)
            if (argument.starts_with(before) && (argument.size() == before.size() || argument[before.size()] == '='))
                argument.replace(0, before.size(), now);
        arguments.push_back(std::move(argument));
    }
    return arguments;
}

}  // namespace cli
