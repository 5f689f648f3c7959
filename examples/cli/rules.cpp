#include "rules.hpp"

#include <algorithm>

#include "tessera/format/builtin.hpp"
#include "tessera/select/mix_model.hpp"
#include "tessera/select/standard_mix.hpp"
#include "tessera/select/strategies.hpp"

namespace cli {

using namespace tessera;

pinned_by_name::pinned_by_name(const std::vector<pin>& pins, std::span<const tensor_info> tensors) {
    for (const pin& p : pins) {
        pins_.push_back({name_pattern(p.pattern), *builtin_formats::find(p.format)});
        const bool is_used = std::any_of(tensors.begin(), tensors.end(), [&](const tensor_info& info) {
            return !select::stays_full_precision(info) && pins_.back().expression.is_in(info.name);
        });
        if (!is_used) fail("--pin ", p.pattern, ": wanted the name of a tensor to quantize, matched none");
    }
}

std::optional<type_layout> pinned_by_name::operator()(const tensor_info& info) const {
    for (const compiled& p : pins_)
        if (p.expression.is_in(info.name)) return p.layout;
    return std::nullopt;
}

select::plan draft_with(const pinned_by_name& pins, std::span<const tensor_info> tensors) {
    select::plan draft = select::open_plan(tensors);
    select::settle(draft, pins, fallback_formats::layouts);
    return draft;
}

select::plan plan_by_name(const any_model& model, const named_formats& names, select::mix_model::importances columns) {
    const auto tensors = model.tensors();
    const pinned_by_name pins(names.pins, tensors);
    if (names.mix.empty()) {
        const select::first_match rule(pins, select::uniform{*builtin_formats::find(names.format)});
        return select::make_plan(tensors, rule, fallback_formats::layouts);
    }
    const select::mix mix = *select::find_mix(names.mix, builtin_formats::layouts);
    const auto facts = mix_model_of(model.metadata(), columns);
    const select::first_match rule(pins, select::standard_mix(mix, facts, tensors, builtin_formats::layouts));
    select::plan plan = select::make_plan(tensors, rule, fallback_formats::layouts);
    plan.file_type = mix.file_type;
    return plan;
}

}  // namespace cli
