// What benchmarks came to, round by round, and tables of ours beside the peer's.
#pragma once

#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <map>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "median.hpp"
#include "tessera/core/error.hpp"

/// Keeps what every benchmark came to in every round. The display gets the median round of each, at the end.
class results : public benchmark::BenchmarkReporter {
public:
    bool ReportContext(const Context& context) override { return display_->ReportContext(context); }
    void ReportRuns(const std::vector<Run>& runs) override {
        for (const Run& run : runs)
            if (run.run_type == Run::RT_Iteration) runs_[run.run_name.function_name].push_back(run);
    }
    void Finalize() override {
        for (auto [name, runs] : runs_) {
            std::ranges::sort(runs, {}, [](const Run& run) { return run.GetAdjustedCPUTime(); });
            display_->ReportRuns({runs[runs.size() / 2]});
        }
        display_->Finalize();
    }

    [[nodiscard]] bool empty() const { return runs_.empty(); }
    /// A counter, round by round; nothing when the benchmark did not run.
    [[nodiscard]] std::vector<double> values(const std::string& name, const std::string& counter) const {
        std::vector<double> all;
        if (const auto found = runs_.find(name); found != runs_.end())
            for (const Run& run : found->second) all.push_back(run.counters.at(counter).value);
        return all;
    }

private:
    std::unique_ptr<benchmark::BenchmarkReporter> display_{benchmark::CreateDefaultDisplayReporter()};
    std::map<std::string, std::vector<Run>> runs_;
};

/// A counter of a benchmark, and of its twin of the same name and "/ggml".
struct quantity {
    std::string name;
    const char* counter;
    double unit;
};

/// Lines of a Markdown table, and geometric means of the ratios in them.
class comparison {
public:
    explicit comparison(const results& measured) : measured_(measured) {}

    /// Ours, the peer's and their ratio, for two quantities: medians, that of the ratios over rounds, in which both ran
    /// one after the other. No line when neither ran.
    void line(const std::string& label, const std::array<quantity, 2>& quantities) {
        std::string cells;
        bool any = false;
        for (std::size_t q = 0; q < quantities.size(); ++q) {
            const auto& [name, counter, unit] = quantities[q];
            const auto ours = measured_.values(name, counter), theirs = measured_.values(name + "/ggml", counter);
            std::vector<double> ratios;
            for (std::size_t i = 0; i < std::min(ours.size(), theirs.size()); ++i)
                ratios.push_back(ours[i] / theirs[i]);
            if (!ratios.empty()) log_ratios_[q].push_back(std::log(median(ratios)));
            cells += tessera::concat(cell(ours, unit), cell(theirs, unit), cell(ratios, 1));
            any = any || !ours.empty() || !theirs.empty();
        }
        if (any) std::printf("| %s%s |\n", label.c_str(), cells.c_str());
    }

    /// The means of the lines since the last one. No line when there is no ratio.
    void mean(const std::string& label) {
        if (log_ratios_[0].empty() && log_ratios_[1].empty()) return;
        std::string cells;
        for (std::vector<double>& logs : log_ratios_) {
            const double sum = std::accumulate(logs.begin(), logs.end(), 0.0);
            const auto count = static_cast<double>(logs.size());
            cells += " | |" + cell(logs.empty() ? logs : std::vector{std::exp(sum / count)}, 1);
            logs.clear();
        }
        std::printf("| %s%s |\n", label.c_str(), cells.c_str());
    }

private:
    // Three significant digits without an exponent; larger numbers in full.
    [[nodiscard]] static std::string cell(const std::vector<double>& values, double unit) {
        if (values.empty()) return " | ";
        const double value = median(values) / unit;
        const int decimals = value > 0 ? std::max(0, 2 - static_cast<int>(std::floor(std::log10(value)))) : 0;
        std::array<char, 64> text;
        std::snprintf(text.data(), text.size(), " | %.*f", decimals, value);
        return text.data();
    }

    const results& measured_;
    std::array<std::vector<double>, 2> log_ratios_;
};
