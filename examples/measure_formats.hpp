// For the examples: packs one tensor of a model in several formats and prints what that costs.
#pragma once

#include <cstdio>
#include <string>
#include <vector>

#include "tessera/app/open_model.hpp"
#include "tessera/encode.hpp"
#include "tessera/measure/weight_error.hpp"
#include "tessera/quantize/pack.hpp"

/// The first matrix with this name, as floats.
struct named_matrix {
    std::vector<float> values;
    std::size_t columns = 0;

    named_matrix(const char* model_path, const std::string& name) {
        const auto model = tessera::open_model(model_path);
        for (const tessera::tensor_info& info : model.tensors()) {
            if (info.name != name) continue;
            columns = info.columns();
            values.resize(info.weights());
            model.read(info, 0, info.rows(), values);
            return;
        }
        tessera::fail(model_path, ": wanted a tensor ", name, ", got none of that name");
    }
    [[nodiscard]] tessera::matrix_view view() const { return {values, columns}; }
};

/// A line for each format: bits per weight and the relative error of its plain reference and of the weighted encoder.
template <tessera::block_format... Formats>
void print_errors(tessera::matrix_view weights) {
    std::printf("format      bits/weight  nearest  weighted\n");
    const auto line = [&]<class F>(tessera::format_tag<F>) {
        const auto plain = tessera::quantize<F>(weights, {}, tessera::nearest{});
        const auto searched = tessera::quantize<F>(weights, {}, tessera::weighted{});
        std::printf("%-10s  %11.3f  %6.2f %%  %7.2f %%\n", std::string(F::name).c_str(), tessera::bits_per_weight<F>,
                    100 * tessera::measure_error(weights, plain).relative(),
                    100 * tessera::measure_error(weights, searched).relative());
    };
    (line(tessera::format_tag<Formats>{}), ...);
}
