#include "write_model.hpp"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <iostream>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "model_summary.hpp"
#include "terminal.hpp"
#include "tessera/gguf/layout.hpp"
#include "tessera/gguf/writer.hpp"
#include "tessera/pipeline/output_metadata.hpp"
#include "tessera/pipeline/quantize.hpp"
#include "tessera/tensor/tensor_table.hpp"

namespace cli {

namespace {

using tessera::select::choice;
using tessera::select::plan;
using tessera::select::reason;

std::string why_text(const choice& c) {
    switch (c.why) {
        case reason::kept: return "stays in full precision";
        case reason::row_length: return "rows do not fit " + std::string(c.wanted.name);
        case reason::requested: break;
    }
    return {};
}

// Tensors that did not get the format asked for, a line for each kind of them.
void print_replacements(const plan& plan) {
    std::map<std::tuple<std::string_view, std::string_view, std::uint64_t>, std::vector<std::string>> kinds;
    for (const choice& c : plan.choices)
        if (c.why == reason::row_length)
            kinds[{c.wanted.name, c.target.layout.name, c.target.columns()}].push_back(c.target.name);
    for (const auto& [kind, names] : kinds) {
        const auto& [wanted, got, columns] = kind;
        std::cout << "note: rows of " << columns << " weights do not fit " << wanted << "; written as " << got << ": "
                  << some_of(names) << '\n';
    }
}

void print_plan(const plan& plan) {
    text_table table({"tensor", "from", "to", ">bytes", ""});
    for (const choice& c : plan.choices)
        table.add({c.target.name, std::string(c.source.name), tessera::shape_text(c.target), std::to_string(c.target.bytes()),
                   why_text(c)});
    std::cout << table << '\n';
}

void print_formats(const model_summary& summary) {
    text_table table({"format", ">tensors", ">weights", ">bytes"});
    for (const format_share& f : summary.formats)
        table.add({std::string(f.name), std::to_string(f.tensors), std::to_string(f.weights), std::to_string(f.bytes)});
    std::cout << table;
}

// The error over all tensors that changed, and of the worst of them.
void print_errors(const plan& plan, const std::vector<tessera::encoding_error>& errors,
                  tessera::weight_error tessera::encoding_error::*kind, std::string_view title) {
    tessera::weight_error total;
    std::size_t worst = 0;
    for (std::size_t t = 0; t < errors.size(); ++t) {
        const tessera::weight_error& error = errors[t].*kind;
        total += error;
        if (error.relative() > (errors[worst].*kind).relative()) worst = t;
    }
    if (total.squared_error == 0) return;
    std::cout << title << fixed(total.relative(), 5) << ", worst " << fixed((errors[worst].*kind).relative(), 5)
              << " in " << plan.choices[worst].target.name << '\n';
}

}  // namespace

void write_model(const tessera::any_model& model, const plan& plan, const output_options& output,
                 const loaded_importances* importances) {
    tessera::metadata properties = tessera::output_metadata(model.metadata(), plan);
    if (importances != nullptr) tessera::note_importances(properties, importances->path.string(), importances->file);
    const std::vector<tessera::tensor_info> targets = plan.targets();
    const model_summary summary(targets);
    const std::string size_text = bytes_text(tessera::gguf::file_size(targets, properties)) + ", " +
                                  fixed(summary.bits_per_weight(), 3) + " bits per weight";
    if (output.dry_run) {
        print_plan(plan);
        print_formats(summary);
        print_replacements(plan);
        std::cout << "would write " << output.path.string() << ": " << size_text << '\n';
        return;
    }

    using tessera::gguf::existing_file;
    tessera::gguf::writer file(output.path, {.inputs = model.files(),
                                             .existing = output.force ? existing_file::replace : existing_file::refuse});
    const auto started = std::chrono::steady_clock::now();
    std::vector<tessera::encoding_error> errors;
    {
        progress_line line;
        errors = tessera::quantize_model(model, plan, properties, tessera::weighted{}, file,
                                         {.threads = output.threads,
                                          .importances = importances ? &importances->file.importances : nullptr},
                                         line);
    }
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    print_formats(summary);
    print_errors(plan, errors, &tessera::encoding_error::plain, "relative error of the weights: ");
    print_errors(plan, errors, &tessera::encoding_error::weighed, "  weighed by importance: ");
    print_replacements(plan);
    std::cout << "wrote " << output.path.string() << ": " << size_text << ", in " << fixed(seconds, 1) << " s\n";
}

}  // namespace cli
