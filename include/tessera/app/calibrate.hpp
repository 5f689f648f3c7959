// Texts run through a model: how much each column of its matrices matters.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tessera/app/about.hpp"
#include "tessera/app/amounts.hpp"
#include "tessera/app/any_formats.hpp"
#include "tessera/app/disk_space.hpp"
#include "tessera/app/forecast.hpp"
#include "tessera/app/kept_number.hpp"
#include "tessera/app/listener.hpp"
#include "tessera/app/memory.hpp"
#include "tessera/app/open_model.hpp"
#include "tessera/app/options.hpp"
#include "tessera/app/texts.hpp"
#include "tessera/app/work_cost.hpp"
#include "tessera/app/work_estimate.hpp"
#include "tessera/app/work_files.hpp"
#include "tessera/calibrate/calibrate.hpp"
#include "tessera/calibrate/findings.hpp"
#include "tessera/calibrate/imatrix.hpp"
#include "tessera/calibrate/imatrix_file.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/journal.hpp"
#include "tessera/core/output_rule.hpp"
#include "tessera/core/printable.hpp"
#include "tessera/decoder/tile_memory.hpp"
#include "tessera/files/work_folder.hpp"

namespace tessera::app {

/// The importances, with all windows of the text: those that were used, and those held out for decisions that the
/// others must not have made.
[[nodiscard]] inline imatrix_file make_imatrix(const calibration& result, const calibration_text& text) {
    imatrix_file file{.importances = make_importances(result.inputs),
                      .chunk_size = static_cast<std::uint32_t>(result.window),
                      .chunk_count = static_cast<std::uint32_t>(result.windows)};
    for (const auto& source : text.sources) file.datasets.push_back(source.name);
    file.properties.set("tessera.calibration.seed", text.seed);
    const auto used = text.windows.used.tokens();
    file.properties.set(std::string(used_windows_key), std::vector<std::int32_t>(used.begin(), used.end()));
    if (text.windows.held_out) {
        const auto held_out = text.windows.held_out->tokens();
        file.properties.set(std::string(held_out_windows_key),
                            std::vector<std::int32_t>(held_out.begin(), held_out.end()));
    }
    return file;
}

/// What is worth knowing of a calibration.
struct calibration_findings {
    std::vector<expert_coverage> coverage;
    std::vector<inactive_columns> inactive;
    std::vector<large_activation> largest;
};

struct calibrate_options {
    std::filesystem::path model{};
    calibration_options windows{};
    std::filesystem::path output{};    ///< the importance matrix: GGUF, or the legacy format if it ends in .dat
    std::filesystem::path report{};    ///< another output, which the caller writes; empty: none
    std::uint64_t enough_tokens = 64;  ///< experts that fewer reached are reported as rare
    double seconds = 0;                ///< that it may take, by shortening the texts; 0: no limit
    work_options work{};
    existing_file existing = existing_file::refuse;
    int threads = 0;
    memory_options memory{};
};

/// What became of a calibration that was written.
struct calibrated {
    calibration_text text;
    calibration result;
    calibration_findings found;
    double seconds;    ///< that the model ran
    work_files files;  ///< with the rule of the caller's report; done() once that is written
};

/// Says how far an earlier run had come.
inline void tell_resumed(const listener& listener, const std::filesystem::path& checkpoint, std::size_t layers) {
    listener.say("note: going on from ", printable(checkpoint.string()), ", where ", layers, " layers were done");
}

namespace detail {

// Bytes of an importance matrix that keeps so many tokens.
[[nodiscard]] inline std::uint64_t imatrix_bytes(std::span<const tensor_info> tensors, std::uint64_t tokens) {
    std::uint64_t numbers = tokens;
    for (const tensor_info& info : tensors)
        if (info.rank > 1) numbers += matrix_count(info) * (info.columns() + 1);
    return sizeof(float) * numbers;
}

// As many tokens, up to so many, as a model runs over in time.
[[nodiscard]] inline std::uint64_t tokens_within(double seconds, std::uint64_t most, std::size_t window,
                                                 const model_work& work, const machine_speed& speed) {
    const std::uint64_t least = std::min(std::max<std::uint64_t>(least_calibration_tokens, window), most);
    return amounts_within(seconds, {.calibration = least}, {.calibration = most},
                          [&](const amounts& tokens) {
                              return speed.seconds(
                                  work.forward(static_cast<double>(tokens.calibration), static_cast<double>(window)));
                          })
        .calibration;
}

// All before the model runs; then(files, model, text, memory, foretold) goes on, where foretold(speed) is the forecast.
template <class Then>
auto begin(const calibrate_options& options, const listener& listener, const any_formats& formats, Then&& then) {
    work_files files(options.existing);
    files.read_model(options.model);
    files.read_texts(options.windows.texts.texts);
    files.read_texts(options.windows.texts.token_ids);
    files.write(options.output);
    files.write(options.report);
    files.keep(options.work, options.output);
    files.check();
    const any_model model = open({.path = options.model}, formats, listener);
    const text_sources texts = read_text_sources(model.metadata(), options.windows.texts);
    const model_work work(model.tensors(), model.metadata());
    calibration_options windows = options.windows;
    windows.tokens = calibration_tokens(windows.tokens, model);
    if (options.seconds > 0) {
        const std::uint64_t most = options.windows.tokens > 0 ? windows.tokens : texts.tokens();
        windows.tokens = go_on(files, work_folder::calibration, [&] {
            return kept_number(
                files, concat(work_folder::calibration, ".tokens"),
                concat("--time ", options.seconds, " s and a text of ", texts.tokens(), " tokens"), most, [&] {
                    return tokens_within(options.seconds, most, window_length(windows.window, model.metadata()), work,
                                         speed_here(options.threads));
                });
        });
    }
    calibration_text text = cut_calibration_text(texts, model.metadata(), windows, listener);
    require_scratch(options.memory.scratch);
    decoder::tile_memory memory = about(options.model, [&] {
        return decoder::tile_memory(tile_memory_of(with_scratch(options.memory, options.output),
                                                   needs_of(memory_stage::running, model.metadata(), model.tensors(),
                                                            text.windows.used.length(), options.threads)));
    });

    const std::size_t window = text.windows.used.length();
    const std::size_t all_tokens =
        text.windows.used.tokens().size() + (text.windows.held_out ? text.windows.held_out->tokens().size() : 0);
    stage_cost stage =
        calibrating(work, static_cast<double>(text.windows.used.tokens().size()), static_cast<double>(window));
    stage.done = share_done(
        work.share_of(layers_done(model, text.windows.used, files.left(concat(work_folder::calibration, ".journal")))),
        1);
    stage.written_bytes = imatrix_bytes(model.tensors(), all_tokens);
    const auto foretold = [&](const machine_speed& speed) {
        return forecast_of(std::span(&stage, 1), model.tensors(), model.metadata(),
                           with_scratch(options.memory, options.output), window, options.threads,
                           {files.work_place(), options.output}, speed);
    };
    announce(std::span(&stage, 1), foretold, options.threads, listener);
    return then(files, model, text, memory, foretold);
}

}  // namespace detail

/// Runs texts through a model and writes the importance matrix. Work is saved after every layer, and the same call goes
/// on from there.
template <class Formats = builtin_formats>
calibrated calibrate(const calibrate_options& options, const listener& listener = {},
                     const any_formats& formats = any_formats(Formats{})) {
    return detail::begin(
        options, listener, formats,
        [&](work_files& files, const any_model& model, calibration_text& text, decoder::tile_memory& memory,
            const auto&) -> calibrated {
            const std::filesystem::path checkpoint = files.folder().file(concat(work_folder::calibration, ".journal"));
            const auto started = std::chrono::steady_clock::now();
            calibration result = go_on(files, work_folder::calibration, [&] {
                try {
                    return tessera::calibrate(model, text.windows.used,
                                              {.threads = options.threads, .checkpoint = checkpoint, .memory = &memory},
                                              listener.progress);
                } catch (const unfit_work&) {
                    throw;
                } catch (const error& e) {
                    fail(options.model.string(), ": ", e.what());
                }
            });
            const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
            if (result.resumed > 0) tell_resumed(listener, checkpoint, result.resumed);
            write_imatrix(options.output, make_imatrix(result, text), files.rule());
            calibration_findings found{find_coverage(result.inputs, options.enough_tokens),
                                       find_inactive(result.inputs), find_largest(result.inputs, 5)};
            if (options.report.empty()) files.done();
            return {std::move(text), std::move(result), std::move(found), seconds, std::move(files)};
        });
}

/// What a calibration with these options would take. Does and writes nothing.
template <class Formats = builtin_formats>
[[nodiscard]] forecast foretell(calibrate_options options, const listener& listener = {},
                                const any_formats& formats = any_formats(Formats{})) {
    options.work.nowhere = true;
    return detail::begin(options, listener.without_stages(), formats,
                         [&](const auto&, const auto&, const auto&, const auto&, const auto& foretold) {
                             return forecast(foretold(speed_here(options.threads)));
                         });
}

}  // namespace tessera::app
