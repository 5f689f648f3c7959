#include "progress_report.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include "terminal.hpp"
#include "tessera/app/listener.hpp"
#include "tessera/core/duration.hpp"
#include "tessera/core/printable.hpp"
#include "tessera/json/text.hpp"

namespace cli {

namespace {

using tessera::duration_text;
using tessera::progress;
using tessera::app::time_estimate;

// What is at work: "layer 3 of 32, blk.2.ffn_up.weight".
std::string place_text(const progress& report) {
    std::string text;
    if (report.number > 0)
        text = tessera::printable(report.part) + " " + std::to_string(report.number) + " of " +
               std::to_string(report.parts);
    if (!report.name.empty()) text += (text.empty() ? "" : ", ") + tessera::printable(report.name);
    return text;
}

std::string stage_text(const progress& report, const time_estimate& time) {
    std::string text = tessera::printable(report.stage);
    if (time.stages > 1) text += " (" + std::to_string(time.stage) + " of " + std::to_string(time.stages) + ")";
    return text;
}

// "1.23k tokens/s, 2:03 left, 1:02:03 in all", as far as that is known.
std::string speed_text(const progress& report, const time_estimate& time) {
    std::string text;
    if (time.rate) text += rate_text(*time.rate, report.unit);
    if (time.left) text += ", " + duration_text(*time.left) + " left";
    if (time.all_left && time.stage < time.stages) text += ", " + duration_text(*time.all_left) + " in all";
    return text;
}

double share_of(const progress& report) {
    return report.total == 0 ? 0.0 : static_cast<double>(report.done) / static_cast<double>(report.total);
}

std::string line(const progress& report, const time_estimate& time, bool is_first, bool is_over) {
    std::string text = stage_text(report, time) + ": ";
    const std::string place = place_text(report), speed = speed_text(report, time);
    if (is_over) {
        text +=
            std::to_string(report.total) + " " + tessera::printable(report.unit) + " in " + duration_text(time.seconds);
        if (time.seconds >= 1) text += ", " + rate_text(static_cast<double>(report.total) / time.seconds, report.unit);
        return text + '\n';
    }
    if (is_first) {
        if (report.total > 0)
            text += (report.done > 0 ? std::to_string(report.done) + " of " : "") + std::to_string(report.total) + " " +
                    tessera::printable(report.unit);
        else
            return text + place + '\n';
        return text + '\n';
    }
    text += fixed(100 * share_of(report), 1) + " %";
    for (const std::string& more : {place, speed})
        if (!more.empty()) text += ", " + more;
    return text + '\n';
}

}  // namespace

std::string metric(double value) {
    constexpr std::array<std::string_view, 5> prefixes{"", "k", "M", "G", "T"};
    std::size_t p = 0;
    for (; value >= 999.5 && p + 1 < prefixes.size(); ++p) value /= 1000.0;
    return fixed(value, p == 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2) + " " + std::string(prefixes[p]);
}

std::string time_text(const tessera::app::planned_stage& stage) {
    return stage.done >= 1 ? "done" : duration_text(stage.seconds);
}

std::string rate_text(double rate, std::string_view unit) {
    std::string number = rate < 9.995 ? fixed(rate, rate < 0.1 ? 3 : 2) + ' ' : metric(rate);
    if (number.back() != ' ') number.erase(number.size() - 2, 1);  // "1.23 k" as "1.23k"
    while (number.back() == ' ') number.pop_back();
    return number + " " + tessera::printable(unit) + "/s";
}

std::string progress_report::plan(std::span<const tessera::app::planned_stage> stages) {
    estimator_.plan(stages);
    constexpr double worth_telling = 10;
    constexpr std::size_t most_listed = 6;
    const tessera::app::planned_stage all = tessera::app::all_of(stages);
    const bool is_for_people = style_ == progress_style::bar || style_ == progress_style::lines;
    if (std::exchange(is_foretold_, true) || !is_for_people || all.seconds < worth_telling) return {};
    std::string text = "estimated time: " + duration_text(all.seconds);
    for (std::size_t s = 0; s < stages.size() && stages.size() > 1 && stages.size() <= most_listed; ++s)
        text += (s == 0 ? " (" : ", ") + tessera::printable(stages[s].name) + " " + time_text(stages[s]) +
                (s + 1 == stages.size() ? ")" : "");
    if (all.memory > 0) text += ", peak memory " + metric(static_cast<double>(all.memory)) + "B";
    if (all.disk > 0) text += ", disk " + metric(static_cast<double>(all.disk)) + "B";
    return clear() + text + '\n';
}

std::string progress_report::at(double now, const progress& report) {
    const bool is_first = report.stage != stage_ || is_over_;
    const bool is_over = report.total > 0 && report.done >= report.total;
    if (is_first && is_over && report.stage == stage_) return {};  // the end is told once
    stage_ = report.stage;
    is_over_ = is_over;
    const time_estimate time = estimator_(now, report);
    const double pause = style_ == progress_style::bar ? 0.1 : style_ == progress_style::json ? 1.0 : 60.0;
    if (!is_first && !is_over && now - shown_ < pause) return {};
    shown_ = now;
    switch (style_) {
        case progress_style::bar: return bar(report, time);
        case progress_style::json: return json(report, time);
        case progress_style::lines: return line(report, time, is_first, is_over);
        default: return {};
    }
}

std::string progress_report::bar(const progress& report, const time_estimate& time) {
    constexpr std::size_t marks = 20;
    const double share = share_of(report);
    const auto filled = static_cast<std::size_t>(share * marks);
    std::string text = stage_text(report, time) + " [" + std::string(filled, '#') + std::string(marks - filled, '.') +
                       "] " + fixed(100.0 * share, 0) + " %";
    std::string place = place_text(report), speed = speed_text(report, time);
    if (!speed.empty()) speed = "  " + speed;
    if (!place.empty()) place = "  " + place;
    if (text.size() + place.size() + speed.size() >= columns_) {  // names go first
        tessera::progress without = report;
        without.name = {};
        place = report.number > 0 ? "  " + place_text(without) : "";
    }
    if (text.size() + place.size() + speed.size() >= columns_) place.clear();
    text += place + speed;
    if (text.size() >= columns_) text.resize(columns_ - 1);
    const std::size_t blanks = width_ > text.size() ? width_ - text.size() : 0;
    width_ = text.size();
    return '\r' + text + std::string(blanks, ' ');
}

std::string progress_report::json(const progress& report, const time_estimate& time) const {
    using value = nlohmann::ordered_json;
    const auto known = [](const std::optional<double>& number) { return number ? value(*number) : value(nullptr); };
    value object{{"version", progress_version},
                 {"stage", std::string(report.stage)},
                 {"unit", std::string(report.unit)},
                 {"done", report.done},
                 {"total", report.total},
                 {"seconds", time.seconds},
                 {"rate", known(time.rate)},
                 {"seconds_left", known(time.left)},
                 {"all_seconds_left", known(time.all_left)}};
    if (time.stages > 0) {
        object["stage_number"] = time.stage;
        object["stages"] = time.stages;
    }
    if (report.number > 0) {
        object["part"] = std::string(report.part);
        object["part_number"] = report.number;
        object["parts"] = report.parts;
    }
    if (!report.name.empty()) object["name"] = std::string(report.name);
    return tessera::json_text(object, tessera::json_characters::ascii) + '\n';
}

std::string progress_report::clear() {
    if (width_ == 0) return {};
    const std::string blanks(width_, ' ');
    width_ = 0;
    return '\r' + blanks + '\r';
}

}  // namespace cli
