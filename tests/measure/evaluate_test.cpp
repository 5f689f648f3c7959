// Evaluation: what is scored, in which order, and the figures of real files.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "decoder/tiny_model.hpp"
#include "support/support.hpp"
#include "tessera/decoder/tile_memory.hpp"
#include "tessera/gguf/reader.hpp"
#include "tessera/measure/evaluate.hpp"
#include "tessera/measure/kl_divergence.hpp"

namespace {

using namespace tessera;
using support::make_tiny_model;
using support::tiny_shape;

// A metric that only keeps what it is given.
class recorder {
public:
    void add(std::span<const float> reference, std::span<const float> candidate, std::size_t target) {
        rows_.push_back({{reference.begin(), reference.end()}, {candidate.begin(), candidate.end()}, target});
    }
    void merge(recorder&& later) {
        for (auto& row : later.rows_) rows_.push_back(std::move(row));
    }
    struct row {
        std::vector<float> reference, candidate;
        std::size_t target;
        bool operator==(const row&) const = default;
    };
    [[nodiscard]] const std::vector<row>& result() const { return rows_; }

private:
    std::vector<row> rows_;
};
static_assert(metric<recorder>);

std::vector<std::vector<double>> plain_logits(const memory_source& source, const tiny_shape& shape,
                                              std::span<const std::int32_t> window) {
    return support::plain_decoder(source, shape).logits(window);
}

bool close(std::span<const float> got, std::span<const double> wanted) {
    for (std::size_t i = 0; i < wanted.size(); ++i)
        if (!(std::abs(double{got[i]} - wanted[i]) < 1e-4)) return false;
    return got.size() == wanted.size();
}

}  // namespace

TEST_CASE("the second half of every window is scored, each position for the token after it") {
    const tiny_shape shape{.seed = 1}, other{.seed = 2};
    const memory_source reference = make_tiny_model(shape);
    const memory_source candidate = make_tiny_model(other);
    for (const std::size_t window : {3u, 7u, 8u}) {
        CAPTURE(window);
        const auto tokens = support::random_tokens(5 * window, shape.vocabulary);
        const auto rows = evaluate<recorder>(reference, candidate, {tokens, window}).result();
        std::size_t next = 0;
        for (std::size_t w = 0; w < tokens.size(); w += window) {
            const auto one = std::span(tokens).subspan(w, window);
            const auto p = plain_logits(reference, shape, one), q = plain_logits(candidate, other, one);
            for (std::size_t position = window / 2; position + 2 <= window; ++position, ++next) {
                REQUIRE(next < rows.size());
                CHECK(rows[next].target == static_cast<std::size_t>(one[position + 1]));
                CHECK(close(rows[next].reference, p[position]));
                CHECK(close(rows[next].candidate, q[position]));
            }
        }
        CHECK(rows.size() == next);
    }
}

TEST_CASE("neither threads nor the size of a tile change the result") {
    const memory_source reference = make_tiny_model({.seed = 1});
    const memory_source candidate = make_tiny_model({.seed = 2});
    const auto tokens = support::random_tokens(6 * 40, 50);
    const auto one = evaluate<recorder>(reference, candidate, {tokens, 40}, {.threads = 1}).result();
    const auto two = evaluate<recorder>(reference, candidate, {tokens, 40}, {.threads = 2}).result();
    CHECK(one == two);
    // 25 rows at a time; Eigen's kernels treat the last rows of a matrix apart, so bits may differ here.
    const auto tiled =
        evaluate<recorder>(reference, candidate, {tokens, 40}, {.logits_bytes = 25 * 2 * 4 * 50}).result();
    REQUIRE(tiled.size() == one.size());
    for (std::size_t i = 0; i < one.size(); ++i) {
        CHECK(tiled[i].target == one[i].target);
        for (std::size_t t = 0; t < 50; ++t) {
            CHECK(tiled[i].reference[t] == doctest::Approx(one[i].reference[t]).epsilon(1e-5));
            CHECK(tiled[i].candidate[t] == doctest::Approx(one[i].candidate[t]).epsilon(1e-5));
        }
    }
    decoder::tile_memory memory({.bytes = 0, .tile_tokens = 80});
    CHECK(one == evaluate<recorder>(reference, candidate, {tokens, 40}, {.memory = &memory}).result());
    CHECK(memory.scratch_bytes() > 0);
    const auto least = evaluate<recorder>(reference, candidate, {tokens, 40}, {.logits_bytes = 1}).result();
    CHECK(least.size() == one.size());
    CHECK(evaluate(reference, candidate, {tokens, 40}, {.threads = 1}).result().mean.value ==
          evaluate(reference, candidate, {tokens, 40}, {.threads = 2}).result().mean.value);
}

TEST_CASE("a model against itself differs nowhere, and progress runs through three stages") {
    const memory_source model = make_tiny_model({.experts = 4, .experts_used = 2});
    const auto tokens = support::random_tokens(3 * 16, 50);
    std::vector<std::pair<std::string, std::uint64_t>> seen;
    const auto note = [&](const progress& p) {
        CHECK(p.unit == "tokens");
        CHECK(p.total == (p.stage == "compare" ? 21 : 48));
        if (p.done == 0 || p.done == p.total) seen.emplace_back(p.stage, p.done);
    };
    const auto result = evaluate(model, model, {tokens, 16}, {}, note).result();
    CHECK(result.tokens == 21);
    CHECK(result.mean.value == 0.0);
    CHECK(result.same_top.value == 1.0);
    seen.erase(std::unique(seen.begin(), seen.end()), seen.end());
    CHECK(
        seen ==
        std::vector<std::pair<std::string, std::uint64_t>>{
            {"reference", 0}, {"reference", 48}, {"candidate", 0}, {"candidate", 48}, {"compare", 0}, {"compare", 21}});
}

TEST_CASE("what cannot be compared is refused, and the message says which model it is about") {
    const memory_source model = make_tiny_model({});
    const auto tokens = support::random_tokens(16, 50);
    const auto refused = [&](const memory_source& reference, const memory_source& candidate, std::size_t window) {
        return support::message_of<error>([&] { (void)evaluate(reference, candidate, {tokens, window}); });
    };
    const memory_source larger = make_tiny_model({.vocabulary = 60});
    CHECK(refused(model, larger, 8).find("candidate: wanted the reference's vocabulary of 50 tokens, got 60") == 0);
    CHECK(refused(model, model, 2).find("windows of at least three tokens") != std::string::npos);
    CHECK(refused(model, model, 0).find("windows of 0") != std::string::npos);
    CHECK(refused(model, model, 5).find("windows of 5") != std::string::npos);

    memory_source unknown = make_tiny_model({});
    unknown.metadata().set("general.architecture", std::string("frobnicator"));
    CHECK(refused(unknown, model, 8).find("reference: metadata key general.architecture") == 0);
    CHECK(refused(model, unknown, 8).find("candidate: metadata key general.architecture") == 0);
    CHECK(support::message_of<error>([&] { (void)evaluate(model, model, {{}, 8}); }).find("got 0") !=
          std::string::npos);
}

namespace {

// The header and the rows of a llama-perplexity logits file, as the specification lays them out.
struct saved_logits {
    explicit saved_logits(const support::fs::path& path) : bytes(support::read_text(path)) {
        REQUIRE(bytes.compare(0, 8, "_logits_") == 0);
        window = static_cast<std::size_t>(value<std::int32_t>(8));
        vocabulary = static_cast<std::size_t>(value<std::int32_t>(12));
        windows = static_cast<std::size_t>(value<std::int32_t>(16));
        for (std::size_t i = 0; i < windows * window; ++i) tokens.push_back(value<std::int32_t>(20 + 4 * i));
        row_bytes = 2 * (2 * ((vocabulary + 1) / 2) + 4);
        first_row = 20 + 4 * tokens.size();
        REQUIRE(bytes.size() == first_row + windows * (window - 1 - window / 2) * row_bytes);
    }
    template <class T>
    [[nodiscard]] T value(std::size_t offset) const {
        T v;
        std::memcpy(&v, bytes.data() + offset, sizeof v);
        return v;
    }
    [[nodiscard]] std::vector<float> log_probabilities(std::size_t row) const {
        const std::size_t at = first_row + row * row_bytes;
        const float scale = value<float>(at), lowest = value<float>(at + 4);
        std::vector<float> all;
        for (std::size_t i = 0; i < vocabulary; ++i) {
            const std::uint16_t code = value<std::uint16_t>(at + 8 + 2 * i);
            all.push_back(scale * static_cast<float>(code) + lowest);
        }
        return all;
    }

    std::string bytes;
    std::size_t window, vocabulary, windows, row_bytes, first_row;
    std::vector<std::int32_t> tokens;
};

// The divergence, and the reference's logits for a comparison of their own.
class divergence_and_reference {
public:
    void add(std::span<const float> reference, std::span<const float> candidate, std::size_t target) {
        divergence_.add(reference, candidate, target);
        rows_.emplace_back(reference.begin(), reference.end());
    }
    void merge(divergence_and_reference&& later) {
        divergence_.merge(later.divergence_);
        for (auto& row : later.rows_) rows_.push_back(std::move(row));
    }
    [[nodiscard]] kl_divergence_result result() const { return divergence_.result(); }
    [[nodiscard]] const std::vector<std::vector<float>>& reference_rows() const { return rows_; }

private:
    kl_divergence divergence_;
    std::vector<std::vector<float>> rows_;
};

}  // namespace

TEST_CASE("figures of quantized files agree with an independent float32 evaluator") {
    const auto folder = support::shared("golden/kld");
    if (!folder) return;
    const saved_logits saved(*folder / "base.kld");
    std::vector<std::int32_t> tokens = saved.tokens;
    for (std::size_t w = 0; w < tokens.size(); w += saved.window) tokens[w] = 1;  // begin of sequence
    const gguf::reader reference(*folder / "fable-3m-f16.gguf");

    struct figures {
        const char* file;
        double mean, error, same_top;
    };
    std::vector<std::vector<float>> rows;
    for (const figures& wanted :
         {figures{"Q8_0.gguf", 0.000048, 0.000001, 0.99541}, {"Q4_K_M.gguf", 0.004143, 0.000131, 0.96063}}) {
        CAPTURE(wanted.file);
        const gguf::reader candidate(*folder / wanted.file);
        const auto collected = evaluate<divergence_and_reference>(reference, candidate, {tokens, saved.window});
        rows = collected.reference_rows();
        const auto got = collected.result();
        CHECK(got.tokens == 1524);
        CHECK(got.mean.value == doctest::Approx(wanted.mean).epsilon(0.01));
        CHECK(std::abs(got.mean.error - wanted.error) < 0.02 * wanted.error + 0.5e-6);  // printed with six decimals
        CHECK(got.same_top.value == doctest::Approx(wanted.same_top).epsilon(1e-5));
        CHECK(got.reference_perplexity.value == doctest::Approx(9.612695).epsilon(1e-3));
        CHECK(got.reference_perplexity.error == doctest::Approx(0.520759).epsilon(1e-2));
    }

    // The saved log-probabilities come from 8-bit activations and are 16-bit codes: close, not equal.
    REQUIRE(rows.size() == 1524);
    kl_divergence from_saved;
    for (std::size_t r = 0; r < rows.size(); ++r) from_saved.add(saved.log_probabilities(r), rows[r], 0);
    CHECK(from_saved.result().mean.value < 1e-3);
    CHECK(from_saved.result().mean.value > 0);
    CHECK(from_saved.result().same_top.value > 0.97);
}
