// A model in smaller formats, or in another container.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/app/any_sink.hpp"
#include "tessera/app/chat_templates.hpp"
#include "tessera/app/encoding.hpp"
#include "tessera/app/expected_output.hpp"
#include "tessera/app/forecast.hpp"
#include "tessera/app/importances.hpp"
#include "tessera/app/listener.hpp"
#include "tessera/app/measuring.hpp"
#include "tessera/app/memory.hpp"
#include "tessera/app/model_summary.hpp"
#include "tessera/app/open_model.hpp"
#include "tessera/app/options.hpp"
#include "tessera/app/plan.hpp"
#include "tessera/app/quantize_options.hpp"
#include "tessera/app/work_ahead.hpp"
#include "tessera/app/work_files.hpp"
#include "tessera/core/journal.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/core/output_rule.hpp"
#include "tessera/core/printable.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/files/plan_file.hpp"
#include "tessera/files/work_folder.hpp"
#include "tessera/gguf/writer.hpp"
#include "tessera/quantize/kept_encoding.hpp"
#include "tessera/quantize/output_metadata.hpp"
#include "tessera/quantize/tensor_report.hpp"
#include "tessera/select/plan.hpp"
#include "tessera/select/strategies.hpp"
#include "tessera/tensor/simulating_sink.hpp"

namespace tessera::app {

/// All that is decided before a model is written.
struct quantization {
    work_files files;  ///< done() removes what was kept on the way, once all outputs are written
    any_model model;
    output_options output;
    metadata properties{};  ///< those of the model, and what is noted of the importances
    std::optional<loaded_importances> importances{};
    encoder_kind encoder = encoder_kind::nearest;
    feedback_inputs inputs = feedback_inputs::quantized;
    memory_options memory{};
    planned chosen{};

    [[nodiscard]] app::encoding encoding() const noexcept {
        return {encoder, importances ? &*importances : nullptr, inputs, memory};
    }
    [[nodiscard]] const select::plan& plan() const noexcept { return chosen.plan; }
    [[nodiscard]] metadata written_metadata() const { return output_metadata(properties, plan()); }
    /// What the importances lack for the plan; with the encoder `nearest`, which knows none, nothing but all.
    [[nodiscard]] importance_gaps gaps() const {
        return find_gaps(plan(), properties, encoder == encoder_kind::nearest ? nullptr : encoding().importances);
    }
};

namespace detail {

// All before the first long step; then(job, properties, importances, ahead, basis) goes on.
template <class Then>
auto begin(const quantize_options& options, const listener& listener, const any_encoders& formats, Then&& then) {
    const output_options& output = options.output;
    work_files files(output.existing);
    files.read_model(options.model.path);
    files.read(options.plan);
    files.read(output.chat_template);
    files.write(output.path);
    files.write(options.report);
    files.use(options.importances);
    if (options.target.is_given())
        files.use(options.target);
    else
        files.read(options.target.damage);
    files.keep(options.work, output.path);
    files.check();
    quantization job{std::move(files), open(options.model, formats, listener), output};
    const any_model& model = job.model;
    const metadata properties = with_chat_template(model.metadata(), output.chat_template);
    if (!options.plan.empty()) job.chosen.plan = load_plan(options.plan, model.tensors(), formats.stored);
    if (options.plan.empty() || options.target.refine > 0)
        require_plannable(model, options.names, options.target, formats);
    importance_options importances = options.importances;
    importances.memory = with_scratch(importances.memory, output.path);
    work_ahead ahead(model, options.target, importances, stages_ahead::writing::ahead,
                     expected_output(options, model, job.chosen.plan, formats), options.seconds, output.threads,
                     job.files, listener);
    importance_basis basis = read_importances(importances, model, properties, listener,
                                              [&](std::uint64_t tokens) { return ahead.calibrate_on(tokens); });
    require_possible(model, options.target, importances, basis, output.threads, formats);
    ahead.begin(basis);
    return then(job, properties, importances, ahead, basis);
}

// All that is left to decide when the encoding is known: the plan, unless a file has it. Measures what that takes.
inline void settle(quantization& job, const quantize_options& options, const metadata& properties,
                   const target_options& target, const encoding& encoding, const listener& listener,
                   const any_encoders& formats) {
    job.encoder = encoding.encoder;
    job.memory = encoding.memory;
    job.inputs = encoding.inputs;
    job.properties = noted_metadata(properties, encoding.importances);
    const model_summary stored(job.model.tensors());
    if (const auto* layout = formats.find(stored.main_format()); layout == nullptr || layout->block_size > 1)
        listener.say("note: ", printable(options.model.path.string()), " is quantized already (", stored.main_format(),
                     "); its error adds to the new one");
    if (options.plan.empty())
        job.chosen =
            make_plan(job.model, options.names, target, encoding, job.files, options.output.threads, listener, formats);
}

}  // namespace detail

/// Does all of a quantization but the encoding: reads or makes importances, measures damage, chooses the plan. What is
/// made on the way is kept in a folder until done(), and the same call goes on from there.
template <class Formats = builtin_formats>
[[nodiscard]] quantization prepare(const quantize_options& options, const listener& listener = {},
                                   const any_encoders& formats = any_encoders(Formats{})) {
    return detail::begin(
        options, listener, formats,
        [&](quantization& job, const metadata& properties, const importance_options& importances, work_ahead& ahead,
            importance_basis& basis) {
            const any_model& model = job.model;
            const int threads = options.output.threads;
            job.importances = obtain_importances(std::move(basis), importances, model, job.files, threads, listener);
            const encoding encoding = choose_encoding(importances, job.importances ? &*job.importances : nullptr);
            ahead.encode_with(encoding);
            detail::settle(job, options, properties, ahead.target(), encoding, listener, formats);
            return std::move(job);
        });
}

/// What a quantization would take, and its plan where that is known before a model has run.
struct foretold_quantization {
    forecast all;
    std::optional<quantization> planned{};  ///< without importances that have to be made
};

/// The same of these options. Does and writes nothing.
template <class Formats = builtin_formats>
[[nodiscard]] foretold_quantization foretell(quantize_options options, const listener& listener = {},
                                             const any_encoders& formats = any_encoders(Formats{})) {
    options.work.nowhere = true;
    return detail::begin(options, listener.without_stages(), formats,
                         [&](quantization& job, const metadata& properties, const importance_options& importances,
                             const work_ahead& ahead, importance_basis& basis) {
                             foretold_quantization foretold{ahead.foretold()};
                             if (is_to_be_measured(options.target) || refines(options.target)) return foretold;
                             const bool is_made = basis.text.has_value();
                             std::optional<loaded_importances> expected =
                                 expected_importances(std::move(basis), importances);
                             const encoding encoding = choose_encoding(importances, expected ? &*expected : nullptr);
                             detail::settle(job, options, properties, ahead.target(), encoding, listener, formats);
                             if (!is_made) job.importances = std::move(expected);
                             foretold.planned.emplace(std::move(job));
                             return foretold;
                         });
}

/// Does all of a conversion but the encoding.
template <class Formats = builtin_formats>
[[nodiscard]] quantization prepare(const convert_options& options, const listener& listener = {},
                                   const any_encoders& formats = any_encoders(Formats{})) {
    work_files files(options.output.existing);
    files.read_model(options.model.path);
    files.read(options.output.chat_template);
    files.write(options.output.path);
    files.check();
    quantization job{std::move(files), open(options.model, formats, listener), options.output};
    const select::uniform rule{formats.require(options.type)};
    job.chosen.plan = select::make_plan(job.model.tensors(), rule, formats.fallback);
    job.properties = with_chat_template(job.model.metadata(), options.output.chat_template);
    return job;
}

/// What the file of a quantization will hold.
template <class Formats = builtin_formats>
[[nodiscard]] stored_model stored_as(const quantization& job, const any_encoders& formats = any_encoders(Formats{})) {
    return stored_as(job.plan(), job.output, job.written_metadata(), formats);
}

namespace detail {

// What the bytes of a model's file depend on.
[[nodiscard]] inline work_identity encoding_identity(const quantization& job) {
    digest text, importances, plan, options;
    if (job.importances) {
        importances.add(job.importances->enough_tokens).add(job.importances->file.importances);
        if (const auto windows = job.importances->text()) text.add(*windows);
    }
    for (const select::choice& c : job.plan().choices)
        plan.add(c.target.name).add(static_cast<std::uint32_t>(c.target.type())).add(c.made_from);
    options.add(static_cast<int>(job.encoder))
        .add(static_cast<int>(job.inputs))
        .add(static_cast<int>(job.output.simulate))
        .add(static_cast<int>(job.output.which))
        .add(job.written_metadata());
    return work_on(job.model)
        .add("text", text.value())
        .add("importances", importances.value())
        .add("plan", plan.value())
        .add("options", options.value());
}

}  // namespace detail

/// Encodes, and writes the file. Returns a report per tensor, in the plan's order. What is written stays in the work
/// folder, if there is one, until it is whole, and the same call goes on from there.
template <class Formats = builtin_formats>
std::vector<tensor_report> write(quantization& job, const listener& listener = {},
                                 const any_encoders& formats = any_encoders(Formats{})) {
    const output_rule& rule = job.files.rule();
    work_folder& folder = job.files.folder();
    const auto write_to = [&](const std::filesystem::path& unfinished, const work_identity& identity) {
        gguf::writer file(
            job.output.path,
            {.inputs = rule.inputs, .existing = rule.existing, .unfinished = unfinished, .noted_in = rule.noted_in});
        std::optional<kept_encoding> kept;
        if (!unfinished.empty())
            kept.emplace(
                folder.file(concat(work_folder::output, ".journal")), identity,
                resumable_output{[&](std::string_view tensor, std::uint64_t first, std::uint64_t rows) {
                                     return file.sum_of_rows(tensor, first, rows);
                                 },
                                 [&](std::string_view tensor, std::uint64_t rows) { file.count_written(tensor, rows); },
                                 [&] { file.sync(); }});
        if (kept && kept->is_begun()) listener.say("note: going on from ", printable(folder.path().string()));
        std::vector<tensor_report> reports;
        formats.store(any_sink(file), job.output.simulate, job.output.which, [&](any_sink sink) {
            reports = formats.write(job.model, job.plan(), job.encoding(), sink, job.written_metadata(),
                                    kept ? &*kept : nullptr, job.output.threads, listener.progress);
        });
        return reports;
    };
    if (folder.path().empty()) return write_to({}, {});
    (void)folder.file(work_folder::output);
    return go_on(job.files, work_folder::output,
                 [&] { return write_to(folder.path(), detail::encoding_identity(job)); });
}

/// What a model became.
struct quantized {
    select::plan plan;
    std::vector<tensor_report> tensors;  ///< in the plan's order
    std::uint64_t file_bytes;
};

namespace detail {

template <class Options>
quantized write_all(const Options& options, const listener& listener, const any_encoders& formats) {
    quantization job = prepare(options, listener, formats);
    std::vector<tensor_report> tensors = write(job, listener, formats);
    job.files.done();
    return {job.plan(), std::move(tensors), stored_as(job, formats).file_bytes()};
}

}  // namespace detail

/// Writes a model by names, a plan file or a target.
template <class Formats = builtin_formats>
quantized quantize(const quantize_options& options, const listener& listener = {},
                   const any_encoders& formats = any_encoders(Formats{})) {
    return detail::write_all(options, listener, formats);
}

/// Writes a model in full precision.
template <class Formats = builtin_formats>
quantized convert(const convert_options& options, const listener& listener = {},
                  const any_encoders& formats = any_encoders(Formats{})) {
    return detail::write_all(options, listener, formats);
}

/// The best file of at most `bytes` bytes: calibrates on the texts (files, directories, patterns), measures what every
/// format costs every tensor, chooses, and encodes with error feedback.
template <class Formats = builtin_formats>
quantized quantize_to_size(const std::filesystem::path& model, const std::vector<std::string>& texts,
                           std::uint64_t bytes, const std::filesystem::path& output, const listener& listener = {},
                           const any_encoders& formats = any_encoders(Formats{})) {
    return detail::write_all(quantize_options{.model = {.path = model},
                                              .target = {.bytes = bytes},
                                              .importances = {.texts = texts},
                                              .output = {.path = output}},
                             listener, formats);
}

}  // namespace tessera::app
