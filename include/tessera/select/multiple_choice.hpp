// One option for every item, so that the values add up to the least and the weights stay within a limit.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

namespace tessera::select {

/// An option: what it takes of the limit, and the value to be minimised. Both finite, not negative.
struct priced {
    double weight = 0.0;
    double value = 0.0;
};

struct search_options {
    double tolerance = 1e-5;      ///< relative distance from the optimum to be content with
    std::size_t states = 20'000;  ///< partial choices kept at a time: memory and time, at most
};

/// One option per item.
struct selection {
    std::vector<std::size_t> picks;  ///< for each item the position of its option
    double weight = 0.0;
    double value = 0.0;
    double bound = 0.0;            ///< proven: no choice within the limit has a smaller value
    std::size_t states_tried = 0;  ///< partial choices looked at; what the search costs
};

namespace detail {

/// A multiple-choice knapsack. The relaxed problem, in which an item may be a mixture of two options, is solved exactly
/// by taking the steps along all items' convex hulls by falling efficiency; it is integral but for one item. From
/// there, dynamic programming over complete selections opens one item after another, those first whose hulls bend
/// nearest to the last efficiency taken. A state is dropped when even the best efficiency of the items not opened yet
/// cannot bring it below what is known; few items are ever opened. Source: Pisinger, "A minimal algorithm for the
/// multiple-choice knapsack problem" (1995).
class choice_search {
public:
    choice_search(std::span<const std::vector<priced>> items, double limit, const search_options& options)
        : limit_(limit), options_(options) {
        items_.reserve(items.size());
        for (const std::vector<priced>& item : items) items_.push_back(frontier(item));
    }

    std::optional<selection> run() {
        if (!relax()) return std::nullopt;
        if (relaxed_ < best_value_) open_items();
        return result();
    }

private:
    struct candidate {
        double weight, value;
        std::size_t option;
    };
    struct item {
        std::vector<candidate> candidates;  // rising weight, falling value
        std::vector<std::size_t> hull;      // positions in candidates
        std::size_t vertex = 0;             // of the hull: the relaxed solution
        std::size_t chosen = 0;             // of candidates: the best known solution

        [[nodiscard]] const candidate& base() const { return candidates[hull[vertex]]; }
        // Value saved per weight by the step to hull vertex v.
        [[nodiscard]] double efficiency(std::size_t v) const {
            const candidate& a = candidates[hull[v - 1]];
            const candidate& b = candidates[hull[v]];
            return (a.value - b.value) / (b.weight - a.weight);
        }
        [[nodiscard]] double next() const { return vertex + 1 < hull.size() ? efficiency(vertex + 1) : 0.0; }
        [[nodiscard]] double previous() const { return vertex > 0 ? efficiency(vertex) : infinity; }
    };
    struct state {
        double weight, value;
        std::size_t node;
        std::size_t position;  // candidate of the item opened last
    };
    struct node {
        std::size_t parent, item, position;
    };
    static constexpr double infinity = std::numeric_limits<double>::infinity();
    static constexpr std::size_t none = static_cast<std::size_t>(-1);

    // The options that no other beats in both respects, and their lower convex hull.
    static item frontier(std::span<const priced> options) {
        std::vector<candidate> sorted;
        for (std::size_t o = 0; o < options.size(); ++o) sorted.push_back({options[o].weight, options[o].value, o});
        std::sort(sorted.begin(), sorted.end(), [](const candidate& a, const candidate& b) {
            return std::tie(a.weight, a.value, a.option) < std::tie(b.weight, b.value, b.option);
        });
        item result;
        for (const candidate& c : sorted)
            if (result.candidates.empty() || c.value < result.candidates.back().value) result.candidates.push_back(c);
        for (std::size_t c = 0; c < result.candidates.size(); ++c) {
            const auto is_above = [&](std::size_t a, std::size_t b) {  // b is not below the line from a to c
                const candidate &p = result.candidates[a], &q = result.candidates[b], &r = result.candidates[c];
                return (p.value - q.value) * (r.weight - p.weight) <= (p.value - r.value) * (q.weight - p.weight);
            };
            while (result.hull.size() >= 2 && is_above(result.hull[result.hull.size() - 2], result.hull.back()))
                result.hull.pop_back();
            result.hull.push_back(c);
        }
        return result;
    }

    // Solves the relaxed problem and rounds it to a first solution. False when nothing is within the limit.
    bool relax() {
        struct step {
            double efficiency;
            std::size_t item, vertex;
        };
        std::vector<step> steps;
        for (std::size_t i = 0; i < items_.size(); ++i) {
            weight_ += items_[i].base().weight;
            value_ += items_[i].base().value;
            for (std::size_t v = 1; v < items_[i].hull.size(); ++v) steps.push_back({items_[i].efficiency(v), i, v});
        }
        if (weight_ > limit_) return false;
        std::sort(steps.begin(), steps.end(), [](const step& a, const step& b) {
            if (a.efficiency != b.efficiency) return a.efficiency > b.efficiency;
            return std::tie(a.item, a.vertex) < std::tie(b.item, b.vertex);
        });

        std::size_t s = 0;
        for (; s < steps.size(); ++s) {
            item& of = items_[steps[s].item];
            const candidate& to = of.candidates[of.hull[steps[s].vertex]];
            if (weight_ + to.weight - of.base().weight > limit_) break;
            weight_ += to.weight - of.base().weight;
            value_ += to.value - of.base().value;
            of.vertex = steps[s].vertex;
        }
        efficiency_ = s < steps.size() ? steps[s].efficiency : 0.0;
        relaxed_ = s < steps.size() ? value_ - (limit_ - weight_) * efficiency_ : value_;

        double weight = weight_;
        best_value_ = value_;
        for (item& i : items_) i.chosen = i.hull[i.vertex];
        for (; s < steps.size(); ++s) {  // whatever still fits, best first; vertices may be skipped
            item& of = items_[steps[s].item];
            const candidate& to = of.candidates[of.hull[steps[s].vertex]];
            const candidate& from = of.candidates[of.chosen];
            if (weight + to.weight - from.weight > limit_) continue;
            weight += to.weight - from.weight;
            best_value_ += to.value - from.value;
            of.chosen = of.hull[steps[s].vertex];
        }
        return true;
    }

    [[nodiscard]] bool is_hopeless(double bound) const {
        return bound >= best_value_ - options_.tolerance * best_value_;
    }

    void drop(double bound) { dropped_ = std::min(dropped_, bound); }

    // Of each item the candidates that could still be part of a better solution; items with one such are settled.
    [[nodiscard]] std::vector<std::size_t> open_order(std::vector<std::vector<std::size_t>>& useful) {
        std::vector<std::pair<double, std::size_t>> distance;
        for (std::size_t i = 0; i < items_.size(); ++i) {
            const candidate& base = items_[i].base();
            for (std::size_t c = 0; c < items_[i].candidates.size(); ++c) {
                const candidate& other = items_[i].candidates[c];
                const double bound = relaxed_ + (other.value - base.value) + (other.weight - base.weight) * efficiency_;
                if (c == items_[i].hull[items_[i].vertex] || !is_hopeless(bound))
                    useful[i].push_back(c);
                else
                    drop(bound);
            }
            if (useful[i].size() > 1)
                distance.emplace_back(-std::max(items_[i].next() / efficiency_, efficiency_ / items_[i].previous()), i);
        }
        std::sort(distance.begin(), distance.end());
        std::vector<std::size_t> order;
        for (const auto& [unused, i] : distance) order.push_back(i);
        return order;
    }

    void open_items() {
        std::vector<std::vector<std::size_t>> useful(items_.size());
        const std::vector<std::size_t> order = open_order(useful);
        // The best that items not opened yet can do for a unit of weight: saved by taking one more, lost by one less.
        std::vector<double> gain(order.size() + 1, 0.0), loss(order.size() + 1, infinity);
        for (std::size_t k = order.size(); k-- > 0;) {
            gain[k] = std::max(gain[k + 1], items_[order[k]].next());
            loss[k] = std::min(loss[k + 1], items_[order[k]].previous());
        }

        std::vector<state> states{{weight_, value_, none, none}}, grown;
        for (std::size_t k = 0; k < order.size() && !states.empty(); ++k) {
            const item& opened = items_[order[k]];
            const auto bound = [&](const state& s) {
                if (s.weight <= limit_) return s.value - (limit_ - s.weight) * gain[k + 1];
                return s.value + (s.weight - limit_) * loss[k + 1];
            };
            grown.clear();
            for (const state& s : states)
                for (const std::size_t c : useful[order[k]]) {
                    ++tried_;
                    state next = s;
                    next.weight += opened.candidates[c].weight - opened.base().weight;
                    next.value += opened.candidates[c].value - opened.base().value;
                    next.position = c;
                    if (next.weight <= limit_ && next.value < best_value_) remember(next, order[k]);
                    if (const double b = bound(next); is_hopeless(b))
                        drop(b);
                    else
                        grown.push_back(next);
                }
            thin_out(grown, bound);
            for (state& s : grown)
                if (s.position != opened.hull[opened.vertex]) {
                    nodes_.push_back({s.node, order[k], s.position});
                    s.node = nodes_.size() - 1;
                }
            std::swap(states, grown);
        }
        if (best_node_ == none) return;
        for (item& i : items_) i.chosen = i.hull[i.vertex];
        for (std::size_t n = best_node_; n != none; n = nodes_[n].parent)
            items_[nodes_[n].item].chosen = nodes_[n].position;
    }

    void remember(const state& s, std::size_t opened) {
        best_value_ = s.value;
        nodes_.push_back({s.node, opened, s.position});
        best_node_ = nodes_.size() - 1;
    }

    // Leaves the states that no other beats in both respects, and of too many those with the best bounds.
    template <class Bound>
    void thin_out(std::vector<state>& states, const Bound& bound) {
        std::sort(states.begin(), states.end(), [](const state& a, const state& b) {
            return std::tie(a.weight, a.value, a.node, a.position) < std::tie(b.weight, b.value, b.node, b.position);
        });
        std::size_t kept = 0;
        for (const state& s : states)
            if (kept == 0 || s.value < states[kept - 1].value) states[kept++] = s;
        states.erase(states.begin() + static_cast<std::ptrdiff_t>(kept), states.end());
        if (states.size() <= options_.states) return;
        const auto cut = states.begin() + static_cast<std::ptrdiff_t>(options_.states);
        std::stable_sort(states.begin(), states.end(),
                         [&](const state& a, const state& b) { return bound(a) < bound(b); });
        drop(bound(*cut));
        states.erase(cut, states.end());
    }

    [[nodiscard]] selection result() const {
        selection best;
        for (const item& i : items_) {
            const candidate& c = i.candidates[i.chosen];
            best.picks.push_back(c.option);
            best.weight += c.weight;
            best.value += c.value;
        }
        best.bound = std::min(best.value, std::max(relaxed_, dropped_));
        best.states_tried = tried_;
        return best;
    }

    double limit_;
    search_options options_;
    std::vector<item> items_;
    double weight_ = 0.0, value_ = 0.0;  // of the relaxed solution, its mixed item rounded down
    double efficiency_ = 0.0;            // of its last step
    double relaxed_ = 0.0;               // its value: a bound of every other
    double best_value_ = 0.0;
    double dropped_ = infinity;  // the least bound of what was not looked at
    std::vector<node> nodes_;
    std::size_t best_node_ = none;
    std::size_t tried_ = 0;
};

}  // namespace detail

/// The selection of least value whose weight is at most `limit`, or within the tolerance of it, with proof; nothing
/// when even the lightest options weigh more. Every item has at least one option. The answer depends on the arguments
/// only. Weights are added as they are: whole numbers below 2^53 stay exact.
[[nodiscard]] inline std::optional<selection> choose(std::span<const std::vector<priced>> items, double limit,
                                                     const search_options& options = {}) {
    return detail::choice_search(items, limit, options).run();
}

}  // namespace tessera::select
