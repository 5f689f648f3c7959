// An evaluation in the making, kept layer by layer and candidate by candidate.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/app/work_files.hpp"
#include "tessera/calibrate/kept_states.hpp"
#include "tessera/core/bytes.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/journal.hpp"
#include "tessera/decoder/activations.hpp"
#include "tessera/gguf/cursor.hpp"
#include "tessera/gguf/serialize.hpp"
#include "tessera/measure/kl_divergence.hpp"
#include "tessera/measure/scored_model.hpp"

namespace tessera::app {

/// A journal of the candidates that were compared, and beside it the hidden states of the models that run: the
/// reference's stay until all is done, those of a candidate until it was compared.
class kept_evaluation {
public:
    /// `identity` tells models and text from others. Throws as a journal does, and unfit_work when what was noted is no
    /// comparison of one of so many candidates.
    kept_evaluation(const std::filesystem::path& path, const work_identity& identity, std::size_t candidates)
        : journal_(path, kind, identity), start_(start_of(identity)), compared_(candidates) {
        try {
            for (const byte_view record : journal_.records()) take(record);
        } catch (const error& problem) {
            throw unfit_work(problem.what());
        }
    }

    /// Candidates that earlier processes have compared.
    [[nodiscard]] std::size_t size() const noexcept { return journal_.records().size(); }
    [[nodiscard]] const std::optional<kl_divergence>& find(std::size_t candidate) const noexcept {
        return compared_[candidate];
    }

    /// How far an evaluation came: which candidates are compared, and how many layers of the models are done.
    struct left {
        std::vector<char> is_compared;
        std::size_t reference_layers;
        std::vector<std::size_t> candidate_layers;

        [[nodiscard]] bool is_all_compared() const { return std::ranges::find(is_compared, 0) == is_compared.end(); }
    };
    /// As journal::look, by what the files say of themselves.
    [[nodiscard]] static left look(const std::filesystem::path& path, const work_identity& identity,
                                   std::size_t candidates) {
        left all{std::vector<char>(candidates), 0, std::vector<std::size_t>(candidates)};
        if (path.empty()) return all;
        const journal::snapshot compared = journal::look(path, kind, identity);
        for (const byte_view record : compared.records()) {
            if (record.size() < sizeof(std::uint64_t)) continue;
            if (const auto which = load_bytes<std::uint64_t>(record.data()); which < candidates)
                all.is_compared[which] = 1;
        }
        const std::uint64_t start = start_of(identity);
        all.reference_layers = kept_states::latest_layer(stem(path, reference_states), 0, start);
        for (std::size_t c = 0; c < candidates; ++c)
            all.candidate_layers[c] =
                kept_states::latest_layer(stem(path, candidate_states), 0, start_of_candidate(start, c));
        return all;
    }

    /// The states of the reference, and of a candidate.
    [[nodiscard]] kept_states reference() const { return {stem(journal_.path(), reference_states), start_}; }
    [[nodiscard]] kept_states candidate(std::size_t which) const {
        return {stem(journal_.path(), candidate_states), start_of_candidate(start_, which)};
    }

    /// Notes how far a candidate is, whose states are of no use any more.
    void add(std::size_t which, const kl_divergence& measured) {
        gguf::byte_buffer out;
        gguf::detail::put(out, std::uint64_t{which});
        out.append(&measured.sums(), sizeof measured.sums());
        gguf::detail::put(out, std::uint64_t{measured.tokens()});
        for (const std::span<const float> values : {measured.per_token(), measured.changes()})
            out.append(values.data(), values.size_bytes());
        journal_.append(out.bytes);
        candidate(which).remove();
    }

private:
    static constexpr std::string_view kind = "compared models", reference_states = ".reference.states",
                                      candidate_states = ".candidate.states";

    [[nodiscard]] static std::filesystem::path stem(std::filesystem::path journal, std::string_view states) {
        return journal.replace_extension() += states;
    }
    [[nodiscard]] static std::uint64_t start_of(const work_identity& identity) {
        return digest().add(identity.text()).value();
    }
    [[nodiscard]] static std::uint64_t start_of_candidate(std::uint64_t start, std::size_t which) {
        return digest().add(start).add(which).value();
    }

    void take(byte_view record) {
        const std::string where = journal_.path().string();
        gguf::cursor in(record, where);
        const auto which = in.take<std::uint64_t>("number of a candidate");
        if (which >= compared_.size()) fail(where, ": wanted a candidate below ", compared_.size(), ", got ", which);
        kl_divergence::totals sums;
        std::memcpy(&sums, in.take_bytes(sizeof sums, "sums").data(), sizeof sums);
        const auto tokens = in.take_count(2 * sizeof(float), "number of tokens");
        std::array<std::vector<float>, 2> values;
        for (std::vector<float>& one : values) {
            one.resize(tokens);
            const byte_view bytes = in.take_bytes(tokens * sizeof(float), "figures of tokens");
            if (tokens > 0) std::memcpy(one.data(), bytes.data(), bytes.size());
        }
        compared_[which].emplace(sums, std::move(values[0]), std::move(values[1]));
    }

    journal journal_;
    std::uint64_t start_;
    std::vector<std::optional<kl_divergence>> compared_;
};

}  // namespace tessera::app
