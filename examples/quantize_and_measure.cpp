// The main job in a few lines: a model directory in, a smaller GGUF out, and how far it is from the original.
//   quantize_and_measure MODEL OUT.gguf TEXT
#include <cstdio>
#include <exception>
#include <string_view>

#include "tessera/core/bytes.hpp"
#include "tessera/core/printable.hpp"
#include "tessera/tessera.hpp"

namespace {

double quantize_and_measure(const char* directory, const char* output, std::string_view text) {
    const auto model = tessera::open_model(directory);
    const tessera::select::uniform rule{*tessera::builtin_formats::find("Q4_K")};
    const auto plan = tessera::select::make_plan(model.tensors(), rule, tessera::fallback_formats::layouts);
    tessera::gguf::writer file(output, {.inputs = model.files()});
    const auto properties = tessera::output_metadata(model.metadata(), plan);
    tessera::quantize(model, plan, tessera::weighted{}, tessera::from_importances{}, file, properties);

    const tessera::gguf::reader candidate(output);
    const tessera::text::tokenizer tokenizer(model.metadata());
    const auto windows = tessera::text::cut_windows(tokenizer, text, {.length = 256, .limit = 8});
    const auto kld = tessera::evaluate(model, candidate, windows).result().mean;
    std::printf("%.2f bits per weight, mean KLD %.4f ± %.4f nats\n", plan.bits_per_weight(), kld.value, kld.error);
    return kld.value;
}

}  // namespace

int main(int argc, char** argv) try {
    if (argc != 4) {
        std::fprintf(stderr, "usage: quantize_and_measure MODEL OUT.gguf TEXT\n");
        return 2;
    }
    const tessera::mapped_file text(argv[3]);
    const double kld = quantize_and_measure(argv[1], argv[2], tessera::as_text(text.bytes()));
    return kld > 0.0 && kld < 0.05 ? 0 : 1;
} catch (const std::exception& e) {
    std::fprintf(stderr, "quantize_and_measure: %s\n", tessera::printable(e.what()).c_str());
    return 1;
}
