#include "plan_report.hpp"

#include <cstdint>
#include <iostream>
#include <map>
#include <string_view>
#include <tuple>
#include <vector>

#include "model_summary.hpp"
#include "terminal.hpp"
#include "tessera/gguf/layout.hpp"
#include "tessera/pipeline/output_metadata.hpp"
#include "tessera/tensor/tensor_table.hpp"

namespace cli {

namespace {

using tessera::select::choice;
using tessera::select::plan;
using tessera::select::reason;

std::string why_text(const choice& c) {
    switch (c.why) {
        case reason::kept: return "stays in full precision";
        case reason::row_length: return "rows do not fit " + std::string(c.wanted.name);
        case reason::unchanged: return "as it is stored";
        case reason::budget: return "within the budget";
        case reason::requested: break;
    }
    return {};
}

}  // namespace

void print_tensors(const plan& plan) {
    text_table table({"tensor", "from", "to", ">bytes", ">predicted KLD", ""});
    for (const choice& c : plan.choices)
        table.add({c.target.name, std::string(c.source.name), tessera::shape_text(c.target), std::to_string(c.target.bytes()),
                   c.damage && *c.damage > 0.0 ? fixed(*c.damage, 7) : "", why_text(c)});
    std::cout << table << '\n';
}

void print_formats(const plan& plan) {
    const model_summary summary(plan.targets());
    text_table table({"format", ">tensors", ">weights", ">bytes"});
    for (const format_share& f : summary.formats)
        table.add({std::string(f.name), std::to_string(f.tensors), std::to_string(f.weights), std::to_string(f.bytes)});
    std::cout << table;
}

void print_replacements(const plan& plan) {
    std::map<std::tuple<std::string_view, std::string_view, std::uint64_t>, std::vector<std::string>> kinds;
    for (const choice& c : plan.choices)
        if (c.why == reason::row_length)
            kinds[{c.wanted.name, c.target.layout.name, c.target.columns()}].push_back(c.target.name);
    for (const auto& [kind, names] : kinds) {
        const auto& [wanted, got, columns] = kind;
        std::cout << "note: rows of " << columns << " weights do not fit " << wanted << "; written as " << got << ": "
                  << some_of(names) << '\n';
    }
}

void print_prediction(const plan& plan) {
    const auto damage = plan.damage();
    if (!damage) return;
    std::cout << "predicted mean KL divergence: " << fixed(*damage, 7) << " nats";
    if (plan.gap) std::cout << ", within " << fixed(100.0 * *plan.gap, 3) << " % of the best plan";
    std::cout << '\n';
}

std::string size_text(const plan& plan, const tessera::metadata& properties) {
    const auto bytes = tessera::gguf::file_size(plan.targets(), tessera::output_metadata(properties, plan));
    return bytes_text(bytes) + ", " + fixed(plan.bits_per_weight(), 3) + " bits per weight";
}

}  // namespace cli
