// The program `tessera` with one more format: every command takes it by name, in a menu, in plans, and reads it.
#include <array>
#include <string_view>

#include "cli/run.hpp"
#include "tessera/format/combination.hpp"
#include "tessera/format/scalar_format.hpp"

// 3 bits for eight levels that lie closer around zero, 64 weights to an unsigned 8-bit scale.
struct q3_64_levels {
    static constexpr std::array<float, 8> levels{-1.0f, -0.55f, -0.27f, -0.08f, 0.08f, 0.27f, 0.55f, 1.0f};
};
struct q3_64_layout : tessera::combination<3, 64, tessera::scale<tessera::ue4m3>, tessera::level_table<q3_64_levels>> {
    static constexpr std::string_view name = "q3_64";
    static constexpr tessera::type_id type = tessera::type_id::first_private;
};
using q3_64 = tessera::scalar_format<q3_64_layout>;

// As few others as this example needs, which is what the time to compile it depends on. All of them, and one's own:
// tessera::builtin_formats::extend<q3_64>.
using formats = tessera::format_list<tessera::f32, tessera::f16, tessera::bf16, tessera::q8_0, tessera::q4_k, q3_64>;

int main(int argc, char** argv) { return cli::run<formats>(argc, argv); }
