// Finds tensors by name and checks their dimensions.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/core/tensor_index.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/decoder/linear.hpp"
#include "tessera/decoder/model_spec.hpp"
#include "tessera/tensor/concepts.hpp"

namespace tessera::decoder {

/// Takes tensors out of a source by name and remembers which, so that what is left over can be reported.
template <tensor_source Source>
class weight_binder {
public:
    using shape = std::initializer_list<std::uint64_t>;

    explicit weight_binder(const Source& source)
        : source_(source), tensors_(source.tensors()), index_(tensors_, "model"), taken_(tensors_.size()) {}

    [[nodiscard]] bool has(const std::string& name) const { return index_.find(name) != tensor_index::npos; }

    /// Throws when there is no such tensor or it has other dimensions.
    const tensor_info& take(const std::string& name, shape wanted) {
        const std::size_t position = index_.find(name);
        if (position == tensor_index::npos) fail("tensor ", name, ": wanted ", text(wanted), ", got no such tensor");
        const tensor_info& info = tensors_[position];
        std::array<std::uint64_t, 4> dims{1, 1, 1, 1};
        std::copy(wanted.begin(), wanted.end(), dims.begin());
        if (info.dims != dims)
            fail("tensor ", name, ": wanted ", text(wanted), ", got ", text({info.dims.data(), info.effective_rank()}));
        taken_[position] = true;
        return info;
    }

    /// `name`.weight with `name`.bias.
    linear matrix(const std::string& name, std::uint64_t inputs, std::uint64_t outputs,
                  presence bias = presence::optional) {
        return {&take(name + ".weight", {inputs, outputs}), 0, outputs, values_if(bias, name + ".bias", {outputs})};
    }
    /// `name`.weight, `count` matrices of equal shape in one tensor, with `name`.bias, if that is there.
    std::vector<linear> matrices(const std::string& name, std::uint64_t inputs, std::uint64_t outputs,
                                 std::uint64_t count) {
        const linear all{&take(name + ".weight", {inputs, outputs, count}), 0, outputs * count,
                         values_if(presence::optional, name + ".bias", {outputs, count})};
        std::vector<linear> parts;
        for (std::uint64_t i = 0; i < count; ++i) parts.push_back(slice(all, i * outputs, outputs));
        return parts;
    }
    /// All numbers of a small tensor.
    std::vector<float> values(const std::string& name, shape wanted) {
        const tensor_info& info = take(name, wanted);
        std::vector<float> all(info.weights());
        source_.read(info, 0, info.rows(), std::span<float>(all));
        return all;
    }
    /// The same, or nothing: where the part is absent, a tensor of that name is left over and reported.
    std::vector<float> values_if(presence part, const std::string& name, shape wanted) {
        const bool wants = part == presence::required || (part == presence::optional && has(name));
        return wants ? values(name, wanted) : std::vector<float>();
    }

    /// Lets the tensors whose names start so be: they are known, but not used.
    void ignore(std::string_view prefix) {
        for (std::size_t i = 0; i < tensors_.size(); ++i)
            if (std::string_view(tensors_[i].name).starts_with(prefix)) taken_[i] = true;
    }

    /// Throws when a tensor was never taken: a model with a part that would be ignored gives wrong figures.
    void require_all_taken(std::string_view architecture) const {
        const auto left = static_cast<std::size_t>(std::count(taken_.begin(), taken_.end(), false));
        if (left == 0) return;
        const auto first = std::find(taken_.begin(), taken_.end(), false) - taken_.begin();
        const std::string others = left > 1 ? concat(" and ", left - 1, " more") : "";
        fail("tensor ", tensors_[static_cast<std::size_t>(first)].name, others,
             ": wanted only tensors that architecture ", architecture, " has with this metadata, got unknown ones");
    }

private:
    [[nodiscard]] static std::string text(std::span<const std::uint64_t> dims) {
        std::string all;
        for (const std::uint64_t dim : dims) all += (all.empty() ? "" : ", ") + std::to_string(dim);
        return '[' + all + ']';
    }
    [[nodiscard]] static std::string text(shape dims) { return text(std::span(dims.begin(), dims.size())); }

    const Source& source_;
    std::span<const tensor_info> tensors_;
    tensor_index index_;
    std::vector<bool> taken_;
};

}  // namespace tessera::decoder
