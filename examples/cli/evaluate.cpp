#include "tessera/measure/evaluate.hpp"

#include <cstddef>
#include <filesystem>
#include <iostream>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "about.hpp"
#include "commands.hpp"
#include "json_text.hpp"
#include "memory.hpp"
#include "model_summary.hpp"
#include "open.hpp"
#include "terminal.hpp"
#include "tessera/core/printable.hpp"
#include "text_sources.hpp"

namespace cli {

namespace {

using json = nlohmann::ordered_json;
using tessera::any_model;
using tessera::estimate;
using tessera::kl_divergence_result;

// Divergences between predictions of different tokens would mean nothing.
void require_same_tokens(const any_model& reference, const any_model& candidate) {
    constexpr std::string_view key = "tokenizer.ggml.tokens";
    const auto* wanted = reference.metadata().find(key);
    const auto* got = candidate.metadata().find(key);
    if (wanted != nullptr && got != nullptr && *wanted != *got)
        tessera::fail(key, ": wanted the reference's vocabulary, got another one");
}

struct evaluated {
    std::filesystem::path path;
    std::string format;
    double bits_per_weight;
    std::uint64_t file_bytes;
    kl_divergence_result result;
    std::optional<estimate> ratio;  // of the mean divergence to that of the candidate before it
};

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

}  // namespace

void evaluate(const evaluate_options& options) {
    const any_model reference = open(options.reference);
    std::vector<any_model> candidates;  // all of them before the long work, so that a wrong name is told at once
    for (const auto& path : options.candidates) {
        candidates.push_back(open(path));
        about(path, [&] { require_same_tokens(reference, candidates.back()); });
    }
    const std::size_t length = options.window > 0 ? options.window : default_window(reference.metadata());
    const scored_text scored = read_scored_text(reference.metadata(), options.texts, length, options.window_limit);
    const tessera::token_windows& windows = scored.windows;
    require_memory(reference.metadata(), windows.tokens().size(), "--windows N takes a part of the text");

    tessera::scored_model original("reference", reference, options.threads);
    {
        progress_line line;
        about(options.reference, [&] { original.run(windows, line); });
    }
    std::vector<evaluated> all;
    std::vector<float> first_of_pair;
    for (std::size_t c = 0; c < candidates.size(); ++c) {
        progress_line line;
        const auto measured = about(options.candidates[c], [&] {
            tessera::scored_model candidate("candidate", candidates[c], options.threads);
            candidate.run(windows, line);
            return tessera::compare(original, candidate, {.threads = options.threads}, line);
        });
        const model_summary summary(candidates[c].tensors());
        all.push_back({options.candidates[c],
                       std::string(summary.main_format()),
                       summary.bits_per_weight(),
                       size_on_disk(candidates[c].files()),
                       measured.result(),
                       {}});
        if (!options.pairs) continue;
        const auto divergences = measured.per_token();
        if (c % 2 == 0)
            first_of_pair.assign(divergences.begin(), divergences.end());
        else
            all.back().ratio = tessera::mean_ratio(first_of_pair, divergences);
    }

    if (options.json) {
        json result{{"reference", options.reference.string()},
                    {"texts", options.texts},
                    {"framing", scored.framing},
                    {"window", windows.length()},
                    {"windows", windows.size()},
                    {"candidates", json::array()}};
        for (const evaluated& e : all) result["candidates"].push_back(to_json(e));
        std::cout << json_text(result);
        return;
    }
    std::cout << windows.size() << " windows of " << windows.length() << " tokens, " << all.front().result.tokens
              << " tokens scored\n"
              << "text: " << tessera::printable(scored.framing) << "\n\n";
    print_table(all);
    if (all.size() == 1) {
        std::cout << '\n';
        print_details(all.front().result);
    }
}

}  // namespace cli
