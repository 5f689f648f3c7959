#include "write_model.hpp"

#include <chrono>
#include <iostream>
#include <string>

#include "encoding_report.hpp"
#include "engine_report.hpp"
#include "plan_report.hpp"
#include "tessera/core/output_file.hpp"

namespace cli {

void print_planned(const app::quantization& job, const app::any_encoders& formats) {
    const tessera::select::plan& plan = job.plan();
    const app::stored_model stored = app::stored_as(job, formats);
    print_tensors(plan);
    print_formats(plan);
    print_notes(plan);
    print_prediction(plan);
    print_needs(formats.needs_of(stored.tensors));
    std::cout << "would write " << path_text(job.output.path) << ": " << size_text(plan, stored.file_bytes()) << '\n';
}

void write_model(app::quantization& job, const std::filesystem::path& report_path, const app::any_encoders& formats,
                 terminal_listener& tell) {
    const tessera::select::plan& plan = job.plan();
    const app::stored_model stored = app::stored_as(job, formats);
    const std::string size = size_text(plan, stored.file_bytes());
    print_needs(formats.needs_of(stored.tensors));  // before the work, for whom that is too much
    const auto started = std::chrono::steady_clock::now();
    const encoding_report report{job.encoder, job.inputs, app::write(job, tell.listener(), formats)};
    tell.clear();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    print_formats(plan);
    print_encoding(plan, report);
    print_notes(plan);
    print_prediction(plan);
    if (!report_path.empty()) tessera::write_text_file(report_path, encoding_json(plan, report), job.files.rule());
    std::cout << "wrote " << path_text(job.output.path) << ": " << size << ", in " << fixed(seconds, 1) << " s\n";
}

}  // namespace cli
