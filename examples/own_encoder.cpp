// An encoder of one's own that uses the Gram matrix of the inputs, run layer by layer and compared:
//   own_encoder MODEL CALIBRATION_TEXT HELD_OUT_TEXT
#include <cstddef>
#include <cstdio>
#include <exception>
#include <span>
#include <string_view>
#include <vector>

#include "tessera/app/open_model.hpp"
#include "tessera/core/printable.hpp"
#include "tessera/encode/best_of.hpp"
#include "tessera/encode/encoders.hpp"
#include "tessera/encode/error_feedback.hpp"
#include "tessera/format.hpp"
#include "tessera/measure/evaluate.hpp"
#include "tessera/quantize.hpp"
#include "tessera/select.hpp"
#include "tessera/tensor.hpp"
#include "tessera/text.hpp"

// Coordinate descent on e H e': every weight in turn takes the level that is best for the errors of all the others.
struct coordinate_descent {
    static constexpr std::string_view name = "descent";
    static constexpr tessera::encoder_needs needs{.gram = true};
    static constexpr std::size_t rows_at_once = 1;
    int sweeps = 3;

    template <tessera::two_stage_format F>
    void operator()(tessera::format_tag<F>, tessera::matrix_view rows, const tessera::matrix_knowledge& known,
                    std::span<typename F::block> out) const {
        const std::span<const float> x = rows.row(0);
        std::vector<float> error(x.size());  // decoded less original
        std::vector<typename F::scales> scales;
        std::vector<typename F::code_array> codes(out.size());
        for (std::size_t b = 0; b < out.size(); ++b)
            scales.push_back(F::fit(x.subspan(b * F::block_size).template first<F::block_size>(),
                                    known.importance.subspan(b * F::block_size).template first<F::block_size>()));
        for (int sweep = 0; sweep <= sweeps; ++sweep)
            for (std::size_t c = 0; c < x.size(); ++c) {
                const std::span<const float> h = known.gram.row(c);
                double of_others = 0;
                for (std::size_t k = 0; k < x.size() && sweep > 0; ++k)
                    if (k != c) of_others += double{h[k]} * double{error[k]};
                const float aim = x[c] - (h[c] > 0 ? static_cast<float>(of_others / double{h[c]}) : 0.0f);
                const std::size_t b = c / F::block_size, i = c % F::block_size;
                codes[b][i] = F::round(scales[b], i, aim);
                error[c] = F::value(scales[b], i, codes[b][i]) - x[c];
            }
        for (std::size_t b = 0; b < out.size(); ++b) F::store(scales[b], codes[b], out[b]);
    }

    // Formats without codes, as F16.
    template <tessera::block_format F>
    void operator()(tessera::format_tag<F> format, tessera::matrix_view rows, const tessera::matrix_knowledge& known,
                    std::span<typename F::block> out) const {
        tessera::nearest{}(format, rows, known, out);
    }
};

using formats = tessera::format_list<tessera::f32, tessera::f16, tessera::bf16, tessera::q4_0>;

int main(int argc, char** argv) try {
    if (argc != 4) {
        std::fprintf(stderr, "usage: own_encoder MODEL CALIBRATION_TEXT HELD_OUT_TEXT\n");
        return 2;
    }
    const auto model = tessera::open_model(argv[1]);
    const tessera::text::tokenizer tokenizer(model.metadata());
    const auto windows_of = [&](const char* path, std::size_t limit) {
        const tessera::mapped_file file(path);
        return tessera::text::cut_windows(tokenizer, tessera::as_text(file.bytes()), {.length = 128, .limit = limit});
    };
    const auto text = tessera::text::hold_out(windows_of(argv[2], 64), 0.2, 1);
    const auto held_out = windows_of(argv[3], 16);
    const auto plan = tessera::select::make_plan(
        model.tensors(), tessera::select::uniform{tessera::layout_of<tessera::q4_0>}, formats::layouts);

    const auto divergence_with = [&](const auto& encoder) {
        tessera::memory_sink quantized;
        tessera::quantize<formats>(model, plan, encoder, tessera::from_quantized_inputs{text}, quantized,
                                   model.metadata());
        return tessera::evaluate(model, quantized, held_out).result().mean;
    };
    const auto print = [](std::string_view encoder, const tessera::estimate& kld) {
        std::printf("%-20.*s mean KLD %.5f ± %.5f nats\n", static_cast<int>(encoder.size()), encoder.data(), kld.value,
                    kld.error);
    };
    const auto weighted = divergence_with(tessera::weighted{});
    const auto own = divergence_with(tessera::best_of{tessera::weighted{}, coordinate_descent{}});
    const auto feedback = divergence_with(tessera::best_of{tessera::weighted{}, tessera::error_feedback{}});
    print("weighted", weighted);
    print("weighted or descent", own);
    print("weighted or feedback", feedback);
    return own.value < weighted.value && feedback.value < weighted.value ? 0 : 1;
} catch (const std::exception& e) {
    std::fprintf(stderr, "own_encoder: %s\n", tessera::printable(e.what()).c_str());
    return 1;
}
