// The facts in a format's struct reach all that chooses formats, with no other place to name it.
#include <algorithm>
#include <cctype>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "support/own_formats.hpp"
#include "support/support.hpp"
#include "tessera/format/builtin.hpp"
#include "tessera/select/menu.hpp"
#include "tessera/select/standard_mix.hpp"
#include "tessera/select/strategies.hpp"

using namespace tessera;

namespace {

/// A format with all the facts there are.
struct newcomer : support::own_pairs {
    static constexpr std::string_view name = "Q2_NEW";
    static constexpr type_id type = support::own_id(7);
    static constexpr engines runs_on = all_engines;
    static constexpr stock_facts stock{
        .file_type = 99, .is_mix = true, .embedding = type_id::q8_0, .needs_importances = true};
    static constexpr bool is_fallback = true;
};
/// One that says nothing.
struct silent : support::own_nibbles {
    static constexpr std::string_view name = "silent";
};
using formats = builtin_formats::extend<newcomer, silent>;

tensor_info matrix(std::string name, std::uint64_t columns) {
    return {.name = std::move(name), .dims = {columns, 64, 1, 1}, .rank = 2, .layout = *find_type(type_id::bf16)};
}

bool has_word(std::string_view text, std::string_view word) {
    const auto is_part = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; };
    for (std::size_t at = text.find(word); at != std::string_view::npos; at = text.find(word, at + 1)) {
        const std::size_t end = at + word.size();
        if ((at == 0 || !is_part(text[at - 1])) && (end == text.size() || !is_part(text[end]))) return true;
    }
    return false;
}

}  // namespace

TEST_CASE("a format of a list is found, dispatched to, named, offered and chosen by its facts alone") {
    const type_layout& layout = *formats::find("q2_new");
    CHECK(layout.id == newcomer::type);
    CHECK(layout.block_bytes == sizeof(newcomer::block));
    CHECK(layout.stock.file_type == 99);
    CHECK(formats::dispatch(layout, []<class F>(format_tag<F>) { return F::name; }) == "Q2_NEW");
    CHECK(has_word(formats::names(), "Q2_NEW"));
    const auto named = [](std::span<const type_layout> layouts) {
        return std::ranges::any_of(layouts, [](const type_layout& l) { return l.name == "Q2_NEW"; });
    };
    CHECK(named(formats::portable()));
    CHECK(named(formats::fallbacks::layouts));
    CHECK(named(select::parse_menu<formats>("portable").formats));
    CHECK(named(select::parse_menu<formats>("Q2_NEW").formats));

    const select::mix mix = select::find_mix("Q2_NEW", formats::layouts).value();
    CHECK(mix.file_type == 99);
    const std::vector<tensor_info> tensors{matrix("token_embd.weight", 64), matrix("output.weight", 256),
                                           matrix("blk.0.ffn_up.weight", 64)};
    const select::mix_model model{
        .architecture = "llama", .layers = 1, .columns = select::mix_model::importances::present};
    const select::plan plan = select::make_plan(tensors, select::standard_mix(mix, model, tensors, formats::layouts),
                                                formats::fallbacks::layouts);
    CHECK(plan.choices[0].target.layout.name == "Q8_0");  // its own choice for embeddings
    CHECK(plan.choices[2].target.layout.name == "Q2_NEW");
    CHECK(select::needs_importances(plan.choices[2].target));

    // Rows of 64 weights are no whole blocks of Q2_K; the smallest that takes them is the one in question.
    CHECK(select::fitting(matrix("t", 64), *find_type(type_id::q2_k), formats::fallbacks::layouts).name == "Q2_NEW");
}

TEST_CASE("a format that says nothing of itself takes part in nothing but what it is asked for") {
    const type_layout& layout = *formats::find("silent");
    CHECK_FALSE(layout.stock.file_type);
    CHECK_FALSE(select::find_mix("silent", formats::layouts));
    CHECK(find_layout(formats::portable(), layout.id) == nullptr);
    CHECK(find_layout(formats::fallbacks::layouts, layout.id) == nullptr);
    std::vector<tensor_info> tensors{matrix("t", 64)};
    tensors[0].layout = layout;
    CHECK_FALSE(formats::needs_of(tensors).build(back_ends.front()).exists());
}

TEST_CASE("fallbacks of a list are its own") {
    using list = format_list<f32, silent>;
    CHECK(list::fallbacks::size == 1);
    CHECK(select::fitting(matrix("t", 48), *list::find("silent"), list::fallbacks::layouts).name == "F32");
    CHECK(fallback_formats::names() == "F32, F16, BF16, Q8_0, Q5_1, Q5_0, IQ4_NL");
}

TEST_CASE("a format is named in three files: its header, the list, and the tests' decoder") {
    namespace fs = std::filesystem;
    std::vector<std::string> files;
    for (const char* folder : {"include", "examples", "bench", "tests"})
        for (const auto& entry : fs::recursive_directory_iterator(support::project_dir() / folder)) {
            const std::string extension = entry.path().extension().string();
            if (extension != ".hpp" && extension != ".cpp") continue;
            std::string text = support::read_text(entry.path());
            std::ranges::transform(text, text.begin(),
                                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
            const std::string format =
                "q2"
                "_0";
            if (has_word(text, format)) files.push_back(fs::relative(entry.path(), support::project_dir()).string());
        }
    std::ranges::sort(files);
    CHECK(files == std::vector<std::string>{"include/tessera/format/builtin.hpp", "include/tessera/format/low_bit.hpp",
                                            "tests/format/scalar_decoder.hpp"});
}
