#include "write_model.hpp"

#include <chrono>
#include <iostream>
#include <string>
#include <vector>

#include "encoder.hpp"
#include "encoding_report.hpp"
#include "engine_report.hpp"
#include "feedback.hpp"
#include "plan_report.hpp"
#include "terminal.hpp"
#include "tessera/core/output_file.hpp"
#include "tessera/gguf/writer.hpp"
#include "tessera/quantize/output_metadata.hpp"
#include "tessera/quantize/quantize.hpp"

namespace cli {

namespace {

// Runs the encoder; the file is complete then.
encoding_report encode(const tessera::any_model& model, const tessera::select::plan& plan,
                       const tessera::metadata& properties, const encoding& encoding, int threads,
                       tessera::gguf::writer& file) {
    encoding_report report{encoding.encoder, encoding.inputs, {}};
    if (encoding.encoder == encoder_kind::feedback) {
        report.tensors =
            write_with_feedback(model, plan, properties, *encoding.importances, file, encoding.inputs, threads);
        return report;
    }
    progress_line line;
    const auto run = [&](const auto& encoder) {
        const auto* importances = encoding.importances;
        const tessera::from_importances schedule{importances ? &importances->file.importances : nullptr};
        return tessera::quantize(model, plan, encoder, schedule, file, properties, {.threads = threads}, line);
    };
    report.tensors = encoding.encoder == encoder_kind::nearest ? run(compiled_nearest{}) : run(compiled_weighted{});
    return report;
}

}  // namespace

void write_model(const tessera::any_model& model, const tessera::select::plan& plan,
                 const tessera::metadata& properties, const output_options& output, const command_files& files,
                 const encoding& encoding, const std::filesystem::path& report_path) {
    const tessera::metadata noted = noted_metadata(properties, encoding.importances);
    const tessera::metadata written = tessera::output_metadata(noted, plan);
    const std::string size = size_text(plan, noted);
    if (output.dry_run) {
        print_tensors(plan);
        print_formats(plan);
        print_notes(plan);
        print_prediction(plan);
        print_needs(plan.targets());
        std::cout << "would write " << path_text(output.path) << ": " << size << '\n';
        return;
    }

    print_needs(plan.targets());  // before the work, for whom that is too much
    tessera::gguf::writer file(output.path, {.inputs = files.rule().inputs, .existing = files.rule().existing});
    const auto started = std::chrono::steady_clock::now();
    const encoding_report report = encode(model, plan, written, encoding, output.threads, file);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    print_formats(plan);
    print_encoding(plan, report);
    print_notes(plan);
    print_prediction(plan);
    if (!report_path.empty()) tessera::write_text_file(report_path, encoding_json(plan, report), files.rule());
    std::cout << "wrote " << path_text(output.path) << ": " << size << ", in " << fixed(seconds, 1) << " s\n";
}

}  // namespace cli
