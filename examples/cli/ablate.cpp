#include <iostream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "commands.hpp"
#include "forecast_report.hpp"
#include "json_text.hpp"
#include "name_pattern.hpp"
#include "options.hpp"
#include "terminal.hpp"
#include "tessera/core/block_index.hpp"
#include "tessera/damage/ablate.hpp"
#include "tessera/select/menu.hpp"
#include "tessera/select/plan.hpp"

namespace cli {

namespace {

using namespace tessera;

/// Tensors that are looked at together.
struct tensor_class {
    std::string name;
    name_pattern expression;
};

// The classes named in the options, or those that people ask about first.
std::vector<tensor_class> classes_of(const std::vector<std::string>& named_classes, const select::plan& plan) {
    std::vector<tensor_class> classes;
    for (const std::string& text : named_classes) {
        const std::size_t equals = text.find('=');
        const bool named = equals != std::string::npos;
        classes.push_back(
            {named ? text.substr(0, equals) : text, name_pattern(named ? text.substr(equals + 1) : text)});
    }
    if (!classes.empty()) return classes;
    const auto add = [&](std::string name, const std::string& pattern) {
        classes.push_back({std::move(name), name_pattern(pattern)});
    };
    add("embeddings", "^token_embd\\.");
    add("attention queries", "attn_q(_a|_b)?\\.");
    add("attention keys", "attn_k(_b)?\\.");
    add("attention values", "attn_v(_b)?\\.");
    add("attention, fused", "attn_(qkv|kv_a_mqa|gate)\\.");
    add("attention output", "(attn_output|ssm_out)\\.");
    add("ffn_gate", "ffn_gate(_up)?(_exps|_shexp)?\\.");
    add("ffn_up", "ffn_up(_exps|_shexp)?\\.");
    add("ffn_down", "ffn_down(_exps|_shexp)?\\.");
    add("output", "^output\\.");
    std::size_t last = 0;
    for (const select::choice& c : plan.choices) last = std::max(last, block_index(c.target.name).value_or(0));
    add("first layer", "^blk\\.0\\.");
    if (last > 0) add("last layer", "^blk\\." + std::to_string(last) + "\\.");
    return classes;
}

std::string signed_text(double value, int digits) { return (value >= 0 ? "+" : "") + fixed(value, digits); }

}  // namespace

void ablate(const ablate_command& command, const app::any_encoders& formats) {
    const auto menu = select::parse_menu(command.menu, formats.layouts, formats.portable()).formats;

    struct question {
        std::string about;
        std::string change;
    };
    std::vector<question> questions;
    const auto changes_of = [&](const select::plan& plan) {
        std::vector<app::change_rule> changes;
        const auto ask = [&](const tensor_class& about, const std::string& change, auto new_type) {
            questions.push_back({about.name, change});
            changes.push_back([about, new_type](const select::choice& made) -> std::optional<type_layout> {
                return about.expression.is_in(made.target.name) ? new_type(made.target) : std::nullopt;
            });
        };
        for (const tensor_class& about : classes_of(command.classes, plan)) {
            if (command.bits) {
                ask(about, fixed(*command.bits, 1) + " bits",
                    [&](const tensor_info& info) { return nearest_bits(menu, info, *command.bits); });
            } else if (!command.format.empty()) {
                ask(about, command.format,
                    [&](const tensor_info&) { return std::optional(formats.require(command.format)); });
            } else {
                ask(about, "one format down", [&](const tensor_info& info) { return neighbour(menu, info, -1); });
                ask(about, "one format up", [&](const tensor_info& info) { return neighbour(menu, info, +1); });
            }
        }
        return changes;
    };
    app::ablate_options options = command.options;
    options.kept_beside = name_here(options.model.path);
    if (!options.kept_beside.empty()) options.kept_beside += ".ablation";
    if (command.kind == run_kind::dry)
        return print_forecast(
            foretold(command.as,
                     [&](const app::listener& tell) { return app::foretell(options, changes_of, tell, formats); }),
            command.as);
    std::optional<said_on_stderr> aside;
    if (command.as == printed::json) aside.emplace();
    terminal_listener tell;
    const app::measured_changes measured = app::ablate(options, changes_of, tell.listener(), formats);
    tell.clear();

    aside.reset();
    const estimate before = measured.before.divergence.result().mean;
    if (command.as == printed::json) {
        nlohmann::ordered_json list = nlohmann::ordered_json::array();
        for (std::size_t q = 0; q < questions.size(); ++q) {
            const ablation& a = measured.changes[q];
            if (a.tensors == 0) continue;
            list.push_back({{"tensors", questions[q].about},
                            {"change", questions[q].change},
                            {"count", a.tensors},
                            {"bytes", a.bytes},
                            {"kld", {{"value", a.kld.value}, {"error", a.kld.error}}},
                            {"kld_change", {{"value", a.change.value}, {"error", a.change.error}}}});
        }
        const nlohmann::ordered_json all{{"plan", command.options.plan.string()},
                                         {"kld", {{"value", before.value}, {"error", before.error}}},
                                         {"changes", std::move(list)}};
        std::cout << json_text("tessera ablation", all);
        return;
    }
    std::cout << "the plan: " << measured.before.plan.bytes() << " bytes of tensors, mean KLD "
              << fixed(before.value, 6) << " ± " << fixed(before.error, 6) << "\n\n";
    text_table table({"tensors", ">number", "change", ">bytes", ">mean KLD", ">change of it"});
    for (std::size_t q = 0; q < questions.size(); ++q) {
        const ablation& a = measured.changes[q];
        if (a.tensors == 0) continue;
        table.add({questions[q].about, std::to_string(a.tensors), questions[q].change,
                   (a.bytes >= 0 ? "+" : "") + std::to_string(a.bytes), fixed(a.kld.value, 6),
                   signed_text(a.change.value, 6) + " ± " + fixed(a.change.error, 6)});
    }
    std::cout << table;
}

}  // namespace cli
