// The best file of a size, from a model, a text to calibrate on and the size:
//   quantize_to_size MODEL TEXT 1.3MB OUT.gguf
#include <cstdint>
#include <cstdio>
#include <exception>
#include <string_view>

#include "tessera/app/quantize.hpp"
#include "tessera/core/byte_count.hpp"
#include "tessera/core/printable.hpp"

// What may be chosen from. tessera::builtin_formats is all there is, and takes minutes to compile.
using formats = tessera::format_list<tessera::f32, tessera::f16, tessera::bf16, tessera::q8_0, tessera::q6_k,
                                     tessera::q4_k, tessera::iq3_s, tessera::q2_k>;

int main(int argc, char** argv) try {
    if (argc != 5) {
        std::fprintf(stderr, "usage: quantize_to_size MODEL TEXT SIZE OUT.gguf\n");
        return 2;
    }
    const auto say = [](std::string_view sentence) { std::puts(tessera::printable(sentence).c_str()); };
    const std::uint64_t size = tessera::parse_byte_count(argv[3]);
    const auto made = tessera::app::quantize_to_size<formats>(argv[1], {argv[2]}, size, argv[4], {.said = say});
    std::printf("%ju bytes, %.2f bits per weight, predicted mean KLD %.4f nats\n",
                static_cast<std::uintmax_t>(made.file_bytes), made.plan.bits_per_weight(), *made.plan.damage());
    return made.file_bytes <= size ? 0 : 1;
} catch (const std::exception& e) {
    std::fprintf(stderr, "quantize_to_size: %s\n", tessera::printable(e.what()).c_str());
    return 1;
}
