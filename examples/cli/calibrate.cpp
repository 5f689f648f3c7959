#include "tessera/calibrate/calibrate.hpp"

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <iostream>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "calibrating.hpp"
#include "calibration_text.hpp"
#include "command_files.hpp"
#include "commands.hpp"
#include "open.hpp"
#include "terminal.hpp"
#include "tessera/calibrate/findings.hpp"
#include "tessera/calibrate/imatrix.hpp"
#include "tessera/core/output_file.hpp"
#include "tessera/core/printable.hpp"
#include "tessera/json/text.hpp"

namespace cli {

namespace {

using json = nlohmann::ordered_json;

struct findings {
    std::vector<tessera::expert_coverage> coverage;
    std::vector<tessera::inactive_columns> inactive;
    std::vector<tessera::large_activation> largest;
};

void print(const tessera::calibration& result, const calibration_text& text, const findings& found) {
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

json to_json(const calibrate_options& options, const tessera::calibration& result, const calibration_text& text,
             const findings& found, double seconds) {
    json report{{"kind", "tessera calibration report"},
                {"version", 1},
                {"model", options.model.string()},
                {"output", options.output.string()},
                {"tokens", result.windows * result.window},
                {"windows", result.windows},
                {"window", result.window},
                {"held_out_windows", text.windows.held_out ? text.windows.held_out->size() : 0},
                {"chunks", options.chunks},
                {"framing", text.framing},
                {"seed", options.seed},
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

tessera::calibration run_calibration(const tessera::any_model& model, const calibration_text& text, int threads,
                                     const std::filesystem::path& checkpoint, tessera::existing_file unfit_checkpoint) {
    progress_line line;
    return tessera::calibrate(model, text.windows.used,
                              {.threads = threads, .checkpoint = checkpoint, .unfit_checkpoint = unfit_checkpoint},
                              line);
}

tessera::imatrix_file make_imatrix(const tessera::calibration& result, const calibration_text& text) {
    tessera::imatrix_file file{.importances = tessera::make_importances(result.inputs),
                               .chunk_size = static_cast<std::uint32_t>(result.window),
                               .chunk_count = static_cast<std::uint32_t>(result.windows)};
    for (const auto& source : text.sources) file.datasets.push_back(source.name);
    file.properties.set("tessera.calibration.seed", text.seed);
    const auto used = text.windows.used.tokens();
    file.properties.set(std::string(tessera::used_windows_key), std::vector<std::int32_t>(used.begin(), used.end()));
    if (text.windows.held_out) {  // whole windows, for decisions that this text must not have made
        const auto held_out = text.windows.held_out->tokens();
        file.properties.set(std::string(tessera::held_out_windows_key),
                            std::vector<std::int32_t>(held_out.begin(), held_out.end()));
    }
    return file;
}

void calibrate(const calibrate_options& options) {
    std::filesystem::path checkpoint = options.output;
    checkpoint += ".checkpoint";
    command_files files(options.existing);
    files.read_model(options.model);
    files.read_texts(options.texts.texts);
    files.read_texts(options.texts.token_ids);
    files.write(options.output);
    files.write(options.report);
    files.keep(checkpoint);
    files.check();
    const tessera::any_model model = open(options.model);
    const calibration_text text = read_calibration_text(model.metadata(), options);

    if (options.restart) std::filesystem::remove(checkpoint);
    const auto started = std::chrono::steady_clock::now();
    const tessera::calibration result = [&] {
        try {
            return run_calibration(model, text, options.threads, checkpoint, options.existing);
        } catch (const tessera::checkpoint_error& e) {
            tessera::fail(e.what(), "; --restart or --force begins anew");
        } catch (const tessera::error& e) {
            tessera::fail(options.model.string(), ": ", e.what());
        }
    }();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    if (result.resumed > 0)
        std::cout << "note: going on from " << path_text(checkpoint) << ", where " << result.resumed
                  << " layers were done\n";
    tessera::write_imatrix(options.output, make_imatrix(result, text), files.rule());

    const findings found{tessera::find_coverage(result.inputs, options.enough_tokens),
                         tessera::find_inactive(result.inputs), tessera::find_largest(result.inputs, 5)};
    if (!options.report.empty()) {
        const std::string bytes =
            tessera::json_text(to_json(options, result, text, found, seconds), tessera::json_characters::all, 2) + '\n';
        tessera::write_text_file(options.report, bytes, files.rule());
    }
    std::filesystem::remove(checkpoint);
    print(result, text, found);
    const auto tokens = static_cast<double>(result.windows * result.window);
    std::cout << "wrote " << path_text(options.output) << ": " << bytes_text(std::filesystem::file_size(options.output))
              << ", in " << fixed(seconds, 1) << " s (" << fixed(tokens / seconds, 0) << " tokens/s)\n";
}

}  // namespace cli
