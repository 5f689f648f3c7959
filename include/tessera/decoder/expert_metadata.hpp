// What metadata say of experts.
#pragma once

#include <algorithm>
#include <cstddef>

#include "tessera/decoder/architectures.hpp"
#include "tessera/decoder/metadata_reader.hpp"
#include "tessera/decoder/model_spec.hpp"

namespace tessera::decoder {

namespace detail {

[[nodiscard]] inline std::size_t read_shared_width(const metadata_reader& read, shared_width given, std::size_t dense,
                                                   std::size_t expert) {
    switch (given) {
        case shared_width::none: return 0;
        case shared_width::one_expert: return expert;
        case shared_width::count_of_experts: return expert * read.count("expert_shared_count", 0, 1024);
        case shared_width::own_key: return read.count_or("expert_shared_feed_forward_length", dense, 1);
    }
    return 0;
}

}  // namespace detail

/// The mixture of experts, if there is one. `spec` holds the sizes of the model by now.
[[nodiscard]] inline expert_spec read_experts(const metadata_reader& read, const architecture& row,
                                              const model_spec& spec) {
    const std::size_t feed_forward = spec.feed_forward;
    const routing_defaults& defaults = row.routing;
    expert_spec experts;
    experts.count = read.count_or("expert_count", 0, 0, 1024);
    if (experts.count == 0) return experts;
    experts.used = read.count("expert_used_count", 1, experts.count);
    experts.feed_forward = read.count_or("expert_feed_forward_length", feed_forward, 1);
    experts.shared = detail::read_shared_width(read, defaults.shared, feed_forward, experts.feed_forward);
    experts.gating = defaults.gating;
    experts.weighting = defaults.weighting;
    experts.target = defaults.target;
    const double scale = read.number_or_zero("expert_weights_scale", 1.0f);
    experts.scale = scale == 0.0 ? 1.0 : scale;
    if (!defaults.in_metadata) return experts;

    switch (read.count_or("expert_gating_func", 0, 0, 3)) {  // libllama's numbers
        case 1: experts.gating = expert_gating::softmax; break;
        case 2: experts.gating = expert_gating::sigmoid; break;
        case 3: experts.gating = expert_gating::softmax_of_chosen; break;
        default:
            // Files of GLM 4.7 Flash may lack the key. Loaders know the model by its size.
            if (defaults.glm_flash_exception && (spec.layers.size() == 47 || spec.layers.size() == 48) &&
                spec.vocabulary == 154880)
                experts.gating = expert_gating::sigmoid;
            break;
    }
    if (read.flag_or("expert_weights_norm", false)) experts.weighting = expert_weighting::renormalised;
    experts.groups = std::max<std::size_t>(1, read.count_or("expert_group_count", 0, 0, experts.count));
    if (experts.groups == 1) return experts;
    if (experts.count % experts.groups != 0)
        read.refuse("expert_group_count", experts.groups, "a divisor of the ", experts.count, " experts");
    experts.groups_used = read.count("expert_group_used_count", 1, experts.groups);
    if (const std::size_t reachable = experts.count / experts.groups * experts.groups_used; experts.used > reachable)
        read.refuse("expert_used_count", experts.used, "at most the ", reachable, " experts of the groups used");
    return experts;
}

}  // namespace tessera::decoder
