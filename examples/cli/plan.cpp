#include <unistd.h>

#include <cstddef>
#include <filesystem>
#include <iostream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "command_files.hpp"
#include "commands.hpp"
#include "curve_svg.hpp"
#include "engine_report.hpp"
#include "json_text.hpp"
#include "open.hpp"
#include "plan_report.hpp"
#include "planning.hpp"
#include "rules.hpp"
#include "terminal.hpp"
#include "tessera/app/target_size.hpp"
#include "tessera/core/output_file.hpp"
#include "tessera/files/damage_file.hpp"
#include "tessera/files/plan_file.hpp"
#include "tessera/format/builtin.hpp"
#include "tessera/select/budget.hpp"
#include "tessera/select/curve.hpp"
#include "tessera/select/predict.hpp"

namespace cli {

namespace {

using namespace tessera;

// What the work is for: the first file that is written. Where there is none, something named as the model, here, if
// that is a folder to write in.
std::filesystem::path main_output(const plan_options& options) {
    for (const auto* output : {&options.output, &options.tensor_types, &options.svg})
        if (!output->empty()) return *output;
    std::filesystem::path model = std::filesystem::absolute(options.model).lexically_normal();
    if (!model.has_filename()) model = model.parent_path();
    return ::access(".", W_OK) == 0 ? model.filename() : std::filesystem::path();
}

constexpr std::size_t curve_points = 49;  // sizes between 2 and 16 bits per weight lie 5 % apart

std::vector<curve_point> curve_of(const any_model& model, const plan_options& options, const encoding& encoding,
                                  const command_files& files) {
    const auto tensors = model.tensors();
    const select::plan draft = draft_with(pinned_by_name(options.names.pins, tensors), tensors);
    const select::budget budget = budget_of(model, options.target, encoding, files, options.threads);
    const std::vector<select::plan> plans = select::size_curve(draft, budget, fallback_formats::layouts, curve_points);
    print_basis(plans.front(), budget);
    std::vector<curve_point> points;
    for (const select::plan& plan : plans)
        points.push_back({gguf::file_size(plan.targets(), output_metadata(model.metadata(), plan)),
                          plan.bits_per_weight(), plan.damage()});
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
    auto list = nlohmann::ordered_json::array();
    for (const curve_point& p : points) {
        list.push_back(
            {{"bits_per_weight", p.bits_per_weight}, {"file_bytes", p.file_bytes}, {"predicted_kld", nullptr}});
        if (p.damage) list.back()["predicted_kld"] = *p.damage;
    }
    std::cout << json_text(list);
}

}  // namespace

void plan(const plan_options& options) {
    std::optional<said_on_stderr> aside;
    if (options.json) aside.emplace();
    const std::filesystem::path output = main_output(options);
    command_files files(options.existing);
    files.read_model(options.model);
    for (const auto* path : {&options.output, &options.tensor_types, &options.svg}) files.write(*path);
    files.use(options.importances, output);
    if (options.target.is_given() || options.curve)
        files.use(options.target, output);
    else
        files.read(options.target.damage);
    files.check();
    const any_model model = open(options.model, options.further, options.tied);
    require_plannable(model, options.names, options.target);
    const auto loaded = load_importances(options.importances, model, model.metadata(), files, options.threads);
    const encoding encoding = choose_encoding(options.importances, loaded ? &*loaded : nullptr);
    if (options.curve) {
        const std::vector<curve_point> points = curve_of(model, options, encoding, files);
        aside.reset();
        options.json ? print_curve_json(points) : print_curve(points);
        if (!options.svg.empty())
            write_text_file(options.svg, curve_svg(points, options.model.filename().string()), files.rule());
        return files.done();
    }
    const select::plan plan = make_plan(model, options.names, options.target, encoding, files, options.threads);
    const metadata properties = noted_metadata(model.metadata(), encoding.importances);
    if (options.output.empty() && options.tensor_types.empty()) print_tensors(plan);
    print_formats(plan);
    print_notes(plan);
    print_prediction(plan);
    print_needs(plan.targets());
    std::cout << "size: " << size_text(plan, properties) << '\n';
    if (!options.output.empty()) {
        save_plan(options.output, plan, properties, files.rule());
        std::cout << "wrote " << path_text(options.output) << '\n';
    }
    if (!options.tensor_types.empty()) {
        write_text_file(options.tensor_types, tensor_type_options(plan), files.rule());
        std::cout << "wrote " << path_text(options.tensor_types) << '\n';
    }
    files.done();
}

}  // namespace cli
