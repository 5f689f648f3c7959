// The engines that the built-in formats need, and the sentence about it.
#include <array>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "tessera/format.hpp"

using namespace tessera;

namespace {

struct unknown_format {
    static constexpr std::string_view name = "mine_8";
    static constexpr type_id type = type_id::first_private;
    static constexpr std::size_t block_size = 1;
    using block = std::uint8_t;
    static void decode(const block& in, std::span<float, 1> x) noexcept { x[0] = in; }
    static void encode(std::span<const float, 1> x, block& out) noexcept { out = static_cast<block>(x[0]); }
};
using formats = builtin_formats::extend<unknown_format>;

std::vector<tensor_info> tensors_in(std::initializer_list<std::string_view> names) {
    std::vector<tensor_info> tensors;
    for (const std::string_view name : names) tensors.emplace_back().layout = *formats::find(name);
    return tensors;
}

std::string needs(std::initializer_list<std::string_view> names) { return formats::needs_of(tensors_in(names)).text(); }

// Months since the year 0.
int months(std::string_view month) {
    constexpr std::array<std::string_view, 12> names{"January",   "February", "March",    "April",
                                                     "May",       "June",     "July",     "August",
                                                     "September", "October",  "November", "December"};
    const std::size_t space = month.find(' ');
    for (std::size_t m = 0; m < names.size(); ++m)
        if (month.substr(0, space) == names[m])
            return 12 * std::stoi(std::string(month.substr(space + 1))) + static_cast<int>(m);
    return -1;
}

}  // namespace

TEST_CASE("every built-in format says which builds of llama.cpp run it") {
    std::map<std::uint32_t, int> dates{{portable_build.number, months(portable_build.month)}};
    builtin_formats::for_each([&]<class F>(format_tag<F>) {
        CAPTURE(F::name);
        CHECK(engine_format<F>);
        const engines runs_on = engines_of<F>;
        REQUIRE(runs_on.cpu.exists());
        for (const back_end& on : back_ends) {
            const engine_build first = runs_on.*on.build;
            if (!first.exists()) continue;
            CHECK(first.number >= runs_on.cpu.number);  // what no CPU reads, nothing runs
            REQUIRE(months(first.month) > 0);
            CHECK(dates.try_emplace(first.number, months(first.month)).first->second == months(first.month));
        }
    });
    int last = 0;
    for (const auto& entry : dates) {  // later builds are from later months
        CAPTURE(entry.first);
        CHECK(entry.second >= last);
        last = entry.second;
    }
}

TEST_CASE("portable formats are those of 16 bits, the legacy, K and I formats") {
    std::string names;
    for (const type_layout& layout : formats::portable()) names += std::string(layout.name) + ' ';
    CHECK(names ==
          "F32 F16 BF16 Q8_0 Q6_K Q5_1 Q5_0 Q5_K Q4_1 Q4_0 Q4_K IQ4_NL IQ4_XS Q3_K IQ3_S IQ3_XXS Q2_K IQ2_S IQ2_XS "
          "IQ2_XXS IQ1_M IQ1_S ");
    const engines no_cuda{
        .cpu = {1996, "January 2024"}, .metal = {1996, "January 2024"}, .vulkan = {1996, "January 2024"}};
    CHECK_FALSE(is_portable(no_cuda));
    engines late = all_engines;
    late.metal = {portable_build.number + 1, "May 2025"};
    CHECK_FALSE(is_portable(late));
    late.metal = portable_build;
    CHECK(is_portable(late));
    late.sycl = {};
    CHECK(is_portable(late));
}

TEST_CASE("one sentence tells what several formats need together") {
    CHECK(needs({"F32", "Q4_K", "Q6_K", "Q6_K"}) == "llama.cpp from b1996 (January 2024)");
    CHECK(needs({"IQ1_S", "Q4_K", "IQ4_XS"}) ==
          "llama.cpp from b2404 (March 2024), on SYCL from b2620 (April 2024), on Vulkan from b4720 (February 2025)");
    CHECK(needs({"MXFP4"}) == "llama.cpp from b6096 (August 2025), on SYCL from b7406 (December 2025)");
    // A back end that lacks a format is no longer said to run the others.
    CHECK(needs({"IQ1_S", "TQ1_0", "TQ2_0"}) ==
          "llama.cpp from b3672 (September 2024); no CUDA or SYCL for TQ2_0; no CUDA, "
          "Metal, Vulkan or SYCL for TQ1_0");
    CHECK(needs({"NVFP4"}).ends_with("; no Metal for NVFP4"));
    CHECK(needs({"Q4_K", "mine_8"}) == "a reader of your own: llama.cpp does not know mine_8");
    CHECK(needs({}) == "any llama.cpp");

    const engine_needs several = formats::needs_of(tensors_in({"Q4_K", "TQ2_0", "mine_8"}));
    CHECK(several.not_portable() == std::vector<std::string_view>{"TQ2_0", "mine_8"});
    CHECK_FALSE(several.build(back_ends[1]).exists());
    CHECK(formats::needs_of(tensors_in({"Q4_K", "BF16"})).not_portable().empty());
    CHECK(formats::needs_of(tensors_in({"Q4_K", "BF16"})).build(back_ends[3]).number == 5249);

    tensor_info table = tensors_in({"F32"})[0];  // looked up, never multiplied by
    table.layout = *find_type(type_id::i32);
    CHECK(builtin_formats::needs_of(std::span(&table, 1)).text() == "any llama.cpp");
}
