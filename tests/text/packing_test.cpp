// Documents in, windows out: nothing lost, nothing cut without need, the same for the same seed.
#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "support/support.hpp"
#include "tessera/core/error.hpp"
#include "tessera/text/documents.hpp"
#include "tessera/text/packing.hpp"
#include "tessera/text/source_files.hpp"

namespace {

using namespace tessera;
using namespace tessera::text;

constexpr token_id bos = 1;

// Documents of random lengths whose tokens are all different, from `first` on.
text_source numbered(std::string name, token_id first, std::size_t documents, std::size_t longest) {
    text_source source{.name = std::move(name)};
    std::mt19937 random(static_cast<std::uint32_t>(first));
    for (std::size_t d = 0; d < documents; ++d) {
        std::vector<token_id> document;
        for (std::size_t n = 1 + random() % longest; n > 0; --n) document.push_back(first++);
        source.documents.push_back(std::move(document));
    }
    return source;
}

std::vector<token_id> all_tokens(const packed_windows& packed) {
    return {packed.windows.tokens().begin(), packed.windows.tokens().end()};
}

}  // namespace

TEST_CASE("packing uses every token at most once and begins windows and documents with the begin-of-text token") {
    const std::vector<text_source> sources{numbered("a", 100, 300, 40), numbered("b", 100000, 10, 1000)};
    for (const auto& begin : {std::optional<token_id>(), std::optional<token_id>(bos)}) {
        const packed_windows packed = pack_windows(sources, {.length = 64, .bos = begin});
        std::set<token_id> seen;
        std::size_t in_all = 0;
        for (std::size_t w = 0; w < packed.windows.size(); ++w) {
            if (begin) CHECK(packed.windows.window(w)[0] == bos);
            for (const token_id token : packed.windows.window(w)) {
                if (token == bos) continue;
                CHECK(seen.insert(token).second);
                ++in_all;
            }
        }
        // What is left out is less than one window, and what the begin-of-text tokens of cut documents push out.
        CHECK(in_all + 64 > sources[0].tokens() + sources[1].tokens());
        CHECK(packed.source_tokens[0] + packed.source_tokens[1] == packed.windows.tokens().size());

        std::size_t cut = 0;
        for (const auto& document : sources[0].documents) {  // all of them fit into a window
            const auto tokens = packed.windows.tokens();
            const auto at = std::search(tokens.begin(), tokens.end(), document.begin(), document.end());
            if (at == tokens.end()) {
                ++cut;
                continue;
            }
            const auto place = static_cast<std::size_t>(at - tokens.begin());
            cut += place / 64 != (place + document.size() - 1) / 64 ? 1 : 0;
            if (begin) CHECK(tokens[place - 1] == bos);
        }
        CHECK(cut < packed.windows.size());  // at most one for each window's end
        CHECK(cut < 60);
    }
}

TEST_CASE("documents that fit together are not cut") {
    text_source source{.name = "a"};
    for (int d = 0; d < 60; ++d) source.documents.emplace_back(d % 2 == 0 ? 24 : 8, 100 + d);
    const packed_windows packed = pack_windows({&source, 1}, {.length = 32});
    CHECK(packed.windows.size() == 30);
    for (std::size_t w = 0; w < 30; ++w) {
        std::map<token_id, int> counts;
        for (const token_id token : packed.windows.window(w)) ++counts[token];
        for (const auto& [token, count] : counts) CHECK(count % 8 == 0);
    }
}

TEST_CASE("the seed decides the windows") {
    const std::vector<text_source> sources{numbered("a", 100, 300, 40)};
    const auto first = all_tokens(pack_windows(sources, {.length = 32, .bos = bos, .seed = 1}));
    CHECK(first == all_tokens(pack_windows(sources, {.length = 32, .bos = bos, .seed = 1})));
    CHECK(first != all_tokens(pack_windows(sources, {.length = 32, .bos = bos, .seed = 2})));
    CHECK(pack_windows(sources, {.length = 32, .limit = 5}).windows.size() == 5);
    // A value that must never change: the same with every compiler and library.
    std::vector<int> order{0, 1, 2, 3, 4, 5, 6, 7};
    shuffle(order, 1);
    CHECK(order == std::vector<int>{4, 6, 3, 5, 1, 7, 2, 0});
}

TEST_CASE("weights are shares of the tokens") {
    std::vector<text_source> sources{numbered("a", 100, 400, 30), numbered("b", 100000, 200, 30)};
    const auto share_of_first = [&](std::size_t limit) {
        const packed_windows packed = pack_windows(sources, {.length = 32, .limit = limit});
        return static_cast<double>(packed.source_tokens[0]) / static_cast<double>(packed.windows.tokens().size());
    };
    CHECK(share_of_first(0) == doctest::Approx(2.0 / 3).epsilon(0.1));
    sources[1].weight = 3.0;
    CHECK(share_of_first(0) == doctest::Approx(0.25).epsilon(0.05));
    CHECK(share_of_first(40) == doctest::Approx(0.25).epsilon(0.1));
    sources[0].weight = 0.0;
    CHECK(share_of_first(0) == 0.0);
    sources[1].weight = 0.0;
    CHECK_THROWS_AS((void)share_of_first(0), error);
    sources[1].weight = -1.0;
    CHECK_THROWS_AS((void)share_of_first(0), error);
}

TEST_CASE("windows are held out by the seed, each in one of the two sets") {
    const packed_windows packed = pack_windows(std::vector{numbered("a", 100, 300, 40)}, {.length = 32});
    const std::size_t windows = packed.windows.size();
    const divided_windows divided = hold_out(packed.windows, 0.1, 1);
    CHECK(divided.held_out->size() == (windows + 5) / 10);
    CHECK(divided.used.size() + divided.held_out->size() == windows);
    std::set<token_id> used(divided.used.tokens().begin(), divided.used.tokens().end());
    for (const token_id token : divided.held_out->tokens()) CHECK_FALSE(used.contains(token));
    const auto held_out_by = [&](std::uint64_t seed) {
        const divided_windows again = hold_out(packed.windows, 0.1, seed);
        const auto tokens = again.held_out->tokens();
        return std::vector<token_id>(tokens.begin(), tokens.end());
    };
    CHECK(std::ranges::equal(held_out_by(1), divided.held_out->tokens()));
    CHECK(held_out_by(2) != held_out_by(1));
    CHECK(hold_out(packed.windows, 0, 1).used.size() == windows);
    CHECK(hold_out(packed.windows, 0.999999, 1).used.size() == 1);
    CHECK_THROWS_AS((void)hold_out(packed.windows, 1, 1), error);
}

TEST_CASE("texts too short for a window are refused") {
    CHECK_THROWS_AS((void)pack_windows({}, {.length = 32}), error);
    CHECK_THROWS_AS((void)pack_windows(std::vector{numbered("a", 1, 1, 5)}, {.length = 32}), error);
    CHECK_THROWS_AS((void)pack_windows(std::vector{numbered("a", 1, 100, 5)}, {.length = 2}), error);
}

TEST_CASE("separators divide a text into documents") {
    using list = std::vector<std::string_view>;
    CHECK(split_documents("one<|e|>\ntwo<|e|> \n <|e|>", "<|e|>") == list{"one", "\ntwo"});
    CHECK(split_documents("one\n\ntwo", "") == list{"one\n\ntwo"});
    CHECK(split_documents("one\n\ntwo", "\n\n") == list{"one", "two"});
    CHECK(split_documents(" \n", "").empty());
}

TEST_CASE("token ids are read line by line, and what is not an id is named") {
    using documents = std::vector<std::vector<token_id>>;
    CHECK(parse_token_ids("1 2\t3\r\n\n4 ", 10, "x") == documents{{1, 2, 3}, {4}});
    CHECK(parse_token_ids("", 10, "x").empty());
    for (const char* wrong : {"1 x", "10", "-1", "1.5", "99999999999", "1,2"}) {
        const std::string message =
            support::message_of<error>([&] { (void)parse_token_ids(std::string("0\n") + wrong, 10, "file"); });
        CHECK(message.find("file: line 2: wanted a token id below 10") == 0);
    }
}

TEST_CASE("files, directories and patterns give text files in the order of their names") {
    const support::scratch_dir folder;
    support::fs::create_directories(folder / "texts/deep");
    for (const char* name : {"texts/b.txt", "texts/a.md", "texts/deep/c.txt", "texts/d.bin", "x[1].txt"})
        support::write_text(folder / name, "text");
    const auto names = [&](const char* pattern) {
        std::vector<std::string> found;
        for (const auto& path : find_text_files((folder / pattern).string()))
            found.push_back(support::fs::relative(path, folder.path()).string());
        return found;
    };
    using list = std::vector<std::string>;
    CHECK(names("texts") == list{"texts/a.md", "texts/b.txt", "texts/deep/c.txt"});
    CHECK(names("texts/*.txt") == list{"texts/b.txt"});
    CHECK(names("texts/?.*") == list{"texts/a.md", "texts/b.txt", "texts/d.bin"});
    CHECK(names("x[1].txt") == list{"x[1].txt"});  // a file of this very name
    CHECK(names("texts/d.bin") == list{"texts/d.bin"});
    support::fs::create_directory(folder / "empty");
    for (const char* none : {"nowhere.txt", "empty", "*.rst"}) CHECK_THROWS_AS((void)names(none), error);
}
