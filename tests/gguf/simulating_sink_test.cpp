// Values of formats of one's own in files of stock types.
#include <cmath>
#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "support/own_formats.hpp"
#include "support/random.hpp"
#include "support/support.hpp"
#include "tessera/format/builtin.hpp"
#include "tessera/gguf/reader.hpp"
#include "tessera/gguf/writer.hpp"
#include "tessera/tensor/memory.hpp"
#include "tessera/tensor/simulating_sink.hpp"

using namespace tessera;
using support::own_nibbles;

namespace {

using own_list = format_list<f32, q4_0, own_nibbles>;

template <class F>
std::vector<typename F::block> packed(const std::vector<float>& x) {
    std::vector<typename F::block> blocks(x.size() / F::block_size);
    for (std::size_t b = 0; b < blocks.size(); ++b)
        F::encode(std::span<const float, F::block_size>(x.data() + b * F::block_size, F::block_size), blocks[b]);
    return blocks;
}

template <class F>
byte_view bytes_of(const std::vector<F>& blocks) {
    return as_byte_view(std::span<const F>(blocks));
}

tensor_info matrix(std::string name, std::uint64_t columns, std::uint64_t rows, const type_layout& layout) {
    return {.name = std::move(name), .dims = {columns, rows, 1, 1}, .rank = 2, .layout = layout};
}

double relative_error(std::span<const float> a, std::span<const float> b) {
    double error = 0, norm = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        error += std::pow(double{a[i]} - double{b[i]}, 2);
        norm += double{b[i]} * double{b[i]};
    }
    return std::sqrt(error / norm);
}

}  // namespace

TEST_CASE("values of a format of one's own land in a file of stock types") {
    const support::scratch_dir folder;
    const std::vector<tensor_info> tensors{matrix("own", 96, 8, layout_of<own_nibbles>),
                                           matrix("stock", 64, 4, layout_of<q4_0>),
                                           matrix("plain", 5, 3, layout_of<f32>)};
    const auto x = support::gaussian(96 * 8, 1), y = support::gaussian(64 * 4, 2), z = support::gaussian(15, 3);
    const auto own = packed<own_nibbles>(x);
    const auto stock = packed<q4_0>(y);
    std::vector<float> wanted(x.size());
    decode_blocks<own_nibbles>(own, wanted);

    const auto written = [&]<class Stored>(format_tag<Stored>, simulated which) {
        const std::filesystem::path path = folder / "simulated.gguf";
        gguf::writer file(path);
        auto sink = simulate<own_list, Stored>(file, which);
        sink.begin(tensors, {});
        sink.write(tensors[2], 0, bytes_of(z));
        for (std::uint64_t row = 8; row-- > 0;)  // in any order
            sink.write(tensors[0], row, bytes_of(own).subspan(row * tensors[0].row_bytes(), tensors[0].row_bytes()));
        sink.write(tensors[1], 0, bytes_of(stock));
        sink.finish();
        return path;
    };

    SUBCASE("as they are, where half precision holds them") {
        const gguf::reader file{written(format_tag<f16>{}, simulated::foreign)};
        CHECK(file.tensors()[0].type() == type_id::f16);
        CHECK(file.tensors()[1].type() == type_id::q4_0);
        CHECK(file.tensors()[2].type() == type_id::f32);
        CHECK(file.metadata().require<std::uint32_t>("general.file_type") == 1);
        CHECK(file.metadata().require<std::vector<std::string>>("tessera.simulated") ==
              std::vector<std::string>{"own_nibbles"});
        std::vector<float> values(x.size());
        file.read(file.tensors()[0], 0, 8, values);
        for (std::size_t i = 0; i < values.size(); ++i) CHECK(values[i] == static_cast<float>(half(wanted[i])));
        CHECK(relative_error(values, wanted) < 0x1p-11);
    }
    SUBCASE("nearly, in 8 bits; rows that 8 bits do not take in 16") {
        const gguf::reader file{written(format_tag<q8_0>{}, simulated::quantized)};
        CHECK(file.tensors()[0].type() == type_id::q8_0);
        CHECK(file.tensors()[1].type() == type_id::q8_0);
        std::vector<float> values(x.size());
        file.read(file.tensors()[0], 0, 8, values);
        CHECK(relative_error(values, wanted) < 0.01);
        CHECK(relative_error(values, wanted) > 0.0);
    }
}

TEST_CASE("a simulation refuses what the stored type cannot hold, and rows that are not announced") {
    memory_sink kept;
    auto sink = simulate<format_list<bf16, own_nibbles>, f16>(kept, simulated::foreign);
    const std::vector<tensor_info> tensors{matrix("t", 32, 1, layout_of<own_nibbles>)};
    sink.begin(tensors, {});
    std::vector<own_nibbles::block> blocks(1);
    own_nibbles::store({half(60000.0f)}, {7}, blocks[0]);
    const std::string message = support::message_of<error>([&] { sink.write(tensors[0], 0, bytes_of(blocks)); });
    CHECK(message.starts_with("tensor t: row 0, column 0: wanted a number that F16 can hold, got "));
    CHECK_THROWS_AS(sink.write(tensors[0], 1, bytes_of(blocks)), error);
    CHECK_THROWS_AS(sink.finish(), error);
}
