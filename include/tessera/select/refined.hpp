// A plan improved by measuring it: tensors trade bytes as long as the model gets better.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "tessera/core/tensor_info.hpp"
#include "tessera/select/budget.hpp"
#include "tessera/select/plan.hpp"
#include "tessera/select/predict.hpp"
#include "tessera/select/strategies.hpp"

namespace tessera::select {

/// Measures the divergence of plans on growing samples: meter(plan, samples) returns that of every token of the first
/// `samples` samples, in nats; meter.samples() is how many there are.
template <class M>
concept meter_of_plans = requires(M& meter, const plan& candidate, std::size_t samples) {
    { meter(candidate, samples) } -> std::convertible_to<std::vector<float>>;
    { meter.samples() } -> std::convertible_to<std::size_t>;
};

struct refine_options {
    std::size_t first_samples = 2;  ///< to begin with; doubled as long as the outcome is open
    std::size_t trials = 64;        ///< swaps that are measured, at most
    std::size_t misses = 16;        ///< after so many swaps in a row that did not help it is over
    double significance = 2.0;      ///< standard errors that a difference must have
};

/// What became of the swaps.
struct refine_report {
    std::size_t tried = 0, taken = 0;
};

/// Starts from the budget's plan. Then pairs of its tensors swap bytes, one getting its next larger format and another
/// its next smaller one, those with the least predicted loss first. A swap is kept when the measured divergence
/// falls significantly, token by token on the same text; samples grow while that is open. Never larger than the
/// budget's plan or its limit.
template <meter_of_plans Meter>
struct refined {
    budget start;
    Meter* meter;
    refine_options options = {};
    refine_report* report = nullptr;  ///< filled in, where there is one

    void settle(plan& draft, std::span<const type_layout> available) const {
        start.settle(draft, available);
        refine_report counts;
        std::vector<std::pair<std::string, std::string>> refused;
        std::size_t misses = 0;
        while (counts.tried < options.trials && misses < options.misses) {
            const std::optional<swap> next = best_swap(draft, available, refused);
            if (!next) break;
            ++counts.tried;
            plan candidate = draft;
            apply(candidate, *next, available);
            if (is_better(draft, candidate)) {
                draft = std::move(candidate);
                draft.gap.reset();
                refused.clear();
                misses = 0;
                ++counts.taken;
            } else {
                refused.push_back(key(draft, *next));
                ++misses;
            }
        }
        if (report != nullptr) *report = counts;
    }

private:
    struct swap {
        std::size_t up, down;  // positions in the plan
        type_layout larger, smaller;
        double predicted;  // change of the damage
    };
    struct step {
        type_layout layout;
        std::uint64_t bytes;
        double damage;
    };

    [[nodiscard]] static std::pair<std::string, std::string> key(const plan& p, const swap& s) {
        return {p.choices[s.up].target.name, p.choices[s.down].target.name};
    }

    // The forward pass does not reach such a tensor: measuring would show no loss, and give all its bytes to others.
    [[nodiscard]] bool is_unreached(const choice& made) const {
        const tensor_damage* entry = start.damage.find(made.target.name);
        return entry != nullptr && !entry->priced_as.empty();
    }

    [[nodiscard]] std::uint64_t size_of(const tensor_info& info) const {
        return detail::padded_bytes(info, start.alignment);
    }

    // The formats of a tensor that are worth their bytes, by size: no other is smaller and does less damage.
    [[nodiscard]] std::vector<step> steps(const plan& draft, const choice& made,
                                          std::span<const type_layout> available) const {
        tensor_info stored = made.target;
        stored.layout = made.source;
        std::vector<step> all;
        for (const type_layout& layout : start.choices.of(stored, available)) {
            choice changed = made;
            changed.target.layout = layout;
            predict_damage(changed, start.damage, is_tied(draft));
            if (changed.damage) all.push_back({layout, size_of(changed.target), *changed.damage});
        }
        std::ranges::sort(all, [](const step& a, const step& b) {
            return a.bytes != b.bytes ? a.bytes < b.bytes : a.damage < b.damage;
        });
        std::vector<step> worth;
        for (const step& s : all)
            if (worth.empty() || s.damage < worth.back().damage) worth.push_back(s);
        return worth;
    }

    [[nodiscard]] std::optional<swap> best_swap(const plan& draft, std::span<const type_layout> available,
                                                const std::vector<std::pair<std::string, std::string>>& refused) const {
        struct move {
            std::size_t place;
            step to;
            std::uint64_t bytes;  // by which it grows or shrinks
            double damage;        // by which that falls or rises
        };
        std::vector<move> ups, downs;
        std::uint64_t total = 0;
        for (std::size_t c = 0; c < draft.choices.size(); ++c) {
            const choice& made = draft.choices[c];
            const std::uint64_t bytes = size_of(made.target);
            total += bytes;
            if (made.why != reason::budget || !made.damage || is_unreached(made)) continue;
            const std::vector<step> all = steps(draft, made, available);
            const auto larger = std::ranges::find_if(all, [&](const step& s) { return s.bytes > bytes; });
            if (larger != all.end()) ups.push_back({c, *larger, larger->bytes - bytes, *made.damage - larger->damage});
            const auto end = std::ranges::find_if(all, [&](const step& s) { return s.bytes >= bytes; });
            if (end != all.begin()) downs.push_back({c, end[-1], bytes - end[-1].bytes, end[-1].damage - *made.damage});
        }
        std::uint64_t limit = total;
        if (const auto* size = std::get_if<at_most_bytes>(&start.limit))
            limit = std::max(limit, size->bytes - std::min(size->bytes, size->header));
        std::optional<swap> best;
        for (const move& up : ups)
            for (const move& down : downs) {
                const double predicted = down.damage - up.damage;
                if (up.place == down.place || total + up.bytes > limit + down.bytes) continue;
                if (best && predicted >= best->predicted) continue;
                const swap found{up.place, down.place, up.to.layout, down.to.layout, predicted};
                if (std::ranges::find(refused, key(draft, found)) == refused.end()) best = found;
            }
        return best;
    }

    void apply(plan& draft, const swap& s, std::span<const type_layout> available) const {
        for (const auto& [place, layout] : {std::pair{s.up, s.larger}, std::pair{s.down, s.smaller}}) {
            choice& made = draft.choices[place];
            select::settle(made, layout, reason::budget, available);
            predict_damage(made, start.damage, is_tied(draft));
        }
    }

    [[nodiscard]] bool is_better(const plan& draft, const plan& candidate) const {
        const std::size_t most = meter->samples();
        for (std::size_t samples = std::max<std::size_t>(1, options.first_samples);; samples *= 2) {
            samples = std::min(samples, most);
            const std::vector<float> before = (*meter)(draft, samples), after = (*meter)(candidate, samples);
            double sum = 0, squares = 0;
            for (std::size_t t = 0; t < before.size(); ++t) {
                const double change = double{after[t]} - double{before[t]};
                sum += change;
                squares += change * change;
            }
            const auto n = static_cast<double>(before.size());
            const double error = std::sqrt(std::max(0.0, squares / n - sum / n * (sum / n)) / std::max(1.0, n - 1.0));
            if (std::abs(sum / n) > options.significance * error || samples == most)
                return sum / n < -options.significance * error;
        }
    }
};

}  // namespace tessera::select
