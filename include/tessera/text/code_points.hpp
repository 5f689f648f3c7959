// Sets of Unicode code points: general categories, white space, ranges.
#pragma once

#include <utf8proc.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string_view>
#include <vector>

namespace tessera::text {

/// The last code point of Unicode.
inline constexpr std::uint32_t last_code_point = 0x10ffff;

/// Code points from `first` to `last`, both included.
struct code_point_range {
    std::uint32_t first;
    std::uint32_t last;

    friend bool operator==(const code_point_range&, const code_point_range&) = default;
};

/// A set of code points as ascending ranges that do not touch.
class code_point_set {
public:
    void add(code_point_range range) {
        ranges_.push_back(range);
        join();
    }
    void add(const code_point_set& other) {
        ranges_.insert(ranges_.end(), other.ranges_.begin(), other.ranges_.end());
        join();
    }
    /// Everything that is not in the set.
    [[nodiscard]] code_point_set complement() const {
        code_point_set out;
        std::uint32_t next = 0;
        for (const code_point_range& range : ranges_) {
            if (range.first > next) out.ranges_.push_back({next, range.first - 1});
            next = range.last + 1;
        }
        if (next <= last_code_point) out.ranges_.push_back({next, last_code_point});
        return out;
    }

    [[nodiscard]] bool contains(std::uint32_t code_point) const noexcept {
        const auto after = std::upper_bound(ranges_.begin(), ranges_.end(), code_point,
                                            [](std::uint32_t c, const code_point_range& r) { return c < r.first; });
        return after != ranges_.begin() && code_point <= std::prev(after)->last;
    }
    [[nodiscard]] const std::vector<code_point_range>& ranges() const noexcept { return ranges_; }

    friend bool operator==(const code_point_set&, const code_point_set&) = default;

    /// All code points whose general category begins so: "L" are all letters, "Lu" those in upper case. Empty when no
    /// category does.
    [[nodiscard]] static code_point_set category(std::string_view prefix);

    /// All characters of a script, of which Han is known; empty for others.
    [[nodiscard]] static code_point_set script(std::string_view name) {
        code_point_set out;
        if (name == "Han")
            out.ranges_ = {{0x2e80, 0x2e99},   {0x2e9b, 0x2ef3},   {0x2f00, 0x2fd5},   {0x3005, 0x3005},
                           {0x3007, 0x3007},   {0x3021, 0x3029},   {0x3038, 0x303b},   {0x3400, 0x4dbf},
                           {0x4e00, 0x9fff},   {0xf900, 0xfa6d},   {0xfa70, 0xfad9},   {0x16fe2, 0x16fe3},
                           {0x16ff0, 0x16ff1}, {0x20000, 0x2a6df}, {0x2a700, 0x2b739}, {0x2b740, 0x2b81d},
                           {0x2b820, 0x2cea1}, {0x2ceb0, 0x2ebe0}, {0x2ebf0, 0x2ee5d}, {0x2f800, 0x2fa1d},
                           {0x30000, 0x3134a}, {0x31350, 0x323af}};
        return out;
    }

    /// What Unicode calls white space.
    [[nodiscard]] static code_point_set white_space() {
        code_point_set out;
        out.ranges_ = {{0x09, 0x0d},     {0x20, 0x20},     {0x85, 0x85},     {0xa0, 0xa0},     {0x1680, 0x1680},
                       {0x2000, 0x200a}, {0x2028, 0x2029}, {0x202f, 0x202f}, {0x205f, 0x205f}, {0x3000, 0x3000}};
        return out;
    }

private:
    void join() {
        std::sort(ranges_.begin(), ranges_.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
        std::size_t kept = 0;
        for (const code_point_range& next : ranges_) {
            if (kept > 0 && next.first <= ranges_[kept - 1].last + 1)
                ranges_[kept - 1].last = std::max(ranges_[kept - 1].last, next.last);
            else
                ranges_[kept++] = next;
        }
        ranges_.resize(kept);
    }

    std::vector<code_point_range> ranges_;
};

namespace detail {

struct category_run {
    code_point_range range;
    std::string_view category;  // two letters
};

// All of Unicode as runs of one category each, taken from the tables of utf8proc once (some milliseconds).
inline const std::vector<category_run>& category_runs() {
    static const std::vector<category_run> runs = [] {
        std::vector<category_run> found;
        for (std::uint32_t c = 0; c <= last_code_point; ++c) {
            const std::string_view category = utf8proc_category_string(static_cast<utf8proc_int32_t>(c));
            if (!found.empty() && found.back().category == category)
                found.back().range.last = c;
            else
                found.push_back({{c, c}, category});
        }
        return found;
    }();
    return runs;
}

}  // namespace detail

inline code_point_set code_point_set::category(std::string_view prefix) {
    code_point_set out;
    for (const auto& [range, category] : detail::category_runs())
        if (category.starts_with(prefix)) out.ranges_.push_back(range);
    out.join();
    return out;
}

}  // namespace tessera::text
