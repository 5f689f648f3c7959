#include "write_model.hpp"

#include <chrono>
#include <iostream>
#include <string>
#include <vector>

#include "encoder.hpp"
#include "chat_template.hpp"
#include "plan_report.hpp"
#include "terminal.hpp"
#include "tessera/gguf/writer.hpp"
#include "tessera/pipeline/output_metadata.hpp"
#include "tessera/pipeline/quantize.hpp"

namespace cli {

namespace {

// The error over all tensors that changed, and of the worst of them.
void print_errors(const tessera::select::plan& plan, const std::vector<tessera::encoding_error>& errors,
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

void write_model(const tessera::any_model& model, const tessera::select::plan& plan, const output_options& output,
                 const loaded_importances* importances) {
    tessera::metadata source = noted_metadata(model.metadata(), importances);
    if (!output.chat_template.empty()) set_chat_template(source, output.chat_template);
    const tessera::metadata properties = tessera::output_metadata(source, plan);
    const std::string size = size_text(plan, source);
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
    const auto started = std::chrono::steady_clock::now();
    std::vector<tessera::encoding_error> errors;
    {
        progress_line line;
        errors = tessera::quantize_model(model, plan, properties, compiled_weighted{}, file,
                                         {.threads = output.threads,
                                          .importances = importances ? &importances->file.importances : nullptr},
                                         line);
    }
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    print_formats(plan);
    print_errors(plan, errors, &tessera::encoding_error::plain, "relative error of the weights: ");
    print_errors(plan, errors, &tessera::encoding_error::weighed, "  weighed by importance: ");
    print_replacements(plan);
    print_prediction(plan);
    std::cout << "wrote " << output.path.string() << ": " << size << ", in " << fixed(seconds, 1) << " s\n";
}

}  // namespace cli
