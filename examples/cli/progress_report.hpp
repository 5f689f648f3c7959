// What is shown of progress: for people at a terminal, for logs, for programs.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "tessera/app/time_estimate.hpp"
#include "tessera/core/progress.hpp"

namespace cli {

enum class progress_style {
    automatic,  ///< a bar where standard error is a terminal, else lines
    bar,        ///< one line, redrawn a few times a second
    lines,      ///< a line at the beginning and the end of each stage, and one a minute
    json,       ///< an object per line: the same, and one a second
    none
};

/// The version of the JSON objects. It grows when keys mean something else than before, not when there are more.
inline constexpr int progress_version = 1;

/// "12.3 M", with a metric prefix.
std::string metric(double value);

/// "1.23k tokens/s"
std::string rate_text(double rate, std::string_view unit);

/// "2:03", or "done": what a stage will take.
std::string time_text(const tessera::app::planned_stage& stage);

/// Makes text of reports. Knows no clock and no stream: times are given, in seconds, and what is to be written is
/// returned.
class progress_report {
public:
    /// A bar is at most `columns` wide.
    explicit progress_report(progress_style style, std::size_t columns = 80) : style_(style), columns_(columns) {}

    /// The stages that lie ahead. Returns what to write of how long they will take: the first time, for people, and
    /// where that is more than some seconds.
    std::string plan(std::span<const tessera::app::planned_stage> stages);

    /// What to write for a report; nothing where it is too soon.
    [[nodiscard]] std::string at(double now, const tessera::progress& report);

    /// What to write before something else is printed: takes away the bar.
    [[nodiscard]] std::string clear();

private:
    [[nodiscard]] std::string bar(const tessera::progress& report, const tessera::app::time_estimate& time);
    [[nodiscard]] std::string json(const tessera::progress& report, const tessera::app::time_estimate& time) const;

    progress_style style_;
    std::size_t columns_;
    tessera::app::time_estimator estimator_;
    bool is_foretold_ = false;
    std::string stage_;
    bool is_over_ = true;
    double shown_ = 0;
    std::size_t width_ = 0;  // of the bar that is there
};

}  // namespace cli
