#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "support/support.hpp"
#include "tessera/format/builtin.hpp"
#include "tessera/select.hpp"

using namespace tessera;

namespace {

tensor_info tensor(std::string name, std::uint64_t columns, std::uint64_t rows, type_id type = type_id::bf16) {
    return {.name = std::move(name), .dims = {columns, rows, 1, 1}, .rank = 2, .layout = *find_type(type)};
}

const std::vector<type_layout> available{
    *find_type(type_id::f32),  *find_type(type_id::f16),  *find_type(type_id::bf16), *find_type(type_id::q8_0),
    *find_type(type_id::q6_k), *find_type(type_id::q4_k), *find_type(type_id::q4_0)};

}  // namespace

TEST_CASE("norms, vectors and routers stay in full precision; matrices do not") {
    CHECK(select::stays_full_precision(tensor("blk.0.attn_norm.weight", 4096, 1)));
    CHECK(select::stays_full_precision(tensor("blk.0.attn_q.bias", 4096, 1)));
    CHECK(select::stays_full_precision(tensor("blk.0.ffn_gate_inp.weight", 4096, 8)));
    CHECK(select::stays_full_precision(tensor("blk.0.attn_k_norm.weight", 128, 8)));
    CHECK(select::stays_full_precision(tensor("rope_freqs.weight", 64, 1)));
    CHECK_FALSE(select::stays_full_precision(tensor("blk.0.attn_q.weight", 4096, 4096)));
    CHECK_FALSE(select::stays_full_precision(tensor("token_embd.weight", 4096, 32000)));
}

TEST_CASE("whole numbers are never quantized, and what is kept loses no digit") {
    for (const type_id type : {type_id::i8, type_id::i16, type_id::i32, type_id::i64}) {
        const tensor_info table = tensor("blk.0.ffn_gate_tid2eid.weight", 8, 4096, type);
        const tensor_info other = tensor("of_a_later_model.weight", 256, 256, type);
        const std::vector<tensor_info> tensors{table, other};
        const select::plan plan = select::make_plan(tensors, select::uniform{*find_type(type_id::q4_k)}, available);
        for (const select::choice& made : plan.choices) {
            CHECK(made.target.type() == type);
            CHECK(made.why == select::reason::kept);
        }
    }
    const auto kept = [](type_id type) {
        return select::full_precision_layout(tensor("output_norm.weight", 64, 1, type)).id;
    };
    CHECK(kept(type_id::f64) == type_id::f64);
    for (const type_id type : {type_id::f32, type_id::f16, type_id::bf16, type_id::q8_0})
        CHECK(kept(type) == type_id::f32);
    for (const char* name :
         {"v.patch_embd.weight", "v.position_embd.weight", "blk.1.time_mix_decay_w2.weight", "a.rvq.codebook.weight"})
        CHECK(select::stays_full_precision(tensor(name, 256, 256)));
    CHECK_FALSE(select::stays_full_precision(tensor("v.blk.0.attn_q.weight", 256, 256)));
    CHECK_FALSE(select::stays_full_precision(tensor("output.weight", 256, 256, type_id::f64)));
}

TEST_CASE("rows that do not fit get the smallest type that loses nothing against the wanted one") {
    const auto fit = [](std::uint64_t columns, type_id wanted, type_id stored = type_id::bf16) {
        return std::string(select::fitting(tensor("t", columns, 4, stored), *find_type(wanted), available).name);
    };
    CHECK(fit(512, type_id::q4_k) == "Q4_K");
    CHECK(fit(64, type_id::q4_k) == "Q8_0");
    CHECK(fit(64, type_id::q4_0) == "Q4_0");
    CHECK(fit(172, type_id::q4_0) == "BF16");               // lossless: it is stored so
    CHECK(fit(172, type_id::q4_0, type_id::f32) == "F16");  // first of the 16-bit types
    CHECK_THROWS_AS(
        (void)select::fitting(tensor("t", 172, 4), *find_type(type_id::q8_0), std::span(available).subspan(3)), error);
}

TEST_CASE("plans: the first rule with an opinion decides, and the reason is kept") {
    const std::vector<tensor_info> tensors{
        tensor("token_embd.weight", 512, 100), tensor("blk.0.attn_norm.weight", 512, 1),
        tensor("blk.0.ffn_up.weight", 512, 64), tensor("blk.0.ffn_down.weight", 64, 512)};
    const select::first_match rules(
        select::pinned{[](const tensor_info& info) { return info.name.starts_with("token_embd"); },
                       *find_type(type_id::q6_k)},
        select::uniform{*find_type(type_id::q4_k)});
    const select::plan plan = select::make_plan(tensors, rules, available);
    REQUIRE(plan.choices.size() == 4);
    CHECK(plan.choices[0].target.layout.name == "Q6_K");
    CHECK(plan.choices[1].target.layout.name == "F32");
    CHECK(plan.choices[1].why == select::reason::kept);
    CHECK(plan.choices[2].target.layout.name == "Q4_K");
    CHECK(plan.choices[2].why == select::reason::requested);
    CHECK(plan.choices[3].target.layout.name == "Q8_0");
    CHECK(plan.choices[3].why == select::reason::row_length);
    CHECK(plan.choices[3].wanted.name == "Q4_K");
    CHECK(plan.bytes() == 100 * 420 + 512 * 4 + 64 * 288 + 512 * 68);
    CHECK(plan.bits_per_weight() ==
          doctest::Approx(8.0 * static_cast<double>(plan.bytes()) / (51200 + 512 + 32768 + 32768)));
}

TEST_CASE("a lambda is a rule, and tensors without an opinion keep their type") {
    const std::vector<tensor_info> tensors{tensor("blk.0.ffn_up.weight", 512, 64)};
    const auto none = [](const tensor_info&) { return std::optional<type_layout>(); };
    CHECK(select::make_plan(tensors, none, available).choices[0].target.type() == type_id::bf16);
}
