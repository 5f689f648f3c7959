#include "measuring.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <utility>

#include "about.hpp"
#include "encoder.hpp"
#include "feedback.hpp"
#include "open.hpp"
#include "terminal.hpp"
#include "tessera/core/printable.hpp"
#include "tessera/damage/measure_damage.hpp"
#include "tessera/damage/plan_meter.hpp"
#include "tessera/files/damage_file.hpp"
#include "tessera/format/builtin.hpp"
#include "tessera/quantize/from_importances.hpp"
#include "tessera/select/refined.hpp"
#include "text_sources.hpp"

namespace cli {

namespace {

using namespace tessera;

const importance_table no_importances;

const importance_table& table_of(const loaded_importances* importances) {
    return importances == nullptr ? no_importances : importances->file.importances;
}

// As many of the windows as the options want: by tokens, by the time that the first one takes, or by default.
token_windows first_windows(const any_model& model, const token_windows& all, const measure_options& options,
                            std::size_t passes, int threads) {
    std::uint64_t tokens = options.tokens;
    if (tokens == 0) tokens = default_measure_tokens(model.tensors(), passes);
    if (options.minutes > 0) {
        const untied_source<any_model> shown(model);  // a type of model that is compiled here anyway
        const overlay_source<untied_source<any_model>> untouched(shown);
        scored_model one("model", untouched, threads);
        const auto started = std::chrono::steady_clock::now();
        const token_windows first = all.first(1);
        one.run(first);
        const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
        tokens = static_cast<std::uint64_t>(60.0 * options.minutes / (static_cast<double>(passes) * seconds) *
                                            static_cast<double>(all.length()));
    }
    const std::size_t count = std::clamp<std::size_t>(tokens / all.length(), 1, all.size());
    return all.first(count);
}

// What a damage table is measured with. The windows are all that there are, of which the options take some.
std::string origin_of(const any_model& model, const measure_options& options, const encoding& encoding,
                      const token_windows& windows) {
    origin from(model);
    from.add(options.measure).add(options.tokens).add(options.minutes).add(windows.length()).add(windows.tokens());
    from.add(static_cast<int>(encoding.encoder == encoder_kind::feedback));
    if (encoding.importances == nullptr) return from.text();
    from.add(encoding.importances->enough_tokens);
    for (const auto& [name, entry] : encoding.importances->file.importances)
        from.add(name)
            .add(std::span<const float>(entry.mean_squares))
            .add(std::span<const std::uint64_t>(entry.tokens));
    if (const auto text = encoding.importances->text(); text && encoding.encoder == encoder_kind::feedback)
        from.add(text->used.tokens()).add(text->held_out ? text->held_out->tokens() : std::span<const std::int32_t>());
    return from.text();
}

}  // namespace

token_windows measuring_windows(const any_model& model, const measure_options& options,
                                const loaded_importances* importances) {
    if (!options.text.empty()) {
        const scored_text scored =
            read_scored_text(model.metadata(), {options.text}, default_window(model.metadata()), 0);
        std::cout << "text: " << printable(scored.framing) << '\n';
        return scored.windows;
    }
    if (importances != nullptr)
        if (const auto* held_out = importances->file.properties.get<std::vector<std::int32_t>>(held_out_windows_key))
            return about(importances->path, [&] { return token_windows(*held_out, importances->file.chunk_size); });
    fail(
        "measuring: wanted a text (--measure-text FILE) or an importance matrix of tessera calibrate with held-out "
        "windows, got neither");
}

select::damage_table obtain_damage(const any_model& model, const target_options& options, const encoding& encoding,
                                   const command_files& files, int threads) {
    const loaded_importances* importances = encoding.importances;
    const std::string_view encoder = encoding.encoder == encoder_kind::feedback ? "feedback" : "weighted";
    if (!options.damage.empty() && std::filesystem::exists(options.damage)) {
        select::damage_table table = load_damage(options.damage, model.stored_tensors());
        if (table.encoder != encoder)
            std::cout << "note: " << path_text(options.damage) << " is for the encoder " << printable(table.encoder)
                      << '\n';
        return table;
    }
    const measure_options& measuring = options.measuring;
    // Whatever may be chosen from: the table serves every menu, and what takes time is running the model.
    const select::menu menu = select::parse_menu<builtin_formats>("newest");
    const auto windows = measuring_windows(model, measuring, importances);
    const std::string made_from = origin_of(model, measuring, encoding, windows);
    const std::filesystem::path& kept = files.kept_damage();
    const auto found = resume(kept, files.rule(), "--damage", [&] {
        select::damage_table table = load_damage(kept, model.stored_tensors());
        if (table.origin != made_from)
            fail(kept.string(), ": wanted damages measured with this model, text and encoder, got others");
        return table;
    });
    if (found) return *found;
    const auto run = [&](const auto& measure, std::size_t points) {
        const std::size_t passes = measure_passes(model.tensors(), points);
        const auto used = first_windows(model, windows, measuring, passes, threads);
        std::cout << "measuring damage on " << used.size() << " windows of " << used.length() << " tokens\n";
        progress_line line;
        if (encoding.encoder == encoder_kind::feedback)
            return damage_with_feedback(model, *importances, used, menu, measure, threads, line);
        return measure_damage(model, compiled_weighted{}, from_importances{&table_of(importances)}, used, menu,
                              fallback_formats::layouts, measure, {.evaluate = {.threads = threads}}, line);
    };
    const direct formats;
    const perturbation noises;
    select::damage_table table =
        measuring.measure == "noise" ? run(noises, noises.sizes.size()) : run(formats, formats.errors.size());
    table.origin = made_from;
    if (!options.damage.empty()) {
        save_damage(options.damage, table, model.stored_tensors(), files.rule());
        std::cout << "wrote " << path_text(options.damage) << '\n' << std::flush;
    } else if (!kept.empty()) {
        save_damage(kept, table, model.stored_tensors(), {files.rule().inputs, existing_file::replace});
        tell_kept("what was measured is", kept);
    }
    return table;
}

select::plan refine(const any_model& model, const select::plan& draft, const select::budget& budget,
                    const target_options& options, const loaded_importances* importances, int threads) {
    const auto windows = measuring_windows(model, options.measuring, importances);
    const auto used = first_windows(model, windows, options.measuring, 2 * options.refine, threads);
    plan_meter meter(model, table_of(importances), used, compiled_weighted{}, {.threads = threads});
    select::refine_report report;
    select::plan plan = draft;
    const select::refined<decltype(meter)> strategy{budget, &meter, {.trials = options.refine}, &report};
    strategy.settle(plan, fallback_formats::layouts);
    std::cout << "refined on " << used.size() << " windows: " << report.taken << " of " << report.tried
              << " swaps of bytes helped\n";
    return plan;
}

measured_changes measure_changes(const any_model& model, const select::plan& plan,
                                 const std::vector<change_rule>& changes, const measure_options& options,
                                 const loaded_importances* importances, int threads) {
    const auto windows = measuring_windows(model, options, importances);
    const auto used = first_windows(model, windows, options, changes.size() + 2, threads);
    plan_meter meter(model, table_of(importances), used, compiled_weighted{}, {.threads = threads});
    measured_changes result{{plan, meter.measure(plan, meter.samples())}, {}};
    progress_line line;
    const progress_callback report(line);
    for (const change_rule& change : changes) {
        result.changes.push_back(ablate(meter, result.before, change, fallback_formats::layouts));
        report({.stage = "ablate", .unit = "changes", .done = result.changes.size(), .total = changes.size()});
    }
    return result;
}

}  // namespace cli
