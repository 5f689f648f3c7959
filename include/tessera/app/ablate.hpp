// What if some tensors of a plan had other formats?
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/app/any_formats.hpp"
#include "tessera/app/disk_space.hpp"
#include "tessera/app/encoding.hpp"
#include "tessera/app/forecast.hpp"
#include "tessera/app/importances.hpp"
#include "tessera/app/listener.hpp"
#include "tessera/app/measuring.hpp"
#include "tessera/app/open_model.hpp"
#include "tessera/app/options.hpp"
#include "tessera/app/work_cost.hpp"
#include "tessera/app/work_estimate.hpp"
#include "tessera/app/work_files.hpp"
#include "tessera/calibrate/importance_table.hpp"
#include "tessera/core/bytes.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/journal.hpp"
#include "tessera/core/output_rule.hpp"
#include "tessera/core/printable.hpp"
#include "tessera/core/stage_meter.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/core/token_windows.hpp"
#include "tessera/damage/ablate.hpp"
#include "tessera/files/plan_file.hpp"
#include "tessera/files/work_folder.hpp"
#include "tessera/select/plan.hpp"

namespace tessera::app {

/// A change of a plan: the format that a choice gets in the place of its own, or nothing.
using change_rule = std::function<std::optional<type_layout>(const select::choice&)>;

struct ablate_options {
    model_options model{};
    std::filesystem::path plan{};
    measure_options measuring{};
    importance_options importances{};
    std::filesystem::path kept_beside{};  ///< unfinished work is kept beside this; empty: nowhere
    work_options work{};
    int threads = 0;
};

/// A plan, and each change of it.
struct measured_changes {
    measured_plan before;
    std::vector<ablation> changes;
};

namespace detail {

// What the journal of changes is of.
inline constexpr std::string_view changes_kind = "changes of a plan";

// All before a model runs; then(foretold, run) goes on, where foretold(speed) is the forecast and run() does the work.
template <class Then>
auto begin(const ablate_options& options,
           const std::function<std::vector<change_rule>(const select::plan&)>& changes_of, const listener& listener,
           const any_encoders& formats, Then&& then) {
    work_files files(existing_file::refuse);  // nothing is written but what is kept
    files.read_model(options.model.path);
    files.read(options.plan);
    files.use(options.importances);
    if (!options.measuring.text.empty()) files.read_texts({options.measuring.text});
    files.keep(options.work, options.kept_beside);
    files.check();
    const any_model model = open(options.model, formats, listener);
    const select::plan plan = load_plan(options.plan, model.tensors(), formats.stored);
    const std::vector<change_rule> changes = changes_of(plan);
    importance_basis basis =
        read_importances(options.importances, model, model.metadata(), listener,
                         [&](std::uint64_t) { return calibration_tokens(options.importances.tokens, model); });
    const auto windows = measuring_windows(model.metadata(), options.measuring, basis.held_out(), listener);
    (void)tile_memory_of(options.importances.memory,
                         needs_of(memory_stage::measuring, model.metadata(), model.tensors(), windows.length(),
                                  options.threads, detail::bytes_of_trial(model.tensors())));
    require_scratch(options.importances.memory.scratch);
    const model_work work(model.tensors(), model.metadata());
    std::vector<stage_cost> stages;
    if (basis.text) {
        const token_windows& text = basis.text->windows.used;
        stages.push_back(
            calibrating(work, static_cast<double>(text.tokens().size()), static_cast<double>(text.length())));
        stages.back().done = calibrated_share(files, model, text, work);
    }
    const std::uint64_t wanted = options.measuring.tokens > 0
                                     ? options.measuring.tokens
                                     : default_measure_tokens(model.tensors(), static_cast<double>(changes.size() + 2));
    stages.push_back(measuring_plans(
        "ablate", work, static_cast<double>(std::min<std::uint64_t>(wanted, windows.tokens().size())),
        static_cast<double>(windows.length()), changes.size() + 2, detail::bytes_of_trial(model.tensors())));
    const auto measured =
        journal::look(files.left(concat(work_folder::measured_plans, ".journal")), changes_kind, work_on(model));
    stages.back().done =
        share_done(static_cast<double>(measured.records().size()), static_cast<double>(changes.size() + 2));
    const auto foretold = [&](const machine_speed& speed) {
        return forecast_of(stages, model.tensors(), model.metadata(), options.importances.memory, 0, options.threads,
                           {files.work_place(), {}}, speed);
    };
    announce(stages, foretold, options.threads, listener);
    return then(foretold, [&]() -> measured_changes {
        const auto loaded =
            obtain_importances(std::move(basis), options.importances, model, files, options.threads, listener);
        const loaded_importances* importances = loaded ? &*loaded : nullptr;
        const encoding weighted{encoder_kind::weighted, importances};
        work_identity identity = detail::measuring_identity(model, options.measuring, weighted, windows);
        digest asked;  // the plan, and what becomes of it
        for (const select::choice& c : plan.choices) {
            asked.add(c.target.name).add(static_cast<std::uint32_t>(c.target.type()));
            for (const change_rule& change : changes)
                if (const auto layout = change(c)) asked.add(static_cast<std::uint32_t>(layout->id));
        }
        identity.add("plan", asked.add(changes.size()).value());
        measured_changes result = go_on(files, work_folder::measured_plans, [&] {
            std::optional<journal> kept;
            std::vector<ablation> done;
            if (!files.folder().path().empty()) {
                kept.emplace(files.folder().file(concat(work_folder::measured_plans, ".journal")), changes_kind,
                             identity);
                for (const byte_view record : kept->records()) {
                    if (record.size() != sizeof(ablation) || done.size() == changes.size())
                        throw unfit_work(
                            concat(kept->path().string(), ": wanted measured changes, got something else"));
                    done.push_back(load_bytes<ablation>(record.data()));
                }
                if (!done.empty())
                    listener.say("note: going on from ", printable(files.folder().path().string()), ", where ",
                                 done.size(), " changes were measured");
            }
            const auto used = first_windows(model, windows, options.measuring, static_cast<double>(changes.size() + 2),
                                            least_tokens_of_plans, options.threads, files, work_folder::measured_plans);
            const importance_table none;
            const std::size_t tokens = used.tokens().size(), passes = changes.size() + 2;
            double encoding = 0;
            for (const select::choice& choice : plan.choices) encoding += search_work(choice.target);
            const model_work one(model.tensors(), model.metadata());
            const double pass = one.pass(tokens);
            const double work = static_cast<double>(passes) * pass + encoding;
            stage_meter progress(listener.progress, {"ablate", "tokens", passes * tokens, work});
            any_plan_meter meter = formats.meter(model, importances == nullptr ? none : importances->file.importances,
                                                 used, options.threads, options.importances.memory);
            measured_changes all{{plan, meter.measure(plan, meter.samples())}, std::move(done)};
            while (all.changes.size() < changes.size()) {
                progress.begin({"change", all.changes.size() + 1, changes.size(), pass});
                all.changes.push_back(
                    tessera::ablate(meter, all.before, changes[all.changes.size()], formats.fallback));
                if (kept) kept->append(as_byte_view(std::span(&all.changes.back(), 1)));
            }
            progress.finish();
            return all;
        });
        files.done();
        return result;
    });
}

}  // namespace detail

/// Measures a plan and then each of the changes that `changes_of(plan)` makes of it. Every change is kept as soon as it
/// is measured, until all are.
template <class Formats = builtin_formats>
[[nodiscard]] measured_changes ablate(const ablate_options& options,
                                      const std::function<std::vector<change_rule>(const select::plan&)>& changes_of,
                                      const listener& listener = {},
                                      const any_encoders& formats = any_encoders(Formats{})) {
    return detail::begin(options, changes_of, listener, formats, [](const auto&, const auto& run) { return run(); });
}

/// What that would take. Does and writes nothing.
template <class Formats = builtin_formats>
[[nodiscard]] forecast foretell(ablate_options options,
                                const std::function<std::vector<change_rule>(const select::plan&)>& changes_of,
                                const listener& listener = {}, const any_encoders& formats = any_encoders(Formats{})) {
    options.work.nowhere = true;
    return detail::begin(
        options, changes_of, listener.without_stages(), formats,
        [&](const auto& foretold, const auto&) { return forecast(foretold(speed_here(options.threads))); });
}

}  // namespace tessera::app
