// What the file of a quantization will hold, and how many bytes of it are foretold before there is a plan.
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <vector>

#include "tessera/app/any_model.hpp"
#include "tessera/app/any_sink.hpp"
#include "tessera/app/disk_space.hpp"
#include "tessera/app/encoding.hpp"
#include "tessera/app/plan.hpp"
#include "tessera/app/quantize_options.hpp"
#include "tessera/app/target_size.hpp"
#include "tessera/core/bytes.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/core/type_id.hpp"
#include "tessera/gguf/layout.hpp"
#include "tessera/select/menu.hpp"
#include "tessera/select/mix_model.hpp"
#include "tessera/select/plan.hpp"
#include "tessera/select/strategies.hpp"
#include "tessera/tensor/simulating_sink.hpp"

namespace tessera::app {

/// What a file holds.
struct stored_model {
    std::vector<tensor_info> tensors{};
    metadata properties{};

    [[nodiscard]] std::uint64_t tensor_bytes() const {
        std::uint64_t sum = 0;
        for (const tensor_info& info : tensors) sum += info.bytes();
        return sum;
    }
    [[nodiscard]] std::uint64_t file_bytes() const { return gguf::file_size(tensors, properties); }

    // A sink that keeps what it is told first.
    void begin(std::span<const tensor_info> list, const metadata& keys) {
        tensors.assign(list.begin(), list.end());
        properties = keys;
    }
    void write(const tensor_info&, std::uint64_t, byte_view) {}
    void finish() {}
};

/// What the file of a plan will hold: the plan's tensors, or what stores their values.
[[nodiscard]] inline stored_model stored_as(const select::plan& plan, const output_options& output,
                                            const metadata& properties, const any_encoders& formats) {
    stored_model stored;
    formats.store(any_sink(stored), output.simulate, output.which, [&](any_sink sink) {
        const std::vector<tensor_info> targets = plan.targets();
        sink.begin(targets, properties);
    });
    return stored;
}

namespace detail {

// Bytes of the largest file that a target's menu allows: one type for all tensors, but what is stored in fewer bits
// stays, where it may.
[[nodiscard]] inline std::uint64_t most_bytes(const quantize_options& options, const any_model& model,
                                              const any_encoders& formats) {
    const select::menu choices = select::parse_menu(options.target.menu, formats.layouts, formats.portable());
    const bool may_stay = choices.stored == select::stored_type::allowed;
    const auto tensors = model.tensors();
    const pinned_by_name pins(options.names.pins, tensors, formats);
    const auto bytes_in = [&](const std::optional<type_layout>& format) {
        const auto rule = [&](const tensor_info& info) {
            const bool stays = !format || (may_stay && format->bits_per_weight() > info.layout.bits_per_weight());
            return std::optional(stays ? info.layout : *format);
        };
        const select::plan plan = select::make_plan(tensors, select::first_match(pins, rule), formats.fallback);
        return stored_as(plan, options.output, {}, formats).tensor_bytes();
    };
    std::uint64_t most = may_stay ? bytes_in(std::nullopt) : 0;
    for (const type_layout& format : choices.formats) most = std::max(most, bytes_in(format));
    return most;
}

// Bytes of the file, as far as they are known before the plan is.
[[nodiscard]] inline disk_need expected_output(const quantize_options& options, const any_model& model,
                                               const select::plan& loaded, const any_encoders& formats) {
    const target_options& target = options.target;
    const std::filesystem::path& path = options.output.path;
    if (target.is_given() && options.plan.empty()) {
        if (target.kld || options.output.simulate != simulated_store::none)
            return {path, most_bytes(options, model, formats), byte_bound::at_most};
        return {path,
                target.bytes ? *target.bytes : bits_per_weight_limit(*target.bits_per_weight, model.tensors()).bytes};
    }
    using columns = select::mix_model::importances;
    const bool has_importances = !options.importances.texts.empty() || !options.importances.file.empty();
    const select::plan plan = options.plan.empty()
                                  ? plan_by_name(model.tensors(), model.metadata(), options.names,
                                                 has_importances ? columns::present : columns::absent, formats)
                                  : loaded;
    return {path, stored_as(plan, options.output, {}, formats).tensor_bytes()};
}

}  // namespace detail

}  // namespace tessera::app
