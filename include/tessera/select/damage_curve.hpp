// Damage as a function of error, through a few measured points.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>
#include <vector>

namespace tessera::select {

/// A measured damage: mean KL divergence in nats, with its standard error, at a relative error of a tensor.
struct damage_point {
    double relative_error = 0.0;
    double damage = 0.0;
    double standard_error = 0.0;
};

/// The damage a tensor does at any relative error. Small errors cost their square (the divergence has its minimum where
/// there is none); between the points damage is a power of the error, beyond the last one it goes on like the last
/// stretch, within powers 2 to 4. Never falls.
class damage_curve {
public:
    explicit damage_curve(std::vector<damage_point> points) : points_(std::move(points)) {
        std::erase_if(points_, [](const damage_point& p) { return !(p.relative_error > 0.0 && p.damage > 0.0); });
        std::ranges::sort(points_, {}, &damage_point::relative_error);
        for (std::size_t i = 1; i < points_.size(); ++i)
            points_[i].damage = std::max(points_[i].damage, points_[i - 1].damage);
    }

    [[nodiscard]] double operator()(double relative_error) const noexcept {
        if (points_.empty() || !(relative_error > 0.0)) return 0.0;
        const damage_point& first = points_.front();
        const damage_point& last = points_.back();
        if (relative_error <= first.relative_error) return at(first, 2.0, relative_error);
        if (relative_error >= last.relative_error) {
            const double power = points_.size() < 2 ? 2.0 : std::clamp(slope(points_.size() - 1), 2.0, 4.0);
            return at(last, power, relative_error);
        }
        std::size_t above = 1;
        while (points_[above].relative_error < relative_error) ++above;
        return at(points_[above - 1], slope(above), relative_error);
    }

    /// Nats per unit of squared relative error where errors are small, with its standard error.
    [[nodiscard]] std::pair<double, double> sensitivity() const noexcept {
        if (points_.empty()) return {0.0, 0.0};
        const auto& [error, damage, standard_error] = points_.front();
        return {damage / (error * error), standard_error / (error * error)};
    }

    /// The points that count, by error; a curve through these is the same.
    [[nodiscard]] const std::vector<damage_point>& points() const noexcept { return points_; }

private:
    [[nodiscard]] static double at(const damage_point& point, double power, double error) noexcept {
        return point.damage * std::pow(error / point.relative_error, power);
    }
    // The power that leads from a point to the i-th.
    [[nodiscard]] double slope(std::size_t i) const noexcept {
        const damage_point &a = points_[i - 1], &b = points_[i];
        return a.relative_error == b.relative_error
                   ? 0.0
                   : std::log(b.damage / a.damage) / std::log(b.relative_error / a.relative_error);
    }

    std::vector<damage_point> points_;
};

}  // namespace tessera::select
