#include "forecast_report.hpp"

#include <algorithm>
#include <cstdint>
#include <iostream>
#include <string>

#include <nlohmann/json.hpp>

#include "json_text.hpp"
#include "terminal.hpp"
#include "tessera/core/duration.hpp"

namespace cli {

void print_forecast(const tessera::app::forecast& forecast, printed as) {
    double seconds = 0;
    std::uint64_t memory = 0, disk = 0;
    for (const auto& stage : forecast.stages) {
        seconds += stage.seconds;
        memory = std::max(memory, stage.memory);
    }
    for (const auto& need : forecast.disk) disk += need.bytes;
    if (as == printed::json) {
        using json = nlohmann::ordered_json;
        json stages = json::array(), folders = json::array();
        for (const auto& stage : forecast.stages)
            stages.push_back({{"stage", std::string(stage.name)},
                              {"seconds", stage.seconds},
                              {"memory", stage.memory},
                              {"disk", stage.disk}});
        for (const auto& need : forecast.disk)
            folders.push_back({{"folder", need.folder.string()}, {"bytes", need.bytes}});
        std::cout << json_text("tessera forecast", json{{"seconds", seconds},
                                                        {"memory", memory},
                                                        {"disk", disk},
                                                        {"stages", std::move(stages)},
                                                        {"folders", std::move(folders)}});
        return;
    }
    text_table table({"stage", ">time", ">peak memory", ">disk"});
    const auto add = [&](const std::string& name, double time, std::uint64_t most, std::uint64_t written) {
        const auto size = [](std::uint64_t bytes) { return metric(static_cast<double>(bytes)) + "B"; };
        table.add({name, tessera::duration_text(time), most > 0 ? size(most) : "", size(written)});
    };
    for (const auto& stage : forecast.stages) add(std::string(stage.name), stage.seconds, stage.memory, stage.disk);
    add("all", seconds, memory, disk);
    std::cout << table;
    for (const auto& need : forecast.disk)
        std::cout << "would write to " << path_text(need.folder.empty() ? "." : need.folder) << ": "
                  << bytes_text(need.bytes) << '\n';
}

}  // namespace cli
