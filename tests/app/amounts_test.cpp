// How much of a text is worked on where nobody says.
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "support/support.hpp"
#include "tessera/app/amounts.hpp"
#include "tessera/app/kept_number.hpp"
#include "tessera/app/work_files.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/journal.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/format/builtin.hpp"

using namespace tessera;
using app::amounts;

TEST_CASE("time is divided in halves") {
    const amounts least{100, 10}, most{10000, 1000};
    // A second for a hundred tokens of calibration, one for ten of measuring, 5 for what does not depend on them.
    const auto seconds = [](const amounts& a) {
        return 5.0 + static_cast<double>(a.calibration) / 100 + static_cast<double>(a.measuring) / 10;
    };
    REQUIRE(seconds(least) == 7);
    const auto chosen = [&](double limit) { return app::amounts_within(limit, least, most, seconds); };
    const amounts half = chosen(7 + 60);
    CHECK(half.measuring == 10 + 300);
    CHECK(half.calibration == 100 + 3000);
    const amounts wide = chosen(7 + 260);  // calibration needs no more than 99: the rest is for measuring
    CHECK(wide.measuring == 1000);
    CHECK(wide.calibration == 10000);
    const amounts uneven = chosen(7 + 190);  // measuring 95 of its 99, calibration 95 of its 99
    CHECK(uneven.measuring == 10 + 950);
    CHECK(uneven.calibration == 100 + 9500);
    CHECK_THROWS_WITH_AS((void)chosen(3), "--time: wanted at least 0:07 for this model and text, got 0:03", error);

    // What one stage leaves goes to the other.
    const amounts short_text = app::amounts_within(7 + 100, least, {500, 1000}, seconds);
    CHECK(short_text.calibration == 500);
    CHECK(short_text.measuring == 10 + 960);
    const amounts no_measuring = app::amounts_within(7 + 50, least, {10000, 10}, seconds);
    CHECK(no_measuring.measuring == 10);
    CHECK(no_measuring.calibration == 100 + 5000);
}

TEST_CASE("calibration tokens follow the widest input and the experts") {
    metadata properties;
    const auto set = [&](const char* key, std::uint32_t value) {
        properties.set("qwen3moe." + std::string(key), value);
    };
    properties.set("general.architecture", std::string("qwen3moe"));
    for (const char* key : {"embedding_length", "attention.key_length", "attention.value_length"}) set(key, 64);
    for (const char* key : {"block_count", "attention.head_count", "attention.head_count_kv"}) set(key, 1);
    set("context_length", 512);
    set("vocab_size", 96);
    set("feed_forward_length", 64);
    set("expert_feed_forward_length", 64);
    properties.set("qwen3moe.attention.layer_norm_rms_epsilon", 1e-5f);
    set("expert_count", 128);
    set("expert_used_count", 4);

    const auto tensor = [](std::string name, std::uint64_t columns, std::uint64_t matrices) {
        return tensor_info{.name = std::move(name),
                           .dims = {columns, 64, matrices, 1},
                           .rank = matrices > 1 ? 3u : 2u,
                           .layout = *find_type(type_id::f32)};
    };
    const std::vector<tensor_info> small{tensor("blk.0.ffn_down.weight", 14336, 1)};
    CHECK(app::default_calibration_tokens(small, properties) == 262144);
    const std::vector<tensor_info> wide{tensor("blk.0.ffn_down.weight", 28672, 1), tensor("output.weight", 99999, 1)};
    CHECK(app::default_calibration_tokens(wide, properties) == 286720);
    // An expert gets a token in 32.
    const std::vector<tensor_info> experts{tensor("blk.0.ffn_up_exps.weight", 7168, 128)};
    CHECK(app::default_calibration_tokens(experts, properties) == 2 * 32 * 7168);
}

TEST_CASE("a number that the clock decided is that of the run that is gone on from") {
    const support::scratch_dir folder;
    app::work_files files(existing_file::refuse);
    files.keep({}, folder / "out.gguf");
    files.check();
    const auto number = [&](std::uint64_t now, const char* condition) {
        return app::kept_number(files, "damage.tokens", condition, 100, [&] { return now; });
    };
    CHECK(number(5, "--time 60 s") == 5);
    CHECK(number(7, "--time 60 s") == 5);
    {  // A run that keeps nothing goes by it, too, unless it is to begin anew.
        const auto dry = [&](bool restart) {
            app::work_files none(existing_file::refuse);
            none.keep({.restart = restart, .nowhere = true}, folder / "out.gguf");
            none.check();
            return app::kept_number(none, "damage.tokens", "--time 60 s", 100, [] { return 9u; });
        };
        CHECK(dry(false) == 5);
        CHECK(dry(true) == 9);
    }
    CHECK_THROWS_AS((void)number(7, "--time 90 s"), unfit_work);
    files.folder().forget("damage");
    CHECK(number(7, "--time 90 s") == 7);
    CHECK_THROWS_AS((void)app::kept_number(files, "damage.tokens", "--time 90 s", 6, [] { return 1u; }), unfit_work);
    files.done();
    CHECK_FALSE(std::filesystem::exists(folder / "out.gguf.work"));
}
