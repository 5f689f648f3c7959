// How fast work goes, and how much longer it will take. Knows no clock: times are given, in seconds.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/app/listener.hpp"
#include "tessera/core/progress.hpp"

namespace tessera::app {

/// Where a command is. Nothing stands for what is not known (yet).
struct time_estimate {
    std::size_t stage = 0, stages = 0;  ///< the stage at work, from 1 on, of so many; 0: no stages were planned
    double seconds = 0;                 ///< since the stage began
    std::optional<double> rate{};       ///< units per second
    std::optional<double> left{};       ///< seconds of the stage
    std::optional<double> all_left{};   ///< seconds of the whole command
};

/// Estimates from reports of progress. The rate is a mean of which the last half minute, or the last quarter of the
/// stage so far where that is longer, counts most. It is first told after some seconds, or a few per cent of the stage.
class time_estimator {
public:
    /// The stages from now on (see listener::planned); what names refer to need not last.
    void plan(std::span<const planned_stage> stages) {
        plan_.clear();
        for (const planned_stage& s : stages) plan_.push_back({std::string(s.name), s.seconds, s.done >= 1});
        before_ = begun_;
        next_ = 0;
        at_.reset();
    }

    /// A report at a time that never falls.
    time_estimate operator()(double now, const progress& report) {
        const bool is_new = report.stage != name_ || report.done < done_ || is_over_;
        if (is_new) begin(now, report);
        const double share =
            report.total == 0 ? 0.0 : static_cast<double>(report.done) / static_cast<double>(report.total);
        const double passed = now - last_;
        if (report.done > done_ && passed > 0) {
            const double memory = std::max(30.0, (now - began_) / 4);
            const double keep = std::exp(-passed / memory);
            recent_seconds_ = recent_seconds_ * keep + passed;
            recent_units_ = recent_units_ * keep + static_cast<double>(report.done - done_);
            last_ = now;
        }
        done_ = std::max(done_, report.done);
        is_over_ = report.total > 0 && report.done >= report.total;

        time_estimate found{.seconds = now - began_};
        if (at_) {
            found.stage = before_ + *at_ + 1;
            found.stages = before_ + plan_.size();
        }
        constexpr double first_seconds = 5, first_share = 0.03, least_seconds = 0.5;
        const bool is_known =
            (found.seconds >= first_seconds || share >= first_share) && found.seconds >= least_seconds;
        if (is_known && recent_units_ > 0) {
            found.rate = recent_units_ / recent_seconds_;
            if (report.total > 0) found.left = static_cast<double>(report.total - done_) / *found.rate;
        }
        if (found.left && at_ && plan_[*at_].work > 0 && report.total > done_before_) {
            const double speed = *found.rate / static_cast<double>(report.total - done_before_) * plan_[*at_].work;
            double rest = 0;
            for (std::size_t s = *at_ + 1; s < plan_.size(); ++s) rest += plan_[s].work;
            found.all_left = *found.left + rest / speed;
        }
        return found;
    }

private:
    struct stage {
        std::string name;
        double work;  // that is left
        bool is_done;
    };

    void begin(double now, const progress& report) {
        name_ = report.stage;
        began_ = last_ = now;
        done_ = done_before_ = report.done;
        recent_seconds_ = recent_units_ = 0;
        at_.reset();
        for (std::size_t s = next_; s < plan_.size() && !at_; ++s)
            if (plan_[s].name == name_ && !plan_[s].is_done) at_ = s;
        if (!at_) return;
        next_ = *at_ + 1;
        begun_ = before_ + next_;
    }

    std::vector<stage> plan_;
    std::size_t before_ = 0, begun_ = 0;  // stages of earlier plans that have begun
    std::size_t next_ = 0;                // the first that has not
    std::optional<std::size_t> at_;
    std::string name_;
    double began_ = 0, last_ = 0;               // when the stage began, and when its last step was counted
    std::uint64_t done_ = 0, done_before_ = 0;  // the latter by an earlier run
    bool is_over_ = true;
    double recent_seconds_ = 0, recent_units_ = 0;
};

}  // namespace tessera::app
