#include <cstddef>
#include <filesystem>
#include <iostream>
#include <optional>
#include <vector>

#include <nlohmann/json.hpp>

#include "commands.hpp"
#include "curve_svg.hpp"
#include "engine_report.hpp"
#include "forecast_report.hpp"
#include "json_text.hpp"
#include "options.hpp"
#include "plan_report.hpp"
#include "terminal.hpp"
#include "tessera/core/output_file.hpp"
#include "tessera/gguf/layout.hpp"
#include "tessera/quantize/output_metadata.hpp"

namespace cli {

namespace {

using namespace tessera;

// What the work is for: the first file that is written, if there is one.
std::filesystem::path main_output(const app::plan_options& options) {
    for (const auto* output : {&options.output, &options.tensor_types, &options.drawing})
        if (!output->empty()) return *output;
    return name_here(options.model.path);
}

constexpr std::size_t curve_points = 49;  // sizes between 2 and 16 bits per weight lie 5 % apart

std::vector<curve_point> points_of(const app::plans_made& made) {
    std::vector<curve_point> points;
    for (const select::plan& plan : made.plans)
        points.push_back({gguf::file_size(plan.targets(), output_metadata(made.model, plan)), plan.bits_per_weight(),
                          plan.damage()});
    return points;
}

void print_curve(const std::vector<curve_point>& points) {
    text_table table({">bits/weight", ">bytes", ">predicted KLD"});
    for (const curve_point& p : points)
        table.add(
            {fixed(p.bits_per_weight, 3), std::to_string(p.file_bytes), p.damage ? fixed(*p.damage, 7) : "unknown"});
    std::cout << table;
}

void print_curve_json(const std::vector<curve_point>& points) {
    nlohmann::ordered_json curve{{"points", nlohmann::ordered_json::array()}};
    auto& list = curve["points"];
    for (const curve_point& p : points) {
        list.push_back(
            {{"bits_per_weight", p.bits_per_weight}, {"file_bytes", p.file_bytes}, {"predicted_kld", nullptr}});
        if (p.damage) list.back()["predicted_kld"] = *p.damage;
    }
    std::cout << json_text("tessera size curve", curve);
}

}  // namespace

void plan(const plan_command& command, const app::any_encoders& formats) {
    app::plan_options options = command.options;
    options.kept_beside = main_output(options);
    if (command.kind == run_kind::dry) {
        options.target.every_size = command.is_curve;
        return print_forecast(
            foretold(command.as, [&](const app::listener& tell) { return app::foretell(options, tell, formats); }),
            command.as);
    }
    std::optional<said_on_stderr> aside;
    if (command.as == printed::json) aside.emplace();
    terminal_listener tell;
    if (command.is_curve) {
        app::plans_made made = app::plan_curve(options, curve_points, tell.listener(), formats);
        tell.clear();
        print_basis(made.plans.front(), *made.budget);
        const std::vector<curve_point> points = points_of(made);
        aside.reset();
        command.as == printed::json ? print_curve_json(points) : print_curve(points);
        if (!options.drawing.empty())
            write_text_file(options.drawing, curve_svg(points, options.model.path.filename().string()),
                            made.files.rule());
        return made.files.done();
    }
    app::plans_made made = app::plan(options, tell.listener(), formats);
    tell.clear();
    const select::plan& plan = made.plans.front();
    if (made.budget) print_basis(plan, *made.budget);
    if (options.output.empty() && options.tensor_types.empty()) print_tensors(plan);
    print_formats(plan);
    print_notes(plan);
    print_prediction(plan);
    print_needs(formats.needs_of(plan.targets()));
    std::cout << "size: " << size_text(plan, gguf::file_size(plan.targets(), output_metadata(made.properties, plan)))
              << '\n';
    for (const auto* path : {&options.output, &options.tensor_types})
        if (!path->empty()) std::cout << "wrote " << path_text(*path) << '\n';
    made.files.done();
}

}  // namespace cli
