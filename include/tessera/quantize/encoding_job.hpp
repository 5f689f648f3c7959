// Everything between a plan and its sink but the knowledge: schedules bring that, matrix by matrix.
#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "tessera/config.hpp"
#include "tessera/core/bytes.hpp"
#include "tessera/core/function_ref.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/core/parallel.hpp"
#include "tessera/core/progress.hpp"
#include "tessera/core/stage_meter.hpp"
#include "tessera/core/tensor_info.hpp"
#include "tessera/core/tied_table.hpp"
#include "tessera/decoder/matrix.hpp"
#include "tessera/encode/best_of.hpp"
#include "tessera/encode/encoders.hpp"
#include "tessera/encode/gram_factor.hpp"
#include "tessera/encode/knowledge.hpp"
#include "tessera/format/builtin.hpp"
#include "tessera/quantize/encode_tile.hpp"
#include "tessera/quantize/encoding_work.hpp"
#include "tessera/quantize/kept_encoding.hpp"
#include "tessera/quantize/tensor_report.hpp"
#include "tessera/select/plan.hpp"
#include "tessera/tensor/concepts.hpp"

namespace tessera {

struct quantize_options {
    int threads = 0;                       ///< 0: all of the machine's
    std::uint64_t tile_weights = 1 << 20;  ///< weights that one thread has in flight, at least the rows of one call
    /// Where the work is noted, and gone on from; null: nowhere. For a sink whose rows stay.
    kept_encoding* kept = nullptr;
};

/// One matrix of a plan: of a tensor, or of a stack (an expert's).
struct plan_matrix {
    std::size_t tensor;  ///< place in the plan
    std::size_t matrix;  ///< in the stack
    bool operator==(const plan_matrix&) const = default;
};

/// The same with what is known of it; the knowledge lives as long as it is encoded.
struct known_matrix {
    plan_matrix at;
    matrix_knowledge known;
};

/// First rows of at most `count` tiles of a matrix, evenly spread.
[[nodiscard]] inline std::vector<std::size_t> spread_tiles(std::size_t rows, std::size_t tile, std::size_t count) {
    const std::size_t all = (rows + tile - 1) / tile;
    std::vector<std::size_t> firsts(std::min(all, count));
    for (std::size_t i = 0; i < firsts.size(); ++i) firsts[i] = (2 * i + 1) * all / (2 * firsts.size()) * tile;
    return firsts;
}

/// The work of one plan. A schedule calls encode() for matrices whose knowledge it has, each once; finish() does the
/// rest. Tensors that keep their type are copied byte for byte. The bytes written do not depend on threads and tiles.
template <class Formats, tensor_source Source, class Encoder, tensor_sink Sink>
class encoding_job {
public:
    using source_type = Source;
    using formats = Formats;

    /// All of these have to outlive the job.
    encoding_job(const Source& source, const select::plan& plan, const Encoder& encoder, Sink& sink,
                 const metadata& properties, const quantize_options& options, progress_callback report)
        : source_(source),
          plan_(plan),
          encoder_(encoder),
          sink_(sink),
          properties_(properties),
          options_(options),
          meter_(report, {"quantize", "weights", weights_of(plan), work_of(plan)}) {
        for (const select::choice& choice : plan.choices) is_done_.emplace_back(matrix_count(choice.target));
        reports_.resize(plan.choices.size());
        is_noted_.resize(plan.choices.size());
    }

    [[nodiscard]] const Source& source() const noexcept { return source_; }
    [[nodiscard]] const select::plan& plan() const noexcept { return plan_; }
    [[nodiscard]] const tensor_info& target(std::size_t tensor) const { return plan_.choices[tensor].target; }
    [[nodiscard]] static constexpr encoder_needs needs() noexcept { return Encoder::needs; }
    [[nodiscard]] int threads() const noexcept { return options_.threads; }

    /// Whether a schedule is to save where it stands after a layer, with what else goes with that.
    [[nodiscard]] bool is_kept() const noexcept { return options_.kept != nullptr; }
    void save(std::size_t layer, kept_states::states states, byte_view more) const {
        options_.kept->save(layer, states, more);
    }
    /// What another process has saved, and the layer to go on with.
    [[nodiscard]] std::optional<kept_states::loaded> load(kept_states::mutable_states states) const {
        return is_kept() ? options_.kept->load(states) : std::nullopt;
    }
    /// Takes over what another process has written of the tensors that `is_wanted` says: these matrices are done. False
    /// when some of it is not in the output any more, in spite of what was noted; where tensors are lost all together,
    /// nothing is taken over then. To be called once, before anything is encoded.
    template <class Wanted>
    bool resume(const Wanted& is_wanted, lost_tensors lost) {
        if (options_.kept == nullptr) return true;
        begin();
        const std::vector<tensor_info> targets = plan_.targets();
        std::vector<kept_encoding::tensor> all = options_.kept->read(targets, encoder_names(), options_.threads);
        bool is_whole = true;
        for (std::size_t t = 0; t < all.size(); ++t)
            is_whole = is_whole && (!is_wanted(targets[t]) || !all[t].was_noted || !all[t].matrices.empty());
        if (!is_whole && lost == lost_tensors::all_together) return false;
        for (std::size_t t = 0; t < all.size(); ++t) {
            if (all[t].matrices.empty() || !is_wanted(targets[t])) continue;
            for (const auto& [matrix, sum] : all[t].matrices) is_done_[t][matrix] = true;
            options_.kept->count_written(targets[t], all[t]);
            const double share =
                static_cast<double>(all[t].matrices.size()) / static_cast<double>(matrix_count(targets[t]));
            meter_.add(share * work_of(plan_.choices[t]), targets[t].name);
            reports_[t] = std::move(all[t].report);
            is_noted_[t] = true;
        }
        return is_whole;
    }
    /// A schedule has work of its own to do (see stage_meter).
    void expect(double work) noexcept { meter_.expect(work); }

    /// The matrices of the plan that are still to be encoded and made of a matrix of a source's tensor. For an output
    /// matrix that the plan has not, the table of embeddings is taken, which is written in its place.
    [[nodiscard]] std::vector<plan_matrix> waiting_for(std::string_view tensor, std::size_t matrix) const {
        const auto named = [&](std::string_view name) {
            return std::ranges::find(plan_.choices, name,
                                     [](const auto& c) { return std::string_view(c.target.name); });
        };
        auto choice = named(tensor);
        if (choice == plan_.choices.end() && tensor == output_name) choice = named(embedding_name);
        if (choice == plan_.choices.end() || !choice->is_encoded()) return {};
        const auto t = static_cast<std::size_t>(choice - plan_.choices.begin());
        if (is_done_[t][matrix]) return {};
        return {{t, matrix}};
    }
    [[nodiscard]] bool is_done(const plan_matrix& m) const { return is_done_[m.tensor][m.matrix]; }

    /// Encodes matrices, or copies them, and writes them. The encoder is `weighted` where less is known than it needs.
    void encode(std::span<const known_matrix> matrices) {
        const decoder::serial_products guard;
        std::vector<std::size_t> chosen(matrices.size());
        if constexpr (choosing_encoder<Encoder>) chosen = choose(matrices);
        encode_by(matrices, [&](std::size_t i, auto&& f) { with_encoder(encoder_, matrices[i].known, chosen[i], f); });
    }
    void encode(const known_matrix& matrix) { encode({&matrix, 1}); }

    /// Encodes matrices whose weights lie on their format's grid, without a loss and whatever there is to know; of
    /// these the answer is true.
    bool encode_exact(const plan_matrix& m) {
        const select::choice& choice = plan_.choices[m.tensor];
        constexpr std::size_t sampled = 64;
        for (const std::size_t first : spread_tiles(choice.target.dims[1], sampled, 4)) {
            const std::size_t rows = std::min<std::size_t>(sampled, choice.target.dims[1] - first);
            const std::uint64_t row = m.matrix * choice.target.dims[1] + first;
            const row_tile tile(source_, stored(choice), row, rows, {});
            std::vector<std::byte> bytes;
            const encoding_error error = encode_tile<Formats>(choice.target, row, tile.rows(), {}, weighted{}, bytes);
            if (error.plain.squared_error != 0) return false;
        }
        const known_matrix matrix{m, {}};
        encode_by({&matrix, 1}, [](std::size_t, auto&& f) { f(weighted{}); });
        return true;
    }

    /// Sets an observer of what is written; it is called from several threads.
    using write_observer = function_ref<void(const tensor_info& target, std::uint64_t first_row, byte_view bytes)>;
    void watch(write_observer observer) { observer_ = observer; }

    /// Encodes and copies everything that is not done yet, with nothing known of it, and ends the sink. Returns a
    /// report per tensor, in the plan's order.
    [[nodiscard]] std::vector<tensor_report> finish() {
        std::vector<known_matrix> rest;
        for (std::size_t t = 0; t < is_done_.size(); ++t)
            for (std::size_t m = 0; m < is_done_[t].size(); ++m)
                if (!is_done_[t][m]) rest.push_back({{t, m}, {}});
        encode(rest);
        sink_.finish();
        meter_.finish();
        return std::move(reports_);
    }

private:
    // pick(i, f) calls f with the encoder of the i-th matrix.
    template <class Pick>
    void encode_by(std::span<const known_matrix> matrices, const Pick& pick) {
        begin();
        // The matrices of one tensor, which are accounted for when the last tile is written.
        struct group {
            std::vector<std::size_t> matrices;
            std::size_t first_tile = 0, tiles = 0;
            std::atomic<std::size_t> left = 0;
        };
        std::map<std::size_t, group> groups;  // by tensor
        for (std::size_t i = 0; i < matrices.size(); ++i) groups[matrices[i].at.tensor].matrices.push_back(i);
        struct tile {
            group* of;
            std::size_t at, first, rows;
        };
        std::vector<tile> tiles;
        for (auto& [tensor, g] : groups) {
            const std::size_t rows = target(tensor).dims[1], step = tile_rows(target(tensor));
            g.first_tile = tiles.size();
            for (const std::size_t i : g.matrices)
                for (std::size_t r = 0; r < rows; r += step) tiles.push_back({&g, i, r, std::min(step, rows - r)});
            g.left = g.tiles = tiles.size() - g.first_tile;
        }
        std::vector<encoding_error> errors(tiles.size());
        const auto complete = [&](const group& g) {
            const std::size_t tensor = matrices[g.matrices.front()].at.tensor;
            for (std::size_t p = g.first_tile; p < g.first_tile + g.tiles;
                 ++p)  // in order: sums do not depend on threads
                reports_[tensor].error += errors[p];
            for (const std::size_t i : g.matrices)
                pick(i, [&, at = i]<class E>(const E&) { account(matrices[at], E::name); });
            if (options_.kept == nullptr) return;
            std::vector<std::size_t> numbers;
            for (const std::size_t i : g.matrices) numbers.push_back(matrices[i].at.matrix);
            using enum kept_encoding::part;
            const auto part = std::exchange(is_noted_[tensor], true) ? further : first;
            options_.kept->add(tensor, target(tensor), part, numbers, reports_[tensor]);
        };
        parallel_for(tiles.size(), options_.threads, [&](std::size_t p) {
            const auto& [of, i, first, rows] = tiles[p];
            pick(i, [&, at = i, row = first, count = rows](const auto& encoder) {
                errors[p] = write(matrices[at], row, count, encoder);
            });
            if (of->left.fetch_sub(1) == 1) complete(*of);  // what other threads wrote is there
            const std::lock_guard lock(reporting_);
            const select::choice& choice = plan_.choices[matrices[i].at.tensor];
            const double share = static_cast<double>(rows) / static_cast<double>(choice.target.rows());
            meter_.add(share * work_of(choice), choice.target.name);
        });
        for (const auto& [tensor, g] : groups)  // of tensors without rows
            if (g.tiles == 0) complete(g);
    }

    void begin() {
        if (std::exchange(has_begun_, true)) return;
        const std::vector<tensor_info> targets = plan_.targets();
        sink_.begin(std::span<const tensor_info>(targets), properties_);
    }

    // Of all that may encode a matrix.
    [[nodiscard]] static std::vector<std::string_view> encoder_names() {
        std::vector<std::string_view> names{Encoder::name, weighted::name};
        if constexpr (choosing_encoder<Encoder>)
            names.insert(names.end(), Encoder::names.begin(), Encoder::names.end());
        return names;
    }

    [[nodiscard]] static std::uint64_t weights_of(const select::plan& plan) {
        std::uint64_t weights = 0;
        for (const select::choice& choice : plan.choices) weights += choice.target.weights();
        return weights;
    }
    [[nodiscard]] static double work_of(const select::choice& choice) {
        if (!choice.is_encoded() || std::is_same_v<Encoder, nearest>) return copying_work(choice.target);
        return needs().any() ? feedback_work(choice.target) : search_work(choice.target);
    }
    [[nodiscard]] static double work_of(const select::plan& plan) {
        double work = 0;
        for (const select::choice& choice : plan.choices) work += work_of(choice);
        return work;
    }

    // What a choice's rows are called and how they are stored in the source.
    [[nodiscard]] static tensor_info stored(const select::choice& choice) {
        tensor_info info = choice.target;
        info.name = choice.source_name();
        info.layout = choice.source;
        return info;
    }

    // Encoders that take many rows at once take long for them: a call is a tile.
    [[nodiscard]] std::size_t tile_rows(const tensor_info& info) const {
        constexpr std::size_t at_once = Encoder::rows_at_once;
        if constexpr (at_once > 1) return std::min<std::size_t>(at_once, info.dims[1]);
        return std::max<std::size_t>(1, options_.tile_weights / std::max<std::uint64_t>(1, info.columns()));
    }

    // For every matrix the place of the encoder with the least error on sampled rows.
    [[nodiscard]] std::vector<std::size_t> choose(std::span<const known_matrix> matrices)
    requires choosing_encoder<Encoder>
    {
        struct sample {
            std::size_t at, first;
        };
        std::vector<sample> samples;
        for (std::size_t i = 0; i < matrices.size(); ++i) {
            const select::choice& choice = plan_.choices[matrices[i].at.tensor];
            if (!choice.is_encoded() || matrices[i].known.judge().rows() == 0) continue;
            for (const std::size_t first : spread_tiles(choice.target.dims[1], Encoder::rows_at_once, 4))
                samples.push_back({i, first});
        }
        std::vector<typename Encoder::errors> lost(samples.size()), sums(matrices.size());
        parallel_for(samples.size(), options_.threads, [&](std::size_t s) {
            const plan_matrix& at = matrices[samples[s].at].at;
            const matrix_knowledge& known = matrices[samples[s].at].known;
            const select::choice& choice = plan_.choices[at.tensor];
            const std::size_t first = samples[s].first, all = choice.target.dims[1];
            const row_tile tile(source_, stored(choice), at.matrix * all + first,
                                std::min<std::size_t>(Encoder::rows_at_once, all - first), known);
            Formats::dispatch(choice.target.type(), [&]<class F>(format_tag<F> format) {
                lost[s] = encoder_.try_all(format, tile.rows(), known);
            });
        });
        for (std::size_t s = 0; s < samples.size(); ++s)
            for (std::size_t e = 0; e < lost[s].size(); ++e) sums[samples[s].at][e] += lost[s][e];
        std::vector<std::size_t> chosen(matrices.size());
        for (std::size_t i = 0; i < matrices.size(); ++i) {
            chosen[i] = encoder_.choose(sums[i], matrices[i].known);
            if (matrices[i].known.held_out.rows() == 0) continue;
            for (std::size_t e = 0; e < Encoder::size; ++e)
                if (sums[i][e].outputs > 0 && std::isfinite(sums[i][e].outputs))
                    reports_[matrices[i].at.tensor].of(Encoder::names[e]).held_out_error += sums[i][e].outputs;
        }
        return chosen;
    }

    // Copies the rows where the type stays, else encodes them.
    template <class E>
    encoding_error write(const known_matrix& m, std::size_t first, std::size_t rows, const E& encoder) const {
        const select::choice& choice = plan_.choices[m.at.tensor];
        const tensor_info& target = choice.target;
        const tensor_info info = stored(choice);
        const std::uint64_t first_row = m.at.matrix * target.dims[1] + first;
        encoding_error error;
        byte_view copied;
        if constexpr (packed_tensor_source<Source>)
            if (info.type() == target.type()) copied = source_.packed(info, first_row, rows);
        std::vector<std::byte> encoded;
        if constexpr (requires { encoded = source_.repacked(info, first_row, rows); })
            if (info.type() == target.type() && copied.empty()) encoded = source_.repacked(info, first_row, rows);
        if (const byte_view same = copied.empty() ? byte_view(encoded) : copied; !same.empty()) {
            detail::require_finite<Formats>(info, first_row, same);
        } else {
            const row_tile tile(source_, info, first_row, rows, m.known);
            error = encode_tile<Formats>(target, first_row, tile.rows(), m.known, encoder, encoded);
        }
        const byte_view bytes = copied.empty() ? byte_view(encoded) : copied;
        sink_.write(target, first_row, bytes);
        if (observer_) observer_(target, first_row, bytes);
        if constexpr (requires { source_.release(info, first_row, rows); })
            if (!copied.empty()) source_.release(info, first_row, rows);
        return error;
    }

    // What is done goes into the report.
    void account(const known_matrix& m, std::string_view encoder) {
        TESSERA_ASSERT(!is_done_[m.at.tensor][m.at.matrix], "every matrix is encoded once");
        is_done_[m.at.tensor][m.at.matrix] = true;
        if (!plan_.choices[m.at.tensor].is_encoded()) return;
        tensor_report& report = reports_[m.at.tensor];
        ++report.of(encoder).matrices;
        if (m.known.factor == nullptr) return;
        report.most_damping = std::max(report.most_damping, m.known.factor->damping());
        report.least_coupling = std::min(report.least_coupling, m.known.factor->coupling());
    }

    const Source& source_;
    const select::plan& plan_;
    const Encoder& encoder_;
    Sink& sink_;
    const metadata& properties_;
    quantize_options options_;
    write_observer observer_{};
    bool has_begun_ = false;
    std::vector<tensor_report> reports_;
    std::vector<std::vector<char>> is_done_;  // tensor, matrix
    std::vector<char> is_noted_;              // by tensor: some of its matrices are in what is kept
    std::mutex reporting_;
    stage_meter meter_;
};

}  // namespace tessera
