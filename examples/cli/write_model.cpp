#include "write_model.hpp"

#include <chrono>
#include <iostream>
#include <string>
#include <vector>

#include "plan_report.hpp"
#include "terminal.hpp"
#include "tessera/gguf/writer.hpp"
#include "tessera/pipeline/output_metadata.hpp"
#include "tessera/pipeline/quantize.hpp"

namespace cli {

namespace {

// The error over all tensors that changed, and of the worst of them.
void print_errors(const tessera::select::plan& plan, const std::vector<tessera::weight_error>& errors) {
    tessera::weight_error total;
    std::size_t worst = 0;
    for (std::size_t t = 0; t < errors.size(); ++t) {
        if (errors[t].squared_error == 0) continue;
        total += errors[t];
        if (errors[t].relative() > errors[worst].relative()) worst = t;
    }
    if (total.squared_error == 0) return;
    std::cout << "relative error of the weights: " << fixed(total.relative(), 5) << ", worst "
              << fixed(errors[worst].relative(), 5) << " in " << plan.choices[worst].target.name << '\n';
}

}  // namespace

void write_model(const tessera::any_model& model, const tessera::select::plan& plan, const output_options& output) {
    const std::string size = size_text(plan, model.metadata());
    if (output.dry_run) {
        print_tensors(plan);
        print_formats(plan);
        print_replacements(plan);
        print_prediction(plan);
        std::cout << "would write " << output.path.string() << ": " << size << '\n';
        return;
    }

    using tessera::gguf::existing_file;
    tessera::gguf::writer file(output.path, {.inputs = model.files(),
                                             .existing = output.force ? existing_file::replace : existing_file::refuse});
    const tessera::metadata properties = tessera::output_metadata(model.metadata(), plan);
    const auto started = std::chrono::steady_clock::now();
    std::vector<tessera::weight_error> errors;
    {
        progress_line line;
        errors = tessera::quantize_model(model, plan, properties, tessera::weighted{}, file, {.threads = output.threads}, line);
    }
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    print_formats(plan);
    print_errors(plan, errors);
    print_replacements(plan);
    print_prediction(plan);
    std::cout << "wrote " << output.path.string() << ": " << size << ", in " << fixed(seconds, 1) << " s\n";
}

}  // namespace cli
