// For every concept a type that has what it asks for and nothing else, sent through what takes the concept: where a
// function wants more than its concept says, this file does not compile.
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "support/random.hpp"
#include "tessera/core/function_ref.hpp"
#include "tessera/core/progress.hpp"
#include "tessera/core/token_windows.hpp"
#include "tessera/encode/check.hpp"
#include "tessera/encode/encoders.hpp"
#include "tessera/encode/error_feedback.hpp"
#include "tessera/encode/output_error.hpp"
#include "tessera/encode/saturation.hpp"
#include "tessera/format/builtin.hpp"
#include "tessera/format/check.hpp"
#include "tessera/format/scalar_format.hpp"
#include "tessera/measure/compare.hpp"
#include "tessera/measure/weight_error.hpp"
#include "tessera/quantize/pack.hpp"
#include "tessera/select/refined.hpp"
#include "tessera/select/strategies.hpp"
#include "tessera/tensor/memory.hpp"
#include "tessera/tensor/overlay_source.hpp"
#include "tessera/tensor/packed_matrix.hpp"
#include "tessera/tensor/simulating_sink.hpp"
#include "tessera/testing/encoders.hpp"

using namespace tessera;

namespace {

/// What concepts do not ask for: copies, moves and a default.
struct pinned_down {
    explicit pinned_down(int) {}
    pinned_down(const pinned_down&) = delete;
    pinned_down& operator=(const pinned_down&) = delete;
};

// --- formats ---

/// One byte a weight, sixteenths.
struct least_format {
    least_format() = delete;
    static constexpr const char* name = "least";  // converts to a string_view
    static constexpr std::size_t block_size = 3;
    struct block {
        std::array<std::int8_t, 3> codes;
    };
    static void decode(const block& in, std::span<float, 3> x) noexcept {
        for (std::size_t i = 0; i < 3; ++i) x[i] = static_cast<float>(in.codes[i]) / 16.0f;
    }
    static void encode(std::span<const float, 3> x, block& out) noexcept {
        for (std::size_t i = 0; i < 3; ++i)
            out.codes[i] = static_cast<std::int8_t>(std::min(std::max(x[i] * 16.0f, -127.0f), 127.0f));
    }
};
static_assert(block_format<least_format> && !gguf_format<least_format> && !two_stage_format<least_format>);

struct least_gguf_format : least_format {
    static constexpr type_id type = type_id::first_private;
};
static_assert(gguf_format<least_gguf_format> && !engine_format<least_gguf_format>);

struct least_engine_format : least_format {
    static constexpr engines runs_on{};
};
static_assert(engine_format<least_engine_format>);

/// Scales that are no aggregate, codes that are no numbers.
struct least_two_stage_format : least_format {
    class scales {
    public:
        scales() = default;
        explicit scales(float s) : scale_(s) {}
        [[nodiscard]] float get() const { return scale_; }

    private:
        float scale_ = 1.0f;
    };
    struct code {
        std::int8_t value = 0;
    };
    class code_array {
    public:
        code& operator[](std::size_t i) { return codes_[i]; }
        const code& operator[](std::size_t i) const { return codes_[i]; }

    private:
        std::array<code, 3> codes_;
    };
    static constexpr std::size_t group = 1;
    static scales fit(std::span<const float, 3>, std::span<const float, 3>) noexcept { return scales(1.0f / 16.0f); }
    static code round(const scales& s, std::size_t, float x) noexcept {
        return {static_cast<std::int8_t>(std::min(std::max(x / s.get(), -127.0f), 127.0f))};
    }
    static float value(const scales& s, std::size_t, code c) noexcept { return s.get() * static_cast<float>(c.value); }
    static void store(const scales&, const code_array& codes, block& out) noexcept {
        for (std::size_t i = 0; i < 3; ++i) out.codes[i] = codes[i].value;
    }
};
static_assert(check_two_stage_format<least_two_stage_format>());

// --- parts of scalar formats ---

using default_batch = kernels::float_batch<kernels::default_arch>;

/// A byte for each code.
struct least_planes {
    least_planes() = delete;
    template <std::size_t First, class Block>
    static kernels::byte_vector unpack(const Block& in) noexcept {
        return kernels::load_bytes(in.codes.data() + First);
    }
    template <class Block, std::size_t N>
    static void pack(const std::array<std::uint8_t, N>& codes, Block& out) noexcept {
        out.codes = codes;
    }
};

struct exponent_block {
    std::array<std::uint8_t, 32> codes;
    e8m0 exponent;
};

/// One power of two for the block; scales of its own make, with no field that anything else knows.
struct least_scaling {
    least_scaling() = delete;
    static constexpr std::size_t sub_blocks = 1;
    static constexpr bool has_min = false, has_sub_scales = false, scale_has_sign = false, min_has_sign = false;
    using scalar = e8m0;
    class scales {
    public:
        scales() = default;
        explicit scales(e8m0 of) : exponent(of) {}
        float scale(std::size_t) const noexcept { return static_cast<float>(exponent); }
        float min(std::size_t) const noexcept { return 0.0f; }
        e8m0 exponent;
    };
    static scales load(const exponent_block& in) noexcept { return scales(in.exponent); }
    static void store(const scales& s, exponent_block& out) noexcept { out.exponent = s.exponent; }
    template <class Arch>
    static void expand(const scales& s, std::array<float, 1>& scale, std::array<float, 1>&) noexcept {
        scale[0] = s.scale(0);
    }
    static scales quantize(std::span<const float, 1> scale, std::span<const float, 1>) noexcept {
        return scales(e8m0(scale[0]));
    }
};

/// -8 to 7, through another codebook's functions but with none of its type.
struct least_codebook {
    least_codebook() = delete;
    using of = linear<-8, 7>;
    static constexpr float low = -8, high = 7;
    static constexpr int steps = 15;
    static float level(std::uint8_t code) noexcept { return of::level(code); }
    static std::uint8_t code(float x) noexcept { return of::code(x); }
    template <class Arch, std::size_t Part>
    static kernels::float_batch<Arch> levels(kernels::byte_vector codes) noexcept {
        return of::levels<Arch, Part>(codes);
    }
    static default_batch nearest(default_batch x) noexcept { return of::nearest(x); }
    static default_batch codes(default_batch x) noexcept { return of::codes(x); }
};
static_assert(planes_for<least_planes, exponent_block, 32> && scaling_for<least_scaling, exponent_block> &&
              scalar_codebook<least_codebook>);

struct least_layout {
    static constexpr std::string_view name = "least_scalar";
    static constexpr std::size_t block_size = 32;
    using block = exponent_block;
    using planes = least_planes;
    using scaling = least_scaling;
    using codebook = least_codebook;
};
using least_scalar_format = scalar_format<least_layout>;
static_assert(two_stage_format<least_scalar_format> && scaled_format<least_scalar_format>);

// --- encoders ---

struct least_encoder : pinned_down {
    using pinned_down::pinned_down;
    static constexpr const char* name = "least";
    static constexpr encoder_needs needs{};
    static constexpr unsigned rows_at_once = 3;
    void operator()(format_tag<least_gguf_format> format, matrix_view rows, const matrix_knowledge& known,
                    std::span<least_gguf_format::block> out) const {
        nearest{}(format, rows, known, out);
    }
};
static_assert(check_encoder_for<least_encoder, least_gguf_format>() && !encoder_for<least_encoder, f32>);

// --- tensors ---

/// Ones.
struct least_source : pinned_down {
    using pinned_down::pinned_down;
    std::vector<tensor_info> infos{{.name = "t", .dims = {32, 2, 1, 1}, .rank = 2}};
    tessera::metadata properties;

    const std::vector<tensor_info>& tensors() const { return infos; }
    const tessera::metadata& metadata() const { return properties; }
    void read(const tensor_info&, std::uint64_t, std::uint64_t, std::span<float> out) const {
        std::ranges::fill(out, 1.0f);
    }
};
static_assert(tensor_source<least_source> && !packed_tensor_source<least_source>);

struct least_sink : pinned_down {
    using pinned_down::pinned_down;
    std::size_t bytes = 0;
    bool finished = false;

    void begin(std::span<const tensor_info>, const tessera::metadata&) {}
    void write(const tensor_info&, std::uint64_t, byte_view b) { bytes += b.size(); }
    void finish() { finished = true; }
};
static_assert(tensor_sink<least_sink>);

// --- measuring ---

struct least_metric {
    least_metric() = default;
    least_metric(least_metric&&) = default;
    least_metric& operator=(least_metric&&) = delete;

    void add(std::span<const float> reference, std::span<const float>, std::size_t target) {
        sum += double{reference[target]};
    }
    void merge(least_metric&& other) { sum += other.sum; }
    double result() const { return sum; }

private:
    double sum = 0;
};
static_assert(metric<least_metric> && !std::copyable<least_metric>);

struct least_logits : pinned_down {
    using pinned_down::pinned_down;
    token_windows cut{std::vector<std::int32_t>(16, 1), 8};

    const char* role() const { return "least"; }
    std::uint32_t vocabulary() const { return 4; }
    const token_windows& windows() const { return cut; }
    void logits(std::size_t, mutable_matrix_view out) const {
        for (std::size_t r = 0; r < out.rows(); ++r) std::ranges::fill(out.row(r), 2.0f);
    }
};
static_assert(logits_source<least_logits>);

// --- selection ---

struct least_strategy {
    explicit least_strategy(int) {}
    void settle(select::plan& draft, std::span<const type_layout>) const {
        for (select::choice& c : draft.choices) c.why = select::reason::kept;
    }
};
static_assert(select::selection_strategy<least_strategy> && !select::type_rule<least_strategy>);

struct least_rule {
    explicit least_rule(int) {}
    type_layout operator()(const tensor_info&) const { return layout_of<q8_0>; }
};
static_assert(select::type_rule<least_rule> && !select::selection_strategy<least_rule>);

struct least_plan_measure : pinned_down {
    using pinned_down::pinned_down;
    std::vector<float> operator()(const select::plan&, std::size_t n) { return std::vector<float>(n, 1.0f); }
    std::uint16_t samples() { return 1; }
};
static_assert(select::plan_measure<least_plan_measure>);

}  // namespace

TEST_CASE("formats: what encodes, decodes and measures takes the least of them") {
    const auto try_format = []<class F>(std::type_identity<F>) {
        CAPTURE(std::string_view(F::name));
        const auto x = support::gaussian(F::block_size * 8, 1);
        for (int e = 0; e < 2; ++e) {
            packed_matrix<F> packed(2, F::block_size * 4);
            const matrix_view rows(x, F::block_size * 4);
            if (e == 0)
                encode_rows<F>(nearest{}, rows, {}, packed.rows(0, 2));
            else
                encode_rows<F>(weighted{}, rows, {}, packed.rows(0, 2));
            CHECK(measure_error(matrix_view(x, F::block_size * 4), packed).relative() <= 1.0);
        }
        std::array<float, F::block_size> large{}, decoded{};
        large[0] = 300.0f;
        (void)find_saturated<F>(large, decoded);
    };
    try_format(std::type_identity<least_format>{});
    try_format(std::type_identity<least_two_stage_format>{});
    try_format(std::type_identity<least_scalar_format>{});
    CHECK(format_list<least_gguf_format>::names() == "least");
}

TEST_CASE("encoders: error feedback takes the least of scalar formats") {
    using F = least_scalar_format;
    const Eigen::MatrixXf gram = Eigen::MatrixXf::Identity(64, 64);
    const gram_factor factor(gram, 100);
    const auto x = support::gaussian(64 * 2, 1);
    packed_matrix<F> packed(2, 64);
    encode_rows<F>(error_feedback{}, matrix_view(x, 64), {.factor = &factor}, packed.rows(0, 2));
    CHECK(measure_error(matrix_view(x, 64), packed).relative() < 0.2);
}

TEST_CASE("encoders: rows are encoded, packed and compared by the least of them") {
    const auto x = support::gaussian(12 * 7, 1);
    const auto packed = quantize<least_gguf_format>(matrix_view(x, 12), {}, least_encoder(1));
    CHECK(packed.rows() == 7);
    CHECK(measure_output_error<least_gguf_format>(least_encoder(1), matrix_view(x, 12), {}, {}).weights > 0.0);
    CHECK(testing::check_encoder<format_list<least_gguf_format>>(least_encoder(1), 12).empty());
}

TEST_CASE("tensors: adaptors take the least of sources and sinks") {
    const least_source source(1);
    const overlay_source<least_source> overlay(source);
    std::vector<float> row(32);
    overlay.read(overlay.tensors()[0], 1, 1, row);
    CHECK(row[31] == 1.0f);

    least_sink sink(1);
    auto simulation = simulate<format_list<f32, least_gguf_format>, f16>(sink);
    simulation.begin(source.tensors(), source.metadata());
    simulation.write(source.tensors()[0], 0, as_byte_view(std::span<const float>(row)));
    simulation.finish();
    CHECK(sink.bytes == 128);
    CHECK(sink.finished);
}

TEST_CASE("measuring: two models are compared by the least of metrics") {
    const least_logits p(1), q(1);
    CHECK(compare<least_metric>(p, q).result() > 0.0);
}

TEST_CASE("selection: rules and strategies of the least are asked in turn") {
    const std::vector<tensor_info> tensors{{.name = "a.weight", .dims = {32, 4, 1, 1}, .rank = 2}};
    const auto settled = [&](const auto& strategy) {
        return select::make_plan(tensors, strategy, fallback_formats::layouts).choices[0].target.layout.name;
    };
    CHECK(settled(least_rule(1)) == "Q8_0");
    CHECK(settled(least_strategy(1)) == "F32");
    CHECK(settled(select::first_match(least_rule(1), least_strategy(1))) == "Q8_0");
    least_plan_measure measure(1);
    select::plan draft = select::open_plan(tensors);
    const select::budget budget{
        .damage = {}, .limit = select::at_most_bytes{1 << 20}, .choices = {.formats = {layout_of<q8_0>}}};
    select::refined<least_plan_measure>{.start = budget, .measure = &measure}.settle(draft, fallback_formats::layouts);
    CHECK(draft.choices.size() == 1);
}

TEST_CASE("callbacks: whatever can be called") {
    struct least_callable : pinned_down {
        using pinned_down::pinned_down;
        void operator()(const progress&) { ++calls; }
        int calls = 0;
    } callable(1);
    const progress_callback report(callable);
    report({.stage = "s", .unit = "u", .done = 1, .total = 2});
    CHECK(callable.calls == 1);
}
