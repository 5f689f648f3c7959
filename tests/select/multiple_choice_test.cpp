#include <cmath>
#include <cstddef>
#include <limits>
#include <optional>
#include <random>
#include <vector>

#include <doctest/doctest.h>

#include "tessera/select/multiple_choice.hpp"

using namespace tessera::select;

namespace {

using problem = std::vector<std::vector<priced>>;

/// The least value within the limit, by trying everything.
std::optional<double> brute_force(const problem& items, double limit, std::size_t first = 0) {
    if (limit < 0) return std::nullopt;
    if (first == items.size()) return 0.0;
    std::optional<double> best;
    for (const priced& option : items[first])
        if (const auto rest = brute_force(items, limit - option.weight, first + 1))
            if (const double value = option.value + *rest; !best || value < *best) best = value;
    return best;
}

/// Like tensors: options of 1 to 16 bits a weight whose damage falls about as 4^-bits, with luck of their own.
problem like_a_model(std::size_t items, std::size_t options, std::uint32_t seed) {
    std::mt19937 random(seed);
    std::uniform_real_distribution<double> bits(1.0, 9.0), luck(0.5, 1.5);
    std::lognormal_distribution<double> scale(0.0, 2.0);
    std::uniform_int_distribution<std::uint64_t> size(1, 4000);
    problem result(items);
    for (auto& item : result) {
        const auto weights = static_cast<double>(size(random)) * 4096.0;
        const double damage = scale(random) * 1e-3;
        for (std::size_t o = 0; o < options; ++o) {
            const double b = bits(random);
            item.push_back({std::floor(weights * b / 8.0 / 32.0) * 32.0, damage * std::pow(4.0, -b) * luck(random)});
        }
    }
    return result;
}

/// The best bound that any price per unit of weight gives: a different way to the relaxed solution.
double lagrangian_bound(const problem& items, double limit) {
    double low = 0.0, high = 1.0, best = 0.0;
    const auto at = [&](double price) {
        double sum = -price * limit, weight = 0.0;
        for (const auto& item : items) {
            const priced* least = &item[0];
            for (const priced& option : item)
                if (option.value + price * option.weight < least->value + price * least->weight) least = &option;
            sum += least->value + price * least->weight;
            weight += least->weight;
        }
        best = std::max(best, sum);
        return weight;
    };
    for (int step = 0; step < 200; ++step) {
        const double price = 0.5 * (low + high);
        (at(price) > limit ? low : high) = price;
    }
    return best;
}

void check_sums(const problem& items, const selection& got) {
    REQUIRE(got.picks.size() == items.size());
    double weight = 0.0, value = 0.0;
    for (std::size_t i = 0; i < items.size(); ++i) {
        weight += items[i].at(got.picks[i]).weight;
        value += items[i].at(got.picks[i]).value;
    }
    CHECK(weight == got.weight);
    CHECK(value == doctest::Approx(got.value).epsilon(1e-12));
}

double total(const problem& items, bool lightest) {
    double sum = 0.0;
    for (const auto& item : items) {
        double extreme = item[0].weight;
        for (const priced& option : item)
            extreme = lightest ? std::min(extreme, option.weight) : std::max(extreme, option.weight);
        sum += extreme;
    }
    return sum;
}

}  // namespace

TEST_CASE("small problems: the answer is the best there is, and its bound holds") {
    std::mt19937 random(1);
    int checked = 0, impossible = 0;
    for (std::uint32_t round = 0; round < 600; ++round) {
        CAPTURE(round);
        problem items;
        if (round % 2 == 0) {
            items = like_a_model(1 + round % 6, 1 + round % 5, round);
        } else {  // small whole numbers: many ties, nothing convex
            items.resize(1 + random() % 6);
            for (auto& item : items)
                for (std::size_t o = 0; o <= random() % 5; ++o)
                    item.push_back({static_cast<double>(random() % 20), static_cast<double>(random() % 20)});
        }
        const double least = total(items, true), most = total(items, false);
        const double limit =
            std::floor(least - 2.0 + (most - least + 4.0) * static_cast<double>(random() % 100) / 99.0);
        const auto wanted = brute_force(items, limit);
        const auto got = choose(items, limit, {.tolerance = 0.0});
        REQUIRE(got.has_value() == wanted.has_value());
        if (!got) {
            ++impossible;
            continue;
        }
        ++checked;
        check_sums(items, *got);
        CHECK(got->weight <= limit);
        CHECK(got->value == doctest::Approx(*wanted).epsilon(1e-12));
        CHECK(got->bound <= *wanted * (1 + 1e-12));
        CHECK(got->bound >= *wanted * (1 - 1e-9));

        const auto quick = choose(items, limit, {.states = 1});  // hardly any search: worse, but its bound still holds
        REQUIRE(quick.has_value());
        CHECK(quick->weight <= limit);
        CHECK(quick->bound <= *wanted * (1 + 1e-12));
    }
    CHECK(checked > 300);
    CHECK(impossible > 5);
}

TEST_CASE("a thousand tensors in 28 formats: within a thousandth of the Lagrangian bound, with little work") {
    for (std::uint32_t seed = 0; seed < 4; ++seed) {
        const problem items = like_a_model(1000, 28, 100 + seed);
        const double least = total(items, true), most = total(items, false);
        for (const double share : {0.01, 0.2, 0.5, 0.9}) {
            CAPTURE(share);
            const double limit = std::floor(least + (most - least) * share);
            const auto got = choose(items, limit);
            REQUIRE(got.has_value());
            check_sums(items, *got);
            CHECK(got->weight <= limit);
            CHECK(got->weight > limit * 0.999);
            CHECK(got->value <= lagrangian_bound(items, limit) * 1.001);
            CHECK(got->value <= got->bound * 1.0001);
            CHECK(got->states_tried < 100'000);  // the most is 15,000
        }
    }
}

TEST_CASE("few tensors, where the relaxed problem is far off: still proven, and the same every time") {
    for (std::uint32_t seed = 0; seed < 30; ++seed) {
        const problem items = like_a_model(22, 28, 1000 + seed);
        const double limit = std::floor(total(items, true) * 1.7);
        const auto got = choose(items, limit);
        REQUIRE(got.has_value());
        CHECK(got->weight <= limit);
        CHECK(got->value <= got->bound * 1.0001);
        CHECK(choose(items, limit)->picks == got->picks);
    }
}

TEST_CASE("the ends: no items, room for everything, room for nothing") {
    CHECK(choose(problem{}, 0.0)->picks.empty());
    const problem items{{{1, 5}, {2, 3}, {2, 4}, {3, 3}}, {{0, 0}}};
    CHECK(choose(items, 100.0)->picks == std::vector<std::size_t>{1, 0});  // no byte more than what helps
    CHECK(choose(items, 1.0)->picks == std::vector<std::size_t>{0, 0});
    CHECK_FALSE(choose(items, 0.5).has_value());
}
