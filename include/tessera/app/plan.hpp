// Which format every tensor should have.
#pragma once

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "tessera/app/any_formats.hpp"
#include "tessera/app/encoding.hpp"
#include "tessera/app/importances.hpp"
#include "tessera/app/listener.hpp"
#include "tessera/app/measuring.hpp"
#include "tessera/app/open_model.hpp"
#include "tessera/app/options.hpp"
#include "tessera/app/target_size.hpp"
#include "tessera/app/work_ahead.hpp"
#include "tessera/app/work_files.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/core/output_file.hpp"
#include "tessera/core/output_rule.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/files/damage_file.hpp"
#include "tessera/files/plan_file.hpp"
#include "tessera/select/budget.hpp"
#include "tessera/select/curve.hpp"
#include "tessera/select/menu.hpp"
#include "tessera/select/mix_model.hpp"
#include "tessera/select/plan.hpp"
#include "tessera/select/predict.hpp"
#include "tessera/select/rules.hpp"
#include "tessera/select/standard_mix.hpp"
#include "tessera/select/strategies.hpp"

namespace tessera::app {

/// The rule of the first pin that matches a tensor's name.
class pinned_by_name {
public:
    /// Throws when a pin would change nothing in a model of these tensors (most likely a misspelt name), or names a
    /// format that the list lacks.
    pinned_by_name(const std::vector<pin>& pins, std::span<const tensor_info> tensors, const any_formats& formats)
        : pins_(&pins) {
        for (const pin& p : pins) {
            layouts_.push_back(formats.require(p.format));
            const bool is_used = std::ranges::any_of(tensors, [&](const tensor_info& info) {
                return !select::stays_full_precision(info) && p.matches(info.name);
            });
            if (!is_used) fail("--pin ", p.pattern, ": wanted the name of a tensor to quantize, matched none");
        }
    }

    [[nodiscard]] std::optional<type_layout> operator()(const tensor_info& info) const {
        for (std::size_t p = 0; p < layouts_.size(); ++p)
            if ((*pins_)[p].matches(info.name)) return layouts_[p];
        return std::nullopt;
    }

private:
    const std::vector<pin>* pins_;
    std::vector<type_layout> layouts_;
};

/// A plan in which the pins have decided, and everything else is open.
[[nodiscard]] inline select::plan draft_with(const pinned_by_name& pins, std::span<const tensor_info> tensors,
                                             const any_formats& formats) {
    select::plan draft = select::open_plan(tensors);
    select::settle(draft, pins, formats.fallback);
    return draft;
}

/// One format for all tensors, or what a mix of llama.cpp gives them; pins come first. Mixes depend on whether
/// there are importances.
[[nodiscard]] inline select::plan plan_by_name(std::span<const tensor_info> tensors, const metadata& properties,
                                               const named_formats& names, select::mix_model::importances columns,
                                               const any_formats& formats) {
    const pinned_by_name pins(names.pins, tensors, formats);
    if (names.mix.empty()) {
        const select::first_match rule(pins, select::uniform{formats.require(names.format)});
        return select::make_plan(tensors, rule, formats.fallback);
    }
    const auto mix = select::find_mix(names.mix, formats.layouts);
    if (!mix) fail("mix: wanted one of ", select::mix_names(formats.layouts), ", got ", names.mix);
    const auto facts = mix_model_of(properties, columns);
    const select::first_match rule(pins, select::standard_mix(*mix, facts, tensors, formats.layouts));
    select::plan plan = select::make_plan(tensors, rule, formats.fallback);
    plan.file_type = mix->file_type;
    return plan;
}

namespace detail {

// Without a target that is a size or a divergence, no limit.
inline void set_limit(select::budget& budget, const target_options& target, std::span<const tensor_info> tensors,
                      const metadata& properties) {
    if (target.bytes)
        budget.limit = file_limit(*target.bytes, tensors, properties);
    else if (target.bits_per_weight)
        budget.limit = bits_per_weight_limit(*target.bits_per_weight, tensors);
    else if (target.kld)
        budget.limit = select::at_most_damage{*target.kld};
}

}  // namespace detail

/// Throws at what of names and target is known to fail without any work: a pin or a format to choose from that does not
/// exist, a size that not even the smallest formats would keep.
inline void require_plannable(const any_model& model, const named_formats& names, const target_options& target,
                              const any_formats& formats) {
    const auto tensors = model.tensors();
    if (target.refine > 0 && !target.is_given())
        fail("--refine: wanted a target (--target-size, --target-bpw or --target-kld) to refine a plan for, got none");
    const pinned_by_name pins(names.pins, tensors, formats);
    select::budget budget{
        .damage = {}, .limit = {}, .choices = select::parse_menu(target.menu, formats.layouts, formats.portable())};
    if (!target.bytes && !target.bits_per_weight) return;
    detail::set_limit(budget, target, tensors, model.metadata());
    for (const tensor_info& info : tensors) {  // as if nothing did any damage
        if (select::stays_full_precision(info)) continue;
        select::tensor_damage& entry = budget.damage.tensors.emplace_back(select::tensor_damage{info.name});
        for (const type_layout& layout : budget.choices.of(info, formats.fallback))
            entry.options.push_back({layout, 0.0});
    }
    select::plan draft = draft_with(pins, tensors, formats);
    select::settle(draft, budget, formats.fallback);
}

/// A plan and what it was chosen by.
struct planned {
    select::plan plan;
    std::optional<select::budget> budget{};  ///< of a target
};

namespace detail {

// Everything of the target's budget but its limit. Measures damage when there is no damage file.
template <class Model>
[[nodiscard]] select::budget budget_of(const Model& model, const target_options& target, const encoding& encoding,
                                       work_files& files, int threads, const listener& listener,
                                       const any_encoders& formats) {
    return {.damage = obtain_damage(model, target, encoding, files, threads, listener, formats),
            .limit = select::at_most_bytes{},
            .choices = select::parse_menu(target.menu, formats.layouts, formats.portable()),
            .tied = tied_output_of(model.tensors(), noted_metadata(model.metadata(), encoding.importances))};
}

}  // namespace detail

/// By names if there are some, else within the target; pins come first. Damage is predicted where there is a damage
/// file.
template <class Model>
[[nodiscard]] planned make_plan(const Model& model, const named_formats& names, const target_options& target,
                                const encoding& encoding, work_files& files, int threads, const listener& listener,
                                const any_encoders& formats) {
    const auto tensors = model.tensors();
    if (!target.is_given()) {
        using columns = select::mix_model::importances;
        planned made{plan_by_name(tensors, model.metadata(), names,
                                  encoding.importances ? columns::present : columns::absent, formats)};
        if (!target.damage.empty())
            select::predict_damage(made.plan, load_damage(target.damage, model.stored_tensors(), formats.stored));
        return made;
    }
    const pinned_by_name pins(names.pins, tensors, formats);
    select::budget budget = detail::budget_of(model, target, encoding, files, threads, listener, formats);
    detail::set_limit(budget, target, tensors, noted_metadata(model.metadata(), encoding.importances));
    select::plan draft = draft_with(pins, tensors, formats);
    if (target.refine > 0)
        draft = refine(model, draft, budget, target, encoding, files, threads, listener, formats);
    else
        select::settle(draft, budget, formats.fallback);
    return {std::move(draft), std::move(budget)};
}

struct plan_options {
    model_options model{};
    named_formats names{};    ///< these,
    target_options target{};  ///< or a target
    importance_options importances{};
    std::filesystem::path output{};        ///< the plan file; empty: none
    std::filesystem::path tensor_types{};  ///< the plan as options of llama-quantize; empty: none
    std::filesystem::path drawing{};       ///< another output, which the caller writes; empty: none
    double seconds = 0;                    ///< that all of it may take, by shortening texts; 0: no limit
    std::filesystem::path kept_beside{};   ///< unfinished work is kept beside this; empty: nowhere
    work_options work{};
    existing_file existing = existing_file::refuse;
    int threads = 0;
};

/// Plans, and what they were chosen by.
struct plans_made {
    std::vector<select::plan> plans;
    std::optional<select::budget> budget;
    metadata model;       ///< the model's metadata
    metadata properties;  ///< and what a file of a plan will say beside
    work_files files;     ///< done() once all outputs are written
};

namespace detail {

// All before the first long step; then(files, model, ahead, basis) goes on.
template <class Then>
auto begin(const plan_options& options, const listener& listener, const any_encoders& formats, Then&& then) {
    work_files files(options.existing);
    files.read_model(options.model.path);
    for (const auto* path : {&options.output, &options.tensor_types, &options.drawing}) files.write(*path);
    files.use(options.importances);
    if (options.names.format.empty() && options.names.mix.empty())
        files.use(options.target);
    else
        files.read(options.target.damage);
    files.keep(options.work, options.kept_beside);
    files.check();
    const any_model model = open(options.model, formats, listener);
    require_plannable(model, options.names, options.target, formats);
    work_ahead ahead(model, options.target, options.importances, stages_ahead::writing::none, {}, options.seconds,
                     options.threads, files, listener);
    importance_basis basis = read_importances(options.importances, model, model.metadata(), listener,
                                              [&](std::uint64_t tokens) { return ahead.calibrate_on(tokens); });
    require_possible(model, options.target, options.importances, basis, options.threads, formats);
    ahead.begin(basis);
    return then(files, model, ahead, basis);
}

template <class Choose>
[[nodiscard]] plans_made make_plans(const plan_options& options, const listener& listener, const any_encoders& formats,
                                    Choose&& choose) {
    return begin(
        options, listener, formats,
        [&](work_files& files, const any_model& model, work_ahead& ahead, importance_basis& basis) {
            const auto loaded =
                obtain_importances(std::move(basis), options.importances, model, files, options.threads, listener);
            const encoding encoding = choose_encoding(options.importances, loaded ? &*loaded : nullptr);
            ahead.encode_with(encoding);
            plans_made made{
                {}, {}, model.metadata(), noted_metadata(model.metadata(), encoding.importances), std::move(files)};
            choose(model, ahead.target(), encoding, made);
            return made;
        });
}

}  // namespace detail

/// Chooses every tensor's format, and writes the plan file and the options where they have names.
template <class Formats = builtin_formats>
plans_made plan(const plan_options& options, const listener& listener = {},
                const any_encoders& formats = any_encoders(Formats{})) {
    plans_made made = detail::make_plans(
        options, listener, formats,
        [&](const any_model& model, const target_options& target, const encoding& encoding, plans_made& to) {
            planned one =
                make_plan(model, options.names, target, encoding, to.files, options.threads, listener, formats);
            to.plans.push_back(std::move(one.plan));
            to.budget = std::move(one.budget);
        });
    if (!options.output.empty()) save_plan(options.output, made.plans.front(), made.properties, made.files.rule());
    if (!options.tensor_types.empty())
        write_text_file(options.tensor_types, tensor_type_options(made.plans.front()), made.files.rule());
    return made;
}

/// The plans of the least damage for sizes between the smallest and the one beyond which nothing is gained, `points` at
/// most (see select::size_curve). The target's limit does not count.
template <class Formats = builtin_formats>
plans_made plan_curve(const plan_options& options, std::size_t points, const listener& listener = {},
                      const any_encoders& formats = any_encoders(Formats{})) {
    plan_options all = options;
    all.target.every_size = true;
    return detail::make_plans(
        all, listener, formats,
        [&](const any_model& model, const target_options& target, const encoding& encoding, plans_made& to) {
            const auto tensors = model.tensors();
            const select::plan draft =
                draft_with(pinned_by_name(options.names.pins, tensors, formats), tensors, formats);
            to.budget = detail::budget_of(model, target, encoding, to.files, options.threads, listener, formats);
            to.plans = select::size_curve(draft, *to.budget, formats.fallback, points);
        });
}

/// What plan() with these options would take, or plan_curve() where the target is every size. Does and writes nothing.
template <class Formats = builtin_formats>
[[nodiscard]] forecast foretell(plan_options options, const listener& listener = {},
                                const any_encoders& formats = any_encoders(Formats{})) {
    options.work.nowhere = true;
    return detail::begin(
        options, listener.without_stages(), formats,
        [](const auto&, const auto&, const work_ahead& ahead, const auto&) { return ahead.foretold(); });
}

}  // namespace tessera::app
