#include "encoding_report.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <iostream>
#include <string_view>

#include <nlohmann/json.hpp>

#include "terminal.hpp"
#include "tessera/core/printable.hpp"
#include "tessera/encode/error_feedback.hpp"
#include "tessera/format/plain.hpp"
#include "tessera/json/text.hpp"

namespace cli {

namespace {

using namespace tessera;

std::string_view name_of(app::encoder_kind encoder) {
    switch (encoder) {
        case app::encoder_kind::nearest: return "nearest";
        case app::encoder_kind::weighted: return "weighted";
        case app::encoder_kind::feedback: return "feedback";
    }
    return "";
}

// The least relative error of a tensor of which nothing is left. One bit a weight makes 0.6.
constexpr double lost_share = 0.95;

bool is_exact(const select::choice& choice, const encoding_error& error) {
    return choice.is_encoded() && error.plain.squared_norm > 0 && error.plain.squared_error == 0;
}

void print_errors(const select::plan& plan, const std::vector<tensor_report>& tensors,
                  weight_error encoding_error::* kind, std::string_view title) {
    weight_error total;
    std::size_t worst = 0;
    for (std::size_t t = 0; t < tensors.size(); ++t) {
        const weight_error& error = tensors[t].error.*kind;
        total += error;
        if (error.relative() > (tensors[worst].error.*kind).relative()) worst = t;
    }
    if (total.squared_error == 0) return;
    std::cout << title << fixed(total.relative(), 5) << ", worst " << fixed((tensors[worst].error.*kind).relative(), 5)
              << " in " << printable(plan.choices[worst].target.name) << '\n';
}

void print_named(const std::vector<std::string>& names, std::string_view what) {
    if (!names.empty()) std::cout << what << some_of(names) << '\n';
}

// What a format could not hold.
void print_losses(const select::plan& plan, const std::vector<tensor_report>& tensors) {
    std::vector<std::string> gone;
    for (std::size_t t = 0; t < tensors.size(); ++t) {
        const select::choice& choice = plan.choices[t];
        if (const saturation& s = tensors[t].error.saturated; s.blocks > 0)
            std::cout << "warning: " << printable(choice.target.name) << ": the scales of " << choice.target.layout.name
                      << " cannot hold " << s.weight << " in row " << s.row << ", column " << s.column
                      << ", which became " << s.stored
                      << (s.blocks > 1 ? ", nor the weights of " + std::to_string(s.blocks - 1) + " more blocks" : "")
                      << "; " << plain_type_for(s.weight).name << " can (--pin)\n";
        else if (choice.is_encoded() && tensors[t].error.plain.relative() > lost_share)
            gone.push_back(choice.target.name);
    }
    if (!gone.empty())
        std::cout
            << "warning: next to nothing is left of " << some_of(gone)
            << ": most of their weights are too small for the scales of their format, or a few dwarf all others; BF16 "
               "holds them (--pin)\n";
}

void print_feedback(const select::plan& plan, const std::vector<tensor_report>& tensors) {
    std::size_t with = 0, all = 0;
    double sum = 0;  // of logarithms of how much is left of what weighted loses
    std::size_t judged = 0;
    std::vector<std::string> without, loosened;
    for (std::size_t t = 0; t < tensors.size(); ++t) {
        const tensor_report& r = tensors[t];
        const std::string& name = plan.choices[t].target.name;
        const std::size_t fed_back = r.matrices(error_feedback::name), weighted_ones = r.matrices(weighted::name);
        with += fed_back;
        all += fed_back + weighted_ones;
        const double lost = r.held_out_error(error_feedback::name), lost_by_weighted = r.held_out_error(weighted::name);
        if (lost_by_weighted > 0 && lost > 0) {
            sum += std::log(std::min(1.0, lost / lost_by_weighted));
            ++judged;
        }
        if (weighted_ones > 0 && fed_back + weighted_ones > 1)
            without.push_back(name + " (" + std::to_string(weighted_ones) + " of " +
                              std::to_string(weighted_ones + fed_back) + ")");
        else if (weighted_ones > 0)
            without.push_back(name);
        if (r.least_coupling < 1) loosened.push_back(name);
    }
    if (all == 0) return;
    std::cout << "error feedback: " << with << " of " << all << " matrices";
    if (judged > 0)
        std::cout << "; on held-out text the outputs' squared error is "
                  << fixed(std::exp(sum / static_cast<double>(judged)), 3) << " of weighted's, in the geometric mean";
    std::cout << '\n';
    print_named(without, "  weighted where that is better or no token came: ");
    print_named(loosened, "  columns treated as less dependent, to be able to at all: ");
}

}  // namespace

void print_encoding(const select::plan& plan, const encoding_report& report) {
    const bool is_moved =
        report.encoder == app::encoder_kind::feedback && report.inputs == app::feedback_inputs::quantized;
    print_errors(plan, report.tensors, &encoding_error::plain,
                 is_moved ? "relative error of the moved weights: " : "relative error of the weights: ");
    print_errors(plan, report.tensors, &encoding_error::weighted, "  weighted by importance: ");
    std::vector<std::string> exact;
    for (std::size_t t = 0; t < report.tensors.size(); ++t)
        if (is_exact(plan.choices[t], report.tensors[t].error)) exact.push_back(plan.choices[t].target.name);
    print_named(exact, "without loss, the weights lay on the format's grid: ");
    print_losses(plan, report.tensors);
    if (report.encoder == app::encoder_kind::feedback) print_feedback(plan, report.tensors);
}

std::string encoding_json(const select::plan& plan, const encoding_report& report) {
    nlohmann::ordered_json file{
        {"kind", "tessera encoding report"}, {"version", 1}, {"encoder", name_of(report.encoder)}};
    if (report.encoder == app::encoder_kind::feedback)
        file["feedback_inputs"] = report.inputs == app::feedback_inputs::quantized ? "quantized" : "original";
    file["tensors"] = nlohmann::ordered_json::array();
    for (std::size_t t = 0; t < report.tensors.size(); ++t) {
        const select::choice& choice = plan.choices[t];
        if (!choice.is_encoded()) continue;
        const encoding_error& error = report.tensors[t].error;
        nlohmann::ordered_json entry{{"name", choice.target.name},
                                     {"format", choice.target.layout.name},
                                     {"relative_error", error.plain.relative()},
                                     {"exact", is_exact(choice, error)}};
        if (error.weighted.squared_norm > 0) entry["relative_error_weighted"] = error.weighted.relative();
        if (const saturation& s = error.saturated; s.blocks > 0)
            entry["saturated"] = {
                {"blocks", s.blocks}, {"row", s.row}, {"column", s.column}, {"weight", s.weight}, {"stored", s.stored}};
        if (report.encoder == app::encoder_kind::feedback) {
            const tensor_report& r = report.tensors[t];
            entry["matrices_with_feedback"] = r.matrices(error_feedback::name);
            entry["matrices_weighted"] = r.matrices(weighted::name);
            entry["held_out_error_weighted"] = r.held_out_error(weighted::name);
            entry["held_out_error_feedback"] = r.held_out_error(error_feedback::name);
            entry["damping"] = r.most_damping;
            entry["coupling"] = r.least_coupling;
        }
        file["tensors"].push_back(std::move(entry));
    }
    return tessera::json_text(file, tessera::json_characters::all, 1) + '\n';
}

}  // namespace cli
