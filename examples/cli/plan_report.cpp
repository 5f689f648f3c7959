#include "plan_report.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iostream>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "terminal.hpp"
#include "tessera/app/model_summary.hpp"
#include "tessera/core/printable.hpp"
#include "tessera/tensor/tensor_table.hpp"

namespace cli {

namespace {

namespace select = tessera::select;
using tessera::select::choice;
using tessera::select::reason;

std::string why_text(const choice& c) {
    switch (c.why) {
        case reason::kept: return "stays in full precision";
        case reason::row_length: return "rows do not fit " + std::string(c.wanted.name);
        case reason::unchanged: return "as it is stored";
        case reason::budget: return "within the budget";
        case reason::unpriced: return "as it is stored: no damage known";
        case reason::requested: break;
    }
    return {};
}

// "12.3 % of the tensors' bytes".
std::string share_text(std::uint64_t bytes, const select::plan& plan) {
    return fixed(100.0 * static_cast<double>(bytes) / static_cast<double>(std::max<std::uint64_t>(1, plan.bytes())),
                 1) +
           " % of the tensors' bytes";
}

// A note for each kind of tensors that did not get the format asked for, and what that costs in all.
void print_replacements(const select::plan& plan) {
    std::map<std::tuple<std::string_view, std::string_view, std::uint64_t>, std::vector<std::string>> kinds;
    double wanted_bits = 0;
    for (const choice& c : plan.choices) {
        const bool is_replaced = c.why == reason::row_length;
        if (is_replaced) kinds[{c.wanted.name, c.target.layout.name, c.target.columns()}].push_back(c.target.name);
        wanted_bits += is_replaced ? c.wanted.bits_per_weight() * static_cast<double>(c.target.weights())
                                   : 8.0 * static_cast<double>(c.target.bytes());
    }
    for (const auto& [kind, names] : kinds) {
        const auto& [wanted, got, columns] = kind;
        std::cout << "note: rows of " << columns << " weights do not fit " << wanted << "; written as " << got << ": "
                  << some_of(names) << '\n';
    }
    if (!kinds.empty())
        std::cout << "note: for that reason it is " << fixed(plan.bits_per_weight(), 3)
                  << " bits per weight instead of " << fixed(wanted_bits / static_cast<double>(plan.weights()), 3)
                  << '\n';
}

}  // namespace

void print_tensors(const select::plan& plan) {
    text_table table({"tensor", "from", "to", ">bytes", ">predicted KLD", ""});
    for (const choice& c : plan.choices)
        table.add({c.target.name, std::string(c.source.name), tessera::shape_text(c.target),
                   std::to_string(c.target.bytes()), c.damage && *c.damage > 0.0 ? fixed(*c.damage, 7) : "",
                   why_text(c)});
    std::cout << table << '\n';
}

void print_formats(const select::plan& plan) {
    const tessera::app::model_summary summary(plan.targets());
    text_table table({"format", ">tensors", ">weights", ">bytes"});
    for (const tessera::app::format_share& f : summary.formats)
        table.add({std::string(f.name), std::to_string(f.tensors), std::to_string(f.weights), std::to_string(f.bytes)});
    std::cout << table;
}

void print_notes(const select::plan& plan) {
    print_replacements(plan);
    std::vector<std::string> unpriced;
    std::uint64_t unpriced_bytes = 0, kept_bytes = 0, kept = 0;
    for (const choice& c : plan.choices) {
        if (c.why == reason::unpriced) {
            unpriced.push_back(c.target.name);
            unpriced_bytes += c.target.bytes();
        }
        if (c.why == reason::kept) {
            kept_bytes += c.target.bytes();
            ++kept;
        }
    }
    if (!unpriced.empty())
        std::cout << "note: no damage is known of " << some_of(unpriced) << ": left as stored, "
                  << share_text(unpriced_bytes, plan) << '\n';
    if (20 * kept_bytes > plan.bytes())  // or else they do not matter
        std::cout << "note: " << kept
                  << " tensors that are never quantized (norms, routers, vectors, whole numbers) are "
                  << share_text(kept_bytes, plan) << '\n';
}

void print_basis(const select::plan& plan, const tessera::select::budget& budget) {
    struct narrow_rows {
        std::vector<std::string> formats, tensors;
    };
    std::map<std::uint64_t, narrow_rows> narrow;  // by the weights of a row
    std::map<std::string, std::vector<std::string>> borrowed;
    std::uint64_t borrowed_bytes = 0;
    double borrowed_damage = 0;
    std::vector<std::string> interpolated;
    std::uint64_t interpolated_bytes = 0;
    double squares = 0;  // of relative errors
    for (const choice& c : plan.choices) {
        if (c.why != reason::budget) continue;
        const auto* entry = budget.damage.find(c.target.name);
        if (entry != nullptr && !entry->between.empty()) {
            interpolated.push_back(c.target.name);
            interpolated_bytes += c.target.bytes();
            const double error = entry->sensitivity > 0 ? entry->sensitivity_error / entry->sensitivity : 0.0;
            squares += error * error;
        }
        if (entry != nullptr && !entry->priced_as.empty()) {
            borrowed[entry->priced_as].push_back(c.target.name);
            borrowed_bytes += c.target.bytes();
            borrowed_damage += c.damage.value_or(0.0);
        }
        std::vector<std::string> too_wide;
        for (const tessera::type_layout& format : budget.choices.formats)
            if (c.target.columns() % format.block_size != 0) too_wide.emplace_back(format.name);
        if (too_wide.empty()) continue;
        narrow_rows& rows = narrow[c.target.columns()];
        rows.formats = too_wide;
        rows.tensors.push_back(c.target.name);
    }
    for (const auto& [columns, rows] : narrow)
        std::cout << "note: rows of " << columns << " weights do not fit " << rows.formats.size() << " of the "
                  << budget.choices.formats.size() << " formats to choose from (" << some_of(rows.formats)
                  << "): " << some_of(rows.tensors) << '\n';
    if (!interpolated.empty())
        std::cout << "note: " << interpolated.size() << " tensors, " << share_text(interpolated_bytes, plan)
                  << ", were not measured: their damage is interpolated between layers that were, within about "
                  << fixed(100.0 * std::sqrt(squares / static_cast<double>(interpolated.size())), 0)
                  << " % (--measure-passes): " << some_of(interpolated) << '\n';
    if (borrowed.empty()) return;
    std::cout << "note: the forward pass does not reach some tensors, " << share_text(borrowed_bytes, plan)
              << "; nothing was measured of them, they are priced as others (" << fixed(borrowed_damage, 7)
              << " nats of the prediction):\n";
    for (const auto& [lender, names] : borrowed)
        std::cout << "  as "
                  << (lender == tessera::select::tensor_damage::typical ? "a typical tensor"
                                                                        : tessera::printable(lender))
                  << ": " << some_of(names) << '\n';
}

void print_prediction(const select::plan& plan) {
    const auto damage = plan.damage();
    if (!damage) return;
    std::cout << "predicted mean KL divergence: " << fixed(*damage, 7) << " nats";
    if (plan.gap) std::cout << ", within " << fixed(100.0 * *plan.gap, 3) << " % of the best plan";
    std::cout << '\n';
}

std::string size_text(const select::plan& plan, std::uint64_t file_bytes) {
    return bytes_text(file_bytes) + ", " + fixed(plan.bits_per_weight(), 3) + " bits per weight";
}

}  // namespace cli
