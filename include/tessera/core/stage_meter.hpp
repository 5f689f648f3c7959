// From work that is done, deep in products and sums, to the progress of a stage.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "tessera/core/progress.hpp"

namespace tessera {

class stage_meter;

namespace detail {
// The meter of the stage at work, of the thread that runs it.
inline constinit thread_local stage_meter* current_meter = nullptr;
}  // namespace detail

/// Turns work into progress. Work is what a stage is estimated to take and what parts of the library say they have done
/// (count_work), in multiply-adds or what takes as long. A stage may have parts; the end of one corrects what its
/// estimate got wrong, so `done` is exact there. While it lives, work of its thread counts for it; the innermost meter
/// that has a callback counts. At most some thousand calls are made.
class stage_meter {
public:
    struct stage {
        std::string_view name, unit;
        std::uint64_t total;  ///< units
        double work;          ///< of all of them
        double before = 0;    ///< the part of it that an earlier run has done
    };
    struct part {
        std::string_view kind;      ///< "layer"
        std::size_t number, count;  ///< from 1 on
        double work;
        std::string_view name = {};  ///< if it has one; outlives the part
    };

    /// Reports the beginning. Without a callback it does nothing at all.
    stage_meter(progress_callback report, const stage& about)
        : report_(report), stage_(about), before_(detail::current_meter), base_(about.before) {
        if (!report_) return;
        detail::current_meter = this;
        tell({});
    }
    stage_meter(const stage_meter&) = delete;
    stage_meter& operator=(const stage_meter&) = delete;
    ~stage_meter() {
        if (report_) detail::current_meter = before_;
    }

    /// The stage has more work than was known before.
    void expect(double work) noexcept { stage_.work += work; }

    /// The part before is done, and this one begins.
    void begin(const part& next) {
        if (!report_) return;
        base_ += has_part_ ? part_.work : worked_;
        worked_ = 0;
        part_ = next;
        has_part_ = true;
        tell({});
    }

    /// Some work is done, on what is called `name`.
    void add(double work, std::string_view name = {}) {
        if (!report_) return;
        worked_ += work;
        if (has_part_) worked_ = std::min(worked_, part_.work);
        const std::uint64_t now = done();
        if (now - told_ >= std::max<std::uint64_t>(1, stage_.total / most_calls)) tell(name);
    }

    /// The stage is done.
    void finish() {
        if (!report_) return;
        is_finished_ = true;
        tell({});
    }

private:
    static constexpr std::uint64_t most_calls = 2048;

    [[nodiscard]] std::uint64_t done() const noexcept {
        if (is_finished_) return stage_.total;
        if (stage_.work <= 0) return told_;
        const double share = std::min((base_ + worked_) / stage_.work, 1.0);
        const auto now = static_cast<std::uint64_t>(share * static_cast<double>(stage_.total));
        const std::uint64_t most = stage_.total - std::min<std::uint64_t>(stage_.total, 1);  // all is for finish()
        return std::max(told_, std::min(now, most));
    }

    void tell(std::string_view name) {
        told_ = done();
        report_({.stage = stage_.name,
                 .unit = stage_.unit,
                 .done = told_,
                 .total = stage_.total,
                 .part = part_.kind,
                 .number = part_.number,
                 .parts = part_.count,
                 .name = part_.name.empty() ? name : part_.name});
    }

    progress_callback report_;
    stage stage_;
    stage_meter* before_;
    part part_{};
    bool has_part_ = false, is_finished_ = false;
    double base_;        // work of the parts before
    double worked_ = 0;  // since
    std::uint64_t told_ = 0;
};

/// Says that some work is done: for what takes long in the midst of a stage, on the thread that runs it and outside
/// parallel loops. `name` is of what was worked on, if it has one.
inline void count_work(double work, std::string_view name = {}) {
    if (detail::current_meter != nullptr) detail::current_meter->add(work, name);
}

}  // namespace tessera
