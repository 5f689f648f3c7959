#include <filesystem>
#include <iostream>
#include <string>

#include <nlohmann/json.hpp>

#include "commands.hpp"
#include "forecast_report.hpp"
#include "json_text.hpp"
#include "terminal.hpp"
#include "tessera/core/output_file.hpp"
#include "tessera/core/printable.hpp"
#include "tessera/json/text.hpp"

namespace cli {

namespace {

using json = nlohmann::ordered_json;

void print(const app::calibrated& all) {
    const auto& [text, result, found, seconds, files] = all;
    std::cout << result.windows * result.window << " tokens in " << result.windows << " windows of " << result.window;
    if (text.windows.held_out) std::cout << ", " << text.windows.held_out->size() << " held out";
    std::cout << "\ntext: " << tessera::printable(text.framing) << "\n\n";
    text_table sources({"source", ">tokens"});
    for (const auto& source : text.sources) sources.add({source.name, std::to_string(source.tokens)});
    std::cout << sources << '\n';

    if (!found.coverage.empty()) {
        text_table table({">layer", ">experts", ">least tokens", ">median", ">rare", ">unreached"});
        for (const auto& c : found.coverage)
            table.add({std::to_string(c.layer), std::to_string(c.experts), std::to_string(c.least),
                       std::to_string(c.median), std::to_string(c.rare), std::to_string(c.unreached)});
        std::cout << table << '\n';
    }
    text_table largest({"largest activations", ">matrix", ">column", ">magnitude", ">rms of the column"});
    for (const auto& l : found.largest)
        largest.add(
            {l.tensor, std::to_string(l.matrix), std::to_string(l.column), fixed(l.magnitude, 2), fixed(l.rms, 2)});
    std::cout << largest << '\n';
    if (found.inactive.empty()) std::cout << "columns never active: none\n";
    for (const auto& i : found.inactive)
        std::cout << "columns never active: " << i.never_active << " of " << i.columns << " of "
                  << tessera::printable(i.tensor) << '\n';
}

json to_json(const app::calibrate_options& options, const app::calibrated& all) {
    const auto& [text, result, found, seconds, files] = all;
    json report{{"kind", "tessera calibration report"},
                {"version", 1},
                {"model", options.model.string()},
                {"output", options.output.string()},
                {"tokens", result.windows * result.window},
                {"windows", result.windows},
                {"window", result.window},
                {"held_out_windows", text.windows.held_out ? text.windows.held_out->size() : 0},
                {"chunks", options.windows.chunks == app::chunking::packed ? "packed" : "contiguous"},
                {"framing", text.framing},
                {"seed", options.windows.seed},
                {"seconds", seconds},
                {"sources", json::array()},
                {"experts", json::array()},
                {"largest_activations", json::array()},
                {"never_active", json::array()}};
    for (const auto& s : text.sources) report["sources"].push_back({{"name", s.name}, {"tokens", s.tokens}});
    for (const auto& c : found.coverage)
        report["experts"].push_back({{"layer", c.layer},
                                     {"experts", c.experts},
                                     {"least_tokens", c.least},
                                     {"median_tokens", c.median},
                                     {"rare", c.rare},
                                     {"unreached", c.unreached}});
    for (const auto& l : found.largest)
        report["largest_activations"].push_back({{"tensor", l.tensor},
                                                 {"matrix", l.matrix},
                                                 {"column", l.column},
                                                 {"magnitude", l.magnitude},
                                                 {"column_rms", l.rms}});
    for (const auto& i : found.inactive)
        report["never_active"].push_back(
            {{"tensor", i.tensor}, {"never_active", i.never_active}, {"columns", i.columns}});
    return report;
}

}  // namespace

void calibrate(const calibrate_command& command, const app::any_formats& formats) {
    const app::calibrate_options& options = command.options;
    if (command.kind == run_kind::dry)
        return print_forecast(
            foretold(command.as, [&](const app::listener& tell) { return app::foretell(options, tell, formats); }),
            command.as);
    app::calibrated all = [&] {
        terminal_listener tell;
        return app::calibrate(options, tell.listener(), formats);
    }();
    if (!options.report.empty()) {
        const std::string bytes = tessera::json_text(to_json(options, all), tessera::json_characters::all, 2) + '\n';
        tessera::write_text_file(options.report, bytes, all.files.rule());
    }
    all.files.done();
    print(all);
    const auto tokens = static_cast<double>(all.result.windows * all.result.window);
    std::cout << "wrote " << path_text(options.output) << ": " << bytes_text(std::filesystem::file_size(options.output))
              << ", in " << fixed(all.seconds, 1) << " s (" << fixed(tokens / all.seconds, 0) << " tokens/s)\n";
}

}  // namespace cli
