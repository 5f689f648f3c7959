// An evaluation in the making, kept layer by layer and candidate by candidate.
#pragma once

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
        : journal_(path, "compared models", identity),
          start_(digest().add(identity.text()).value()),
          compared_(candidates) {
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

    /// The states of the reference, and of a candidate.
    [[nodiscard]] kept_states reference() const { return {stem(".reference.states"), start_}; }
    [[nodiscard]] kept_states candidate(std::size_t which) const {
        return {stem(".candidate.states"), digest().add(start_).add(which).value()};
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
    [[nodiscard]] std::filesystem::path stem(std::string_view kind) const {
        std::filesystem::path path = journal_.path();
        return path.replace_extension() += kind;
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
