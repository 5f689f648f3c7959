#include "forecast_report.hpp"

#include <cstdint>
#include <iostream>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "json_text.hpp"
#include "terminal.hpp"
#include "tessera/core/duration.hpp"

namespace cli {

void print_forecast(const app::forecast& forecast, printed as) {
    app::planned_stage all = app::all_of(forecast.stages);
    all.disk = 0;
    for (const auto& need : forecast.disk) all.disk += need.bytes;
    if (as == printed::json) {
        using json = nlohmann::ordered_json;
        json stages = json::array(), folders = json::array();
        for (const auto& stage : forecast.stages)
            stages.push_back({{"stage", std::string(stage.name)},
                              {"seconds", stage.seconds},
                              {"memory", stage.memory},
                              {"disk", stage.disk},
                              {"done", stage.done}});
        for (const auto& need : forecast.disk)
            folders.push_back({{"folder", need.folder.string()},
                               {"bytes", need.bytes},
                               {"at_most", need.bound == app::byte_bound::at_most}});
        std::cout << json_text("tessera forecast", json{{"seconds", all.seconds},
                                                        {"memory", all.memory},
                                                        {"disk", all.disk},
                                                        {"stages", std::move(stages)},
                                                        {"folders", std::move(folders)}});
        return;
    }
    text_table table({"stage", ">time", ">peak memory", ">disk"});
    const auto add = [&](const app::planned_stage& stage) {
        const auto size = [](std::uint64_t bytes) { return metric(static_cast<double>(bytes)) + "B"; };
        table.add(
            {std::string(stage.name), time_text(stage), stage.memory > 0 ? size(stage.memory) : "", size(stage.disk)});
    };
    for (const auto& stage : forecast.stages) add(stage);
    add(all);
    std::cout << table;
    for (const auto& need : forecast.disk)
        std::cout << "would write to " << path_text(need.folder.empty() ? "." : need.folder) << ": "
                  << (need.bound == app::byte_bound::at_most ? "at most " : "") << bytes_text(need.bytes) << '\n';
}

app::forecast foretold(printed as, tessera::function_ref<app::forecast(const app::listener&)> foretell) {
    std::optional<said_on_stderr> aside;
    if (as == printed::json) aside.emplace();
    terminal_listener tell;
    return foretell(tell.listener());
}

}  // namespace cli
