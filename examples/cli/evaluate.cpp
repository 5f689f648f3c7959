#include <cstddef>
#include <iostream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "commands.hpp"
#include "forecast_report.hpp"
#include "json_text.hpp"
#include "options.hpp"
#include "terminal.hpp"
#include "tessera/core/printable.hpp"

namespace cli {

namespace {

using json = nlohmann::ordered_json;
using app::evaluated;
using tessera::estimate;
using tessera::kl_divergence_result;

std::string text(const estimate& e, int digits) { return fixed(e.value, digits) + " ± " + fixed(e.error, digits); }
std::string percent(const estimate& e, int digits) { return text({100.0 * e.value, 100.0 * e.error}, digits) + " %"; }

// In pairs, a column tells what the second has of the first one's divergence.
void print_table(const std::vector<evaluated>& all) {
    const bool pairs = all.back().ratio.has_value();
    std::vector<std::string> headings{"model",     "format",           ">bits/weight",     ">bytes",
                                      ">mean KLD", ">top-1 agreement", ">perplexity ratio"};
    if (pairs) headings.insert(headings.begin() + 5, ">KLD ratio");
    text_table table(std::move(headings));
    for (const evaluated& e : all) {
        std::vector<std::string> row{e.path.filename().string(),
                                     e.format,
                                     fixed(e.bits_per_weight, 3),
                                     std::to_string(e.file_bytes),
                                     text(e.result.mean, 7),
                                     percent(e.result.same_top, 2),
                                     text(e.result.perplexity_ratio, 5)};
        if (pairs) row.insert(row.begin() + 5, e.ratio ? text(*e.ratio, 3) : "");
        table.add(std::move(row));
    }
    std::cout << table;
}

void print_details(const kl_divergence_result& r) {
    const auto at = [](const tessera::percentiles& p, double fraction, int digits) {
        return fixed(p(fraction), digits);
    };
    text_table table({"figure", ">value", ""});
    table.add({"mean KL divergence", text(r.mean, 7), "nats"});
    table.add({"  median", at(r.divergence, 0.5, 6)});
    table.add({"  90 %", at(r.divergence, 0.9, 6)});
    table.add({"  95 %", at(r.divergence, 0.95, 6)});
    table.add({"  99 %", at(r.divergence, 0.99, 6)});
    table.add({"  99.9 %", at(r.divergence, 0.999, 6)});
    table.add({"  maximum", at(r.divergence, 1.0, 6)});
    table.add({"top-1 agreement", percent(r.same_top, 3)});
    table.add({"perplexity", text(r.perplexity, 4)});
    table.add({"  of the reference", text(r.reference_perplexity, 4)});
    table.add({"  ratio", text(r.perplexity_ratio, 6)});
    table.add({"  ln of the ratio", text(r.ln_perplexity_ratio, 6)});
    table.add({"change of the true token's probability", percent(r.mean_probability_change, 3), "mean"});
    table.add({"", percent(r.rms_probability_change, 3), "root mean square"});
    std::cout << table;
}

json to_json(const estimate& e) { return {{"value", e.value}, {"error", e.error}}; }

json to_json(const tessera::percentiles& p) {
    return {{"minimum", p(0.0)}, {"median", p(0.5)},  {"p90", p(0.9)},    {"p95", p(0.95)},
            {"p99", p(0.99)},    {"p99.9", p(0.999)}, {"maximum", p(1.0)}};
}

json to_json(const evaluated& e) {
    const kl_divergence_result& r = e.result;
    json result{{"path", e.path.string()},
                {"format", e.format},
                {"bits_per_weight", e.bits_per_weight},
                {"file_bytes", e.file_bytes},
                {"tokens", r.tokens},
                {"mean_kld", to_json(r.mean)},
                {"kld", to_json(r.divergence)},
                {"top1_agreement", to_json(r.same_top)},
                {"perplexity", to_json(r.perplexity)},
                {"reference_perplexity", to_json(r.reference_perplexity)},
                {"perplexity_ratio", to_json(r.perplexity_ratio)},
                {"ln_perplexity_ratio", to_json(r.ln_perplexity_ratio)},
                {"mean_probability_change", to_json(r.mean_probability_change)},
                {"rms_probability_change", to_json(r.rms_probability_change)},
                {"probability_change", to_json(r.probability_change)}};
    if (e.ratio) result["kld_ratio_in_pair"] = to_json(*e.ratio);
    return result;
}

void print(const app::evaluation& all, const app::evaluate_options& options, printed as) {
    const tessera::token_windows& windows = all.text.windows;
    if (as == printed::json) {
        json result{{"reference", options.reference.string()},
                    {"texts", options.texts},
                    {"framing", all.text.framing},
                    {"window", windows.length()},
                    {"windows", windows.size()},
                    {"candidates", json::array()}};
        for (const evaluated& e : all.candidates) result["candidates"].push_back(to_json(e));
        std::cout << json_text("tessera evaluation", result);
        return;
    }
    std::cout << windows.size() << " windows of " << windows.length() << " tokens, "
              << all.candidates.front().result.tokens << " tokens scored\n"
              << "text: " << tessera::printable(all.text.framing) << "\n\n";
    print_table(all.candidates);
    if (all.candidates.size() == 1) {
        std::cout << '\n';
        print_details(all.candidates.front().result);
    }
}

}  // namespace

void evaluate(const evaluate_command& command, const app::any_formats& formats) {
    app::evaluate_options options = command.options;
    options.kept_beside = name_here(options.candidates.front());
    if (!options.kept_beside.empty()) options.kept_beside += ".evaluation";
    if (command.kind == run_kind::dry)
        return print_forecast(
            foretold(command.as, [&](const app::listener& tell) { return app::foretell(options, tell, formats); }),
            command.as);
    std::optional<said_on_stderr> aside;
    if (command.as == printed::json) aside.emplace();
    app::evaluation all = [&] {
        terminal_listener tell;
        return app::evaluate(options, tell.listener(), formats);
    }();
    aside.reset();
    print(all, options, command.as);
    all.files.done();
}

}  // namespace cli
