#include "encoding_report.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <iostream>
#include <string_view>

#include <nlohmann/json.hpp>

#include "terminal.hpp"
#include "tessera/core/printable.hpp"
#include "tessera/format/plain.hpp"
#include "tessera/json/text.hpp"

namespace cli {

namespace {

using namespace tessera;

std::string_view name_of(encoder_kind encoder) {
    switch (encoder) {
        case encoder_kind::nearest: return "nearest";
        case encoder_kind::weighted: return "weighted";
        case encoder_kind::feedback: return "feedback";
    }
    return "";
}

// The least relative error of a tensor of which nothing is left. One bit a weight makes 0.6.
constexpr double lost_share = 0.95;

bool is_exact(const select::choice& choice, const encoding_error& error) {
    return choice.is_encoded() && error.plain.squared_norm > 0 && error.plain.squared_error == 0;
}

void print_errors(const select::plan& plan, const std::vector<encoding_error>& errors,
                  weight_error encoding_error::* kind, std::string_view title) {
    weight_error total;
    std::size_t worst = 0;
    for (std::size_t t = 0; t < errors.size(); ++t) {
        const weight_error& error = errors[t].*kind;
        total += error;
        if (error.relative() > (errors[worst].*kind).relative()) worst = t;
    }
    if (total.squared_error == 0) return;
    std::cout << title << fixed(total.relative(), 5) << ", worst " << fixed((errors[worst].*kind).relative(), 5)
              << " in " << printable(plan.choices[worst].target.name) << '\n';
}

void print_named(const std::vector<std::string>& names, std::string_view what) {
    if (!names.empty()) std::cout << what << some_of(names) << '\n';
}

// What a format could not hold.
void print_losses(const select::plan& plan, const std::vector<encoding_error>& errors) {
    std::vector<std::string> gone;
    for (std::size_t t = 0; t < errors.size(); ++t) {
        const select::choice& choice = plan.choices[t];
        if (const saturation& s = errors[t].saturated; s.blocks > 0)
            std::cout << "warning: " << printable(choice.target.name) << ": the scales of " << choice.target.layout.name
                      << " cannot hold " << s.weight << " in row " << s.row << ", column " << s.column
                      << ", which became " << s.stored
                      << (s.blocks > 1 ? ", nor the weights of " + std::to_string(s.blocks - 1) + " more blocks" : "")
                      << "; " << plain_type_for(s.weight).name << " can (--pin)\n";
        else if (choice.is_encoded() && errors[t].plain.relative() > lost_share)
            gone.push_back(choice.target.name);
    }
    if (!gone.empty())
        std::cout
            << "warning: next to nothing is left of " << some_of(gone)
            << ": most of their weights are too small for the scales of their format, or a few dwarf all others; BF16 "
               "holds them (--pin)\n";
}

void print_feedback(const select::plan& plan, const std::vector<feedback_report>& reports) {
    std::size_t with = 0, all = 0;
    double sum = 0;  // of logarithms of how much is left of what weighted loses
    std::size_t judged = 0;
    std::vector<std::string> weighted, loosened;
    for (std::size_t t = 0; t < reports.size(); ++t) {
        const feedback_report& r = reports[t];
        const std::string& name = plan.choices[t].target.name;
        with += r.with_feedback;
        all += r.with_feedback + r.weighted;
        if (r.held_back_weighted > 0 && r.held_back_feedback > 0) {
            sum += std::log(std::min(1.0, r.held_back_feedback / r.held_back_weighted));
            ++judged;
        }
        if (r.weighted > 0 && r.with_feedback + r.weighted > 1)
            weighted.push_back(name + " (" + std::to_string(r.weighted) + " of " +
                               std::to_string(r.weighted + r.with_feedback) + ")");
        else if (r.weighted > 0)
            weighted.push_back(name);
        if (r.least_coupling < 1) loosened.push_back(name);
    }
    if (all == 0) return;
    std::cout << "error feedback: " << with << " of " << all << " matrices";
    if (judged > 0)
        std::cout << "; on text held back the outputs' squared error is "
                  << fixed(std::exp(sum / static_cast<double>(judged)), 3) << " of weighted's, in the geometric mean";
    std::cout << '\n';
    print_named(weighted, "  weighted where that is better or no token came: ");
    print_named(loosened, "  columns treated as less dependent, to be able to at all: ");
}

}  // namespace

void print_encoding(const select::plan& plan, const encoding_report& report) {
    const bool is_moved = !report.feedback.empty() && report.inputs == feedback_inputs::quantized;
    print_errors(plan, report.errors, &encoding_error::plain,
                 is_moved ? "relative error of the moved weights: " : "relative error of the weights: ");
    print_errors(plan, report.errors, &encoding_error::weighed, "  weighed by importance: ");
    std::vector<std::string> exact;
    for (std::size_t t = 0; t < report.errors.size(); ++t)
        if (is_exact(plan.choices[t], report.errors[t])) exact.push_back(plan.choices[t].target.name);
    print_named(exact, "without loss, the weights lay on the format's grid: ");
    print_losses(plan, report.errors);
    print_feedback(plan, report.feedback);
}

std::string encoding_json(const select::plan& plan, const encoding_report& report) {
    nlohmann::ordered_json file{
        {"kind", "tessera encoding report"}, {"version", 1}, {"encoder", name_of(report.encoder)}};
    if (!report.feedback.empty())
        file["feedback_inputs"] = report.inputs == feedback_inputs::quantized ? "quantized" : "original";
    file["tensors"] = nlohmann::ordered_json::array();
    for (std::size_t t = 0; t < report.errors.size(); ++t) {
        const select::choice& choice = plan.choices[t];
        if (!choice.is_encoded()) continue;
        const encoding_error& error = report.errors[t];
        nlohmann::ordered_json entry{{"name", choice.target.name},
                                     {"format", choice.target.layout.name},
                                     {"relative_error", error.plain.relative()},
                                     {"exact", is_exact(choice, error)}};
        if (error.weighed.squared_norm > 0) entry["relative_error_weighed"] = error.weighed.relative();
        if (const saturation& s = error.saturated; s.blocks > 0)
            entry["saturated"] = {
                {"blocks", s.blocks}, {"row", s.row}, {"column", s.column}, {"weight", s.weight}, {"stored", s.stored}};
        if (!report.feedback.empty()) {
            const feedback_report& r = report.feedback[t];
            entry["matrices_with_feedback"] = r.with_feedback;
            entry["matrices_weighted"] = r.weighted;
            entry["held_back_error_weighted"] = r.held_back_weighted;
            entry["held_back_error_feedback"] = r.held_back_feedback;
            entry["damping"] = r.most_damping;
            entry["coupling"] = r.least_coupling;
        }
        file["tensors"].push_back(std::move(entry));
    }
    return tessera::json_text(file, tessera::json_characters::all, 1) + '\n';
}

}  // namespace cli
