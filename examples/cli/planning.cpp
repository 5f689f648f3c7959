#include "planning.hpp"

#include <span>

#include "measuring.hpp"
#include "plan_report.hpp"
#include "rules.hpp"
#include "tessera/app/target_size.hpp"
#include "tessera/files/damage_file.hpp"
#include "tessera/format/builtin.hpp"
#include "tessera/select/menu.hpp"
#include "tessera/select/predict.hpp"
#include "tessera/select/rules.hpp"
#include "tessera/select/strategies.hpp"

namespace cli {

using namespace tessera;

namespace {

// Without a target that is a size or a divergence, no limit.
void set_limit(select::budget& budget, const target_options& target, std::span<const tensor_info> tensors,
               const metadata& properties) {
    if (target.bytes)
        budget.limit = file_limit(*target.bytes, tensors, properties);
    else if (target.bits_per_weight)
        budget.limit = bits_per_weight_limit(*target.bits_per_weight, tensors);
    else if (target.kld)
        budget.limit = select::at_most_damage{*target.kld};
}

}  // namespace

void require_plannable(const any_model& model, const named_formats& names, const target_options& target) {
    const auto tensors = model.tensors();
    const pinned_by_name pins(names.pins, tensors);
    select::budget budget{.damage = {}, .limit = {}, .choices = select::parse_menu<builtin_formats>(target.menu)};
    if (!target.bytes && !target.bits_per_weight) return;
    set_limit(budget, target, tensors, model.metadata());
    for (const tensor_info& info : tensors) {  // as if nothing did any damage
        if (select::stays_full_precision(info)) continue;
        select::tensor_damage& entry = budget.damage.tensors.emplace_back(select::tensor_damage{info.name});
        for (const type_layout& layout : budget.choices.of(info, fallback_formats::layouts))
            entry.options.push_back({layout, 0.0});
    }
    select::plan draft = draft_with(pins, tensors);
    select::settle(draft, budget, fallback_formats::layouts);
}

select::budget budget_of(const any_model& model, const target_options& target, const encoding& encoding,
                         const command_files& files, int threads) {
    return {.damage = obtain_damage(model, target, encoding, files, threads),
            .limit = select::at_most_bytes{},
            .choices = select::parse_menu<builtin_formats>(target.menu),
            .tied = tied_output_of(model.tensors(), noted_metadata(model.metadata(), encoding.importances))};
}

select::plan make_plan(const any_model& model, const named_formats& names, const target_options& target,
                       const encoding& encoding, const command_files& files, int threads) {
    const auto tensors = model.tensors();
    if (!target.is_given()) {
        using columns = select::mix_model::importances;
        select::plan plan = plan_by_name(model, names, encoding.importances ? columns::present : columns::absent);
        if (!target.damage.empty()) select::predict_damage(plan, load_damage(target.damage, model.stored_tensors()));
        return plan;
    }
    const pinned_by_name pins(names.pins, tensors);
    select::budget budget = budget_of(model, target, encoding, files, threads);
    set_limit(budget, target, tensors, noted_metadata(model.metadata(), encoding.importances));
    select::plan draft = draft_with(pins, tensors);
    if (target.refine > 0)
        draft = refine(model, draft, budget, target, encoding.importances, threads);
    else
        select::settle(draft, budget, fallback_formats::layouts);
    print_basis(draft, budget);
    return draft;
}

}  // namespace cli
