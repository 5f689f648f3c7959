#include "planning.hpp"

#include <filesystem>
#include <utility>

#include "measuring.hpp"
#include "plan_report.hpp"
#include "rules.hpp"
#include "tessera/format/builtin.hpp"
#include "tessera/pipeline/damage_file.hpp"
#include "tessera/pipeline/target_size.hpp"
#include "tessera/select/predict.hpp"
#include "tessera/select/strategies.hpp"

namespace cli {

using namespace tessera;

select::budget budget_of(const any_model& model, const target_options& target, const encoding& encoding,
                         int threads) {
    select::menu menu = select::parse_menu(target.menu, builtin_formats::layouts);  // a misspelt one is told at once
    return {.damage = obtain_damage(model, target, encoding, threads),
            .limit = select::at_most_bytes{},
            .choices = std::move(menu),
            .tied = tied_output_of(model.tensors(), noted_metadata(model.metadata(), encoding.importances))};
}

select::plan make_plan(const any_model& model, const named_formats& names, const target_options& target,
                       const encoding& encoding, int threads) {
    const auto tensors = model.tensors();
    if (!target.is_given()) {
        using columns = select::mix_model::importances;
        select::plan plan = plan_by_name(model, names, encoding.importances ? columns::present : columns::absent);
        if (!target.damage.empty()) select::predict_damage(plan, load_damage(target.damage, model.stored_tensors()));
        return plan;
    }
    const pinned_by_name pins(names.pins, tensors);
    select::budget budget = budget_of(model, target, encoding, threads);
    if (target.bytes)
        budget.limit = file_limit(*target.bytes, tensors, noted_metadata(model.metadata(), encoding.importances));
    else if (target.bits_per_weight)
        budget.limit = bits_per_weight_limit(*target.bits_per_weight, tensors);
    else
        budget.limit = select::at_most_damage{*target.kld};
    select::plan draft = select::open_plan(tensors);
    select::settle(draft, pins, fallback_formats::layouts);
    if (target.refine > 0)
        draft = refine(model, draft, budget, target, encoding.importances, threads);
    else
        select::settle(draft, budget, fallback_formats::layouts);
    print_basis(draft, budget);
    return draft;
}

}  // namespace cli
