// What an encoding has written, noted so that another process goes on from there.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/calibrate/kept_states.hpp"
#include "tessera/core/bytes.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/journal.hpp"
#include "tessera/core/parallel.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/gguf/cursor.hpp"
#include "tessera/gguf/serialize.hpp"
#include "tessera/quantize/tensor_report.hpp"

namespace tessera {

/// An output that stays when its process ends, as the library sees it. Tensors have the names of the plan.
struct resumable_output {
    std::function<std::uint64_t(std::string_view tensor, std::uint64_t first_row, std::uint64_t rows)> sum_of_rows;
    std::function<void(std::string_view tensor, std::uint64_t rows)> count_written;
    std::function<void()> sync;
};

/// What is done where the output does not hold what was noted of a tensor, as after a loss of power: this tensor is
/// encoded again, or all of them.
enum class lost_tensors { one_by_one, all_together };

/// A journal of the matrices that are in the output, and the hidden states that the next layer begins with.
class kept_encoding {
public:
    /// What is known of a tensor: its matrices in the output, and its report so far.
    struct tensor {
        std::vector<std::pair<std::uint64_t, std::uint64_t>> matrices{};  ///< number and checksum
        tensor_report report{};
        bool was_noted = false;  ///< perhaps of matrices that are not in the output any more
    };

    /// `identity` covers the plan, and all else that bytes depend on. Throws as a journal does.
    kept_encoding(const std::filesystem::path& path, const work_identity& identity, resumable_output output)
        : pass_(path, kind, identity), output_(std::move(output)) {}

    /// Where the pass of a schedule stands, between two layers. What was encoded before is on disk first.
    void save(std::size_t layer, kept_states::states states, byte_view more) const {
        output_.sync();
        pass_.save(layer, states, more);
    }
    [[nodiscard]] std::optional<kept_states::loaded> load(kept_states::mutable_states states) const {
        return pass_.load(states);
    }

    /// Whether earlier processes have noted something.
    [[nodiscard]] bool is_begun() const noexcept { return !pass_.records().empty(); }

    /// What an encoding has left: the tensors of which something is noted, as places in its plan, and the layer that
    /// its schedule would go on from.
    struct left {
        std::vector<std::size_t> tensors{};
        std::size_t layer = 0;
    };
    /// As journal::look.
    [[nodiscard]] static left look(const std::filesystem::path& path, const work_identity& part) {
        const kept_pass::left found = kept_pass::look(path, kind, part);
        left all{{}, found.layer};
        for (const byte_view record : found.records.records())
            if (record.size() >= sizeof(std::uint64_t)) all.tensors.push_back(load_bytes<std::uint64_t>(record.data()));
        std::ranges::sort(all.tensors);
        all.tensors.erase(std::unique(all.tensors.begin(), all.tensors.end()), all.tensors.end());
        return all;
    }

    /// What is noted of a tensor: its first matrices, which make what was noted before worth nothing, or further ones.
    enum class part { first, further };

    /// Notes that matrices are in the output, with the report of their tensor so far. From any thread; for one tensor
    /// from one at a time.
    void add(std::size_t place, const tensor_info& info, part which, std::span<const std::size_t> matrices,
             const tensor_report& report) {
        gguf::byte_buffer out;
        const auto put = [&](auto value) { gguf::detail::put(out, value); };
        put(std::uint64_t{place});
        put(static_cast<std::uint8_t>(which));
        put(std::uint64_t{matrices.size()});
        for (const std::size_t m : matrices) {
            put(std::uint64_t{m});
            put(sum_of(info, m));
        }
        for (const weight_error& e : {report.error.plain, report.error.weighted}) {
            put(e.squared_error);
            put(e.squared_norm);
        }
        const saturation& s = report.error.saturated;
        for (const std::uint64_t number : {s.blocks, s.row, s.column}) put(number);
        put(s.weight);
        put(s.stored);
        put(report.most_damping);
        put(report.least_coupling);
        put(std::uint64_t{report.encoders.size()});
        for (const tensor_report::share& share : report.encoders) {
            put(share.encoder);
            put(std::uint64_t{share.matrices});
            put(share.held_out_error);
        }
        pass_.append(out.bytes);
    }

    /// What earlier processes have noted, by place in a plan of these tensors. Of a tensor that the output does not
    /// hold as noted, nothing but that is left. The names of encoders are some of `encoders`. Throws unfit_work when
    /// the journal contradicts itself.
    [[nodiscard]] std::vector<tensor> read(std::span<const tensor_info> tensors,
                                           std::span<const std::string_view> encoders, int threads) const {
        std::vector<tensor> all(tensors.size());
        try {
            for (const byte_view record : pass_.records()) take(record, tensors, encoders, all);
        } catch (const error& problem) {
            throw unfit_work(problem.what());
        }
        struct item {
            std::size_t tensor, matrix;
        };
        std::vector<item> items;
        for (std::size_t t = 0; t < all.size(); ++t)
            for (std::size_t m = 0; m < all[t].matrices.size(); ++m) items.push_back({t, m});
        std::vector<char> is_there(items.size());
        parallel_for(items.size(), threads, [&](std::size_t i) {
            const auto& [matrix, sum] = all[items[i].tensor].matrices[items[i].matrix];
            is_there[i] = sum_of(tensors[items[i].tensor], matrix) == sum;
        });
        for (std::size_t i = 0; i < items.size(); ++i)
            if (!is_there[i]) all[items[i].tensor] = {.was_noted = true};
        return all;
    }
    void count_written(const tensor_info& info, const tensor& kept) const {
        output_.count_written(info.name, kept.matrices.size() * info.dims[1]);
    }

private:
    static constexpr std::string_view kind = "encoded tensors";

    [[nodiscard]] std::uint64_t sum_of(const tensor_info& info, std::uint64_t matrix) const {
        return output_.sum_of_rows(info.name, matrix * info.dims[1], info.dims[1]);
    }

    void take(byte_view record, std::span<const tensor_info> tensors, std::span<const std::string_view> encoders,
              std::vector<tensor>& all) const {
        const std::string where = pass_.path().string();
        gguf::cursor in(record, where);
        const auto place = in.take<std::uint64_t>("place of a tensor");
        if (place >= tensors.size()) fail(where, ": wanted a tensor below ", tensors.size(), ", got ", place);
        tensor& kept = all[place];
        const auto which = static_cast<part>(in.take<std::uint8_t>("part of a tensor"));
        if (which == part::first) kept = {};
        for (auto left = in.take_count(16, "number of matrices"); left > 0; --left) {
            const auto matrix = in.take<std::uint64_t>("matrix");
            if (matrix >= matrix_count(tensors[place]) ||
                std::ranges::find(kept.matrices, matrix, [](const auto& m) { return m.first; }) != kept.matrices.end())
                fail(where, ": tensor ", tensors[place].name, ": wanted each of its matrices once, got ", matrix);
            kept.matrices.emplace_back(matrix, in.take<std::uint64_t>("checksum"));
        }
        tensor_report report;
        for (weight_error* e : {&report.error.plain, &report.error.weighted}) {
            e->squared_error = in.take<double>("error");
            e->squared_norm = in.take<double>("norm");
        }
        saturation& s = report.error.saturated;
        for (std::uint64_t* number : {&s.blocks, &s.row, &s.column}) *number = in.take<std::uint64_t>("saturation");
        s.weight = in.take<float>("weight");
        s.stored = in.take<float>("stored weight");
        report.most_damping = in.take<double>("damping");
        report.least_coupling = in.take<double>("coupling");
        for (auto left = in.take_count(24, "number of encoders"); left > 0; --left) {
            const std::string_view name = in.take_text("encoder");
            const auto known = std::ranges::find(encoders, name);
            if (known == encoders.end()) fail(where, ": wanted an encoder of this work, got ", name);
            const auto matrices = in.take<std::uint64_t>("matrices of an encoder");
            report.encoders.push_back({*known, matrices, in.take<double>("error of held-out text")});
        }
        kept.report = std::move(report);
        kept.was_noted = true;
    }

    kept_pass pass_;
    resumable_output output_;
};

}  // namespace tessera
