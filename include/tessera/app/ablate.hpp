// What if some tensors of a plan had other formats?
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tessera/app/any_formats.hpp"
#include "tessera/app/encoding.hpp"
#include "tessera/app/importances.hpp"
#include "tessera/app/listener.hpp"
#include "tessera/app/measuring.hpp"
#include "tessera/app/open_model.hpp"
#include "tessera/app/options.hpp"
#include "tessera/app/stages.hpp"
#include "tessera/app/work_files.hpp"
#include "tessera/calibrate/importance_table.hpp"
#include "tessera/core/output_rule.hpp"
#include "tessera/core/stage_meter.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/core/token_windows.hpp"
#include "tessera/damage/ablate.hpp"
#include "tessera/files/plan_file.hpp"
#include "tessera/select/plan.hpp"

namespace tessera::app {

/// A change of a plan: the format that a choice gets in the place of its own, or nothing.
using change_rule = std::function<std::optional<type_layout>(const select::choice&)>;

struct ablate_options {
    model_options model{};
    std::filesystem::path plan{};
    measure_options measuring{};
    importance_options importances{};
    int threads = 0;
};

/// A plan, and each change of it.
struct measured_changes {
    measured_plan before;
    std::vector<ablation> changes;
};

/// Measures a plan and then each of the changes that `changes_of(plan)` makes of it.
template <class Formats = builtin_formats>
[[nodiscard]] measured_changes ablate(const ablate_options& options,
                                      const std::function<std::vector<change_rule>(const select::plan&)>& changes_of,
                                      const listener& listener = {},
                                      const any_encoders& formats = any_encoders(Formats{})) {
    const work_files files(existing_file::refuse);  // nothing is written
    const any_model model = open(options.model, formats, listener);
    const select::plan plan = load_plan(options.plan, model.tensors(), formats.stored);
    const auto loaded =
        load_importances(options.importances, model, model.metadata(), files, options.threads, listener);
    const loaded_importances* importances = loaded ? &*loaded : nullptr;
    const std::vector<change_rule> changes = changes_of(plan);
    const auto windows = measuring_windows(model.metadata(), options.measuring, importances, listener);
    const auto used = first_windows(model, windows, options.measuring, changes.size() + 2, options.threads);
    const importance_table none;
    const std::size_t tokens = used.tokens().size(), passes = changes.size() + 2;
    double encoding = 0;
    for (const select::choice& choice : plan.choices) encoding += search_work(choice.target);
    const double pass = model_work(model.tensors(), model.metadata()).pass(tokens);
    const double all = static_cast<double>(passes) * pass + encoding;
    const planned_stage stage{"ablate", all};
    listener.plan({&stage, 1});
    stage_meter progress(listener.progress, {stage.name, "tokens", passes * tokens, all});
    any_plan_meter meter =
        formats.meter(model, importances == nullptr ? none : importances->file.importances, used, options.threads);
    measured_changes result{{plan, meter.measure(plan, meter.samples())}, {}};
    for (const change_rule& change : changes) {
        progress.begin({"change", result.changes.size() + 1, changes.size(), pass});
        result.changes.push_back(tessera::ablate(meter, result.before, change, formats.fallback));
    }
    progress.finish();
    return result;
}

}  // namespace tessera::app
