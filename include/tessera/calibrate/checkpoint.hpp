// Where a calibration stands between two layers, in files.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/calibrate/input_statistics.hpp"
#include "tessera/calibrate/kept_states.hpp"
#include "tessera/core/bytes.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/journal.hpp"
#include "tessera/decoder/activations.hpp"
#include "tessera/gguf/cursor.hpp"
#include "tessera/gguf/serialize.hpp"

namespace tessera {

namespace detail {

template <class T>
void put_vector(gguf::byte_buffer& out, const std::vector<T>& values) {
    gguf::detail::put(out, std::uint64_t{values.size()});
    out.append(values.data(), values.size() * sizeof(T));
}

template <class T>
[[nodiscard]] std::vector<T> take_vector(gguf::cursor& in, std::string_view what) {
    std::vector<T> values(in.take_count(sizeof(T), what));
    const byte_view bytes = in.take_bytes(values.size() * sizeof(T), what);
    if (!values.empty()) std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
}

[[nodiscard]] inline std::vector<std::byte> statistics_bytes(std::span<const input_statistics> inputs) {
    gguf::byte_buffer out;
    const auto put = [&](std::uint64_t number) { gguf::detail::put(out, number); };
    put(inputs.size());
    for (const input_statistics& input : inputs) {
        put(input.layer);
        put(static_cast<std::uint64_t>(input.sharing));
        put(input.tensors.size());
        for (const std::string& name : input.tensors) gguf::detail::put(out, std::string_view(name));
        put(input.matrices.size());
        for (const column_statistics& matrix : input.matrices) {
            put(matrix.tokens);
            put_vector(out, matrix.squares);
            put_vector(out, matrix.sums);
            put_vector(out, matrix.peaks);
        }
    }
    return std::move(out.bytes);
}

// Whether every sum of a matrix is there for every column of the input; a matrix that saw no token may have none.
[[nodiscard]] inline bool has_all_columns(const input_statistics& input) {
    const std::size_t columns = input.columns();
    return std::ranges::all_of(input.matrices, [&](const column_statistics& matrix) {
        const std::size_t own = matrix.columns();
        return matrix.sums.size() == own && matrix.peaks.size() == own &&
               (own == columns || (own == 0 && matrix.tokens == 0));
    });
}

[[nodiscard]] inline std::vector<input_statistics> parse_statistics(byte_view bytes, const std::string& where) {
    gguf::cursor in(bytes, where);
    std::vector<input_statistics> inputs(in.take_count(32, "number of inputs"));
    for (input_statistics& input : inputs) {
        input.layer = in.take<std::uint64_t>("layer");
        const auto sharing = in.take<std::uint64_t>("token sharing");
        if (sharing > static_cast<std::uint64_t>(token_sharing::routed))
            fail(where, ": token sharing: wanted 0 or 1, got ", sharing);
        input.sharing = static_cast<token_sharing>(sharing);
        input.tensors.resize(in.take_count(8, "number of tensors"));
        for (std::string& name : input.tensors) name = in.take_text("name of a tensor");
        input.matrices.resize(in.take_count(32, "number of matrices"));
        for (column_statistics& matrix : input.matrices) {
            matrix.tokens = in.take<std::uint64_t>("number of tokens");
            matrix.squares = take_vector<double>(in, "sums of squares");
            matrix.sums = take_vector<double>(in, "sums");
            matrix.peaks = take_vector<float>(in, "largest values");
        }
        if (!has_all_columns(input)) fail(where, ": wanted statistics of the same columns for each matrix, got others");
    }
    if (in.left() > 0) fail(where, ": wanted the end of the statistics, got ", in.left(), " more bytes");
    return inputs;
}

}  // namespace detail

/// What is kept of a calibration: a journal, which gets the statistics of a layer at a time, and beside it, as
/// JOURNAL.states-LAYER, the hidden states that the next layer begins with. Gram matrices are not kept.
class calibration_checkpoint {
public:
    /// Opens or begins the journal. `identity` is that of model and text, `start` a checksum of the hidden states that
    /// the first layer gets. Throws unfit_work when the file is damaged or of another calibration or release.
    calibration_checkpoint(const std::filesystem::path& path, const work_identity& identity, std::uint64_t start)
        : pass_(path, kind, identity, start) {
        try {
            for (const byte_view record : pass_.records()) {
                std::vector<input_statistics> inputs = detail::parse_statistics(record, path.string());
                const std::size_t layer = inputs.empty() ? layers_.size() : inputs.front().layer;
                if (layer > layers_.size())
                    fail(path.string(), ": wanted statistics of layer ", layers_.size(), ", got those of layer ",
                         layer);
                layers_.resize(layer);  // a layer that was noted twice counts as it was noted last
                layers_.push_back(std::move(inputs));
            }
            pass_.release();
        } catch (const error& problem) {
            throw unfit_work(problem.what());
        }
    }

    /// The layers that are done, with their statistics behind those in `inputs`; the next one's states are in `state`.
    [[nodiscard]] std::size_t resume(std::vector<input_statistics>& inputs, decoder::activations& state) {
        const auto found = pass_.load(std::array{&state});
        if (!found || found->layer > layers_.size()) return 0;
        layers_.resize(found->layer);
        for (std::vector<input_statistics>& layer : std::exchange(layers_, {}))
            std::ranges::move(layer, std::back_inserter(inputs));
        return found->layer;
    }
    /// Saves a layer's statistics, and the states that it leaves.
    void add(std::size_t layer, std::span<const input_statistics> inputs, const decoder::activations& state) {
        pass_.append(detail::statistics_bytes(inputs));
        pass_.save(layer + 1, std::array<const decoder::activations*, 1>{&state});
    }

    /// The layers that a calibration would find done, by what the files say of themselves.
    [[nodiscard]] static std::size_t layers_in(const std::filesystem::path& path, const work_identity& identity) {
        return kept_pass::look(path, kind, identity).layer;
    }

    /// Removes the files of a checkpoint, if there are some.
    static void remove(const std::filesystem::path& path) { kept_pass::remove(path); }

private:
    static constexpr std::string_view kind = "calibrated layers";

    kept_pass pass_;
    std::vector<std::vector<input_statistics>> layers_;
};

}  // namespace tessera
