#include <iostream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "commands.hpp"
#include "forecast_report.hpp"
#include "plan_report.hpp"
#include "terminal.hpp"
#include "tessera/core/printable.hpp"
#include "write_model.hpp"

namespace cli {

namespace {

// What the importances lack, and what will be done about it.
void print_gaps(const app::quantization& job) {
    using tessera::printable;
    const app::importance_gaps gaps = job.gaps();
    const bool has_importances = job.importances && job.encoder != app::encoder_kind::nearest;
    if (has_importances && !gaps.missing.empty())
        std::cout << "note: no importances for " << some_of(gaps.missing) << ": encoded with all columns alike\n";
    if (has_importances && !gaps.not_run.empty())
        std::cout << "note: the forward pass does not run the layers for multi-token prediction: no statistics for "
                  << some_of(gaps.not_run) << "; rounded without (--without-mtp leaves them out)\n";
    if (!gaps.needed.empty())
        std::cout << "warning: formats of so few bits need importances (--imatrix), or much more is lost: "
                  << some_of(gaps.needed) << '\n';
    for (std::size_t r = 0; r < gaps.rare.size();) {
        const std::string& tensor = gaps.rare[r].tensor;
        std::vector<std::string> experts;
        for (; r < gaps.rare.size() && gaps.rare[r].tensor == tensor; ++r)
            experts.push_back(std::to_string(gaps.rare[r].matrix) + " (" + std::to_string(gaps.rare[r].tokens) + ")");
        std::cout << "note: " << printable(tensor) << ": fewer than " << job.importances->enough_tokens
                  << " tokens reached experts (tokens) " << some_of(experts) << ": blended with the average of all\n";
    }
    for (const auto& u : gaps.unreached) {
        const bool has_others = job.encoder == app::encoder_kind::feedback && u.unreached < u.matrices;
        std::cout << "note: " << printable(u.name) << ": no token reached " << u.unreached << " of " << u.matrices
                  << " matrices: encoded with "
                  << (has_others ? "the importances of the others\n" : "all columns alike\n");
    }
}

// A dry run.
void foretell(const quantize_command& command, const app::any_encoders& formats) {
    std::optional<app::quantization> job;
    const app::forecast all = foretold(command.as, [&](const app::listener& tell) {
        app::foretold_quantization known = app::foretell(command.options, tell, formats);
        if (known.planned) job.emplace(std::move(*known.planned));
        return std::move(known.all);
    });
    if (job && command.as == printed::text) {
        if (job->chosen.budget) print_basis(job->plan(), *job->chosen.budget);
        if (command.options.importances.texts.empty()) print_gaps(*job);
        print_planned(*job, formats);
        std::cout << '\n';
    }
    print_forecast(all, command.as);
}

}  // namespace

void quantize(const quantize_command& command, const app::any_encoders& formats) {
    if (command.kind == run_kind::dry) return foretell(command, formats);
    terminal_listener tell;
    app::quantization job = app::prepare(command.options, tell.listener(), formats);
    tell.clear();
    if (job.chosen.budget) print_basis(job.plan(), *job.chosen.budget);
    print_gaps(job);
    write_model(job, command.options.report, formats, tell);
    job.files.done();
}

}  // namespace cli
