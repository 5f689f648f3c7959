// A calibration between two layers, in a file.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/calibrate/input_statistics.hpp"
#include "tessera/core/bytes.hpp"
#include "tessera/core/checksum.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/mapped_file.hpp"
#include "tessera/core/output_file.hpp"
#include "tessera/core/output_rule.hpp"
#include "tessera/decoder/activations.hpp"
#include "tessera/decoder/matrix.hpp"
#include "tessera/gguf/cursor.hpp"
#include "tessera/gguf/serialize.hpp"

namespace tessera {

/// Checksums of what a calibration is of.
struct calibration_identity {
    std::uint64_t model = 0;  ///< metadata, names, shapes and some weights
    std::uint64_t text = 0;   ///< the windows of tokens
    std::uint64_t start = 0;  ///< the activations that the text begins with: of both

    friend bool operator==(const calibration_identity&, const calibration_identity&) = default;
};

/// Thrown when a file is no checkpoint that a calibration could go on from.
class checkpoint_error : public error {
public:
    using error::error;
};

namespace detail {

inline constexpr std::string_view checkpoint_kind = "tessera calibration checkpoint ";
inline constexpr char checkpoint_version = '2';

// What stands in front of statistics and activations.
struct checkpoint_head {
    std::array<char, checkpoint_kind.size()> kind;
    char version;  // a digit
    calibration_identity identity;
    std::uint64_t layers_done;
    std::uint64_t statistics_bytes;
    std::uint64_t activation_bytes;
    std::uint64_t checksum;  ///< of the two parts that follow, then of the head itself with 0 here
};

// `add_states` adds the activations, tile by tile.
template <class AddStates>
[[nodiscard]] std::uint64_t checksum_of(checkpoint_head head, byte_view statistics, const AddStates& add_states) {
    checksum sum;
    sum.append(statistics.data(), statistics.size());
    add_states(sum);
    head.checksum = 0;
    sum.append(&head, sizeof head);
    return sum.value();
}

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

/// Where a calibration stands after some layers. Gram matrices are not kept.
struct calibration_checkpoint {
    std::uint64_t layers_done = 0;
    std::vector<input_statistics> inputs;
};

/// Writes a checkpoint, replacing the one before only once it is complete and flushed.
inline void write_checkpoint(const std::filesystem::path& path, const calibration_identity& identity,
                             std::uint64_t layers_done, std::span<const input_statistics> inputs,
                             const decoder::activations& state) {
    const std::vector<std::byte> statistics = detail::statistics_bytes(inputs);
    detail::checkpoint_head head{{},
                                 detail::checkpoint_version,
                                 identity,
                                 layers_done,
                                 statistics.size(),
                                 state.rows() * state.columns() * sizeof(float),
                                 0};
    detail::checkpoint_kind.copy(head.kind.data(), head.kind.size());
    output_file file(path, sizeof head + head.statistics_bytes + head.activation_bytes);
    file.write_at(sizeof head, statistics);
    head.checksum = detail::checksum_of(head, statistics, [&](checksum& sum) {
        std::uint64_t offset = sizeof head + statistics.size();
        decoder::matrix buffer;
        for (std::size_t i = 0; i < state.tiles(); ++i) {
            const decoder::matrix& rows = state.look(i, buffer);
            const byte_view bytes =
                as_byte_view(std::span<const float>(rows.data(), static_cast<std::size_t>(rows.size())));
            sum.append(bytes.data(), bytes.size());
            file.write_at(offset, bytes);
            offset += bytes.size();
        }
    });
    file.write_at(0, as_byte_view(std::span(&head, 1)));
    file.sync();
    file.publish();
    sync_folder(folder_of(path));
}

/// Reads a checkpoint and puts its activations into `state`. Throws checkpoint_error when the file was damaged or
/// is of another release, model or text; the message says of which. It belongs to one run of one program, so earlier
/// versions are refused, too.
[[nodiscard]] inline calibration_checkpoint read_checkpoint(const std::filesystem::path& path,
                                                            const calibration_identity& identity,
                                                            decoder::activations& state) {
    const std::string where = path.string();
    const auto refuse = [&](const auto&... message) { throw checkpoint_error(concat(where, ": wanted ", message...)); };
    const mapped_file file(path);
    detail::checkpoint_head head{};
    const byte_view bytes = file.bytes();
    if (bytes.size() >= sizeof head) std::memcpy(&head, bytes.data(), sizeof head);
    if (std::string_view(head.kind.data(), head.kind.size()) != detail::checkpoint_kind)
        refuse("a checkpoint of a calibration, got something else");
    if (head.version != detail::checkpoint_version)
        refuse("a checkpoint of version ", detail::checkpoint_version, ", got version ", head.version, ", which ",
               head.version > detail::checkpoint_version ? "a later" : "an earlier", " release wrote");
    const byte_view rest = bytes.subspan(sizeof head);
    const bool fits =
        head.statistics_bytes <= rest.size() && head.activation_bytes == rest.size() - head.statistics_bytes;
    const byte_view statistics = rest.first(fits ? head.statistics_bytes : 0);
    const byte_view states = rest.subspan(statistics.size());
    // Tile by tile, as they were written: a checkpoint of other tiles is as good as damaged.
    const std::size_t tile_bytes = state.tile_rows() * state.columns() * sizeof(float);
    const auto add_states = [&](checksum& sum) {
        for (std::size_t at = 0; at < states.size(); at += tile_bytes) {
            const byte_view part = states.subspan(at, std::min(tile_bytes, states.size() - at));
            sum.append(part.data(), part.size());
        }
    };
    if (!fits || detail::checksum_of(head, statistics, add_states) != head.checksum)
        refuse("a whole checkpoint, got a damaged one");
    if (head.identity != identity || states.size() != state.rows() * state.columns() * sizeof(float)) {
        const bool is_text = head.identity.text != identity.text;
        const bool is_model = head.identity.model != identity.model || !is_text;
        refuse("a checkpoint of this calibration, got one of another ", is_model ? "model" : "",
               is_model && is_text ? " and " : "", is_text ? "text" : "");
    }
    calibration_checkpoint saved{head.layers_done, {}};
    try {
        saved.inputs = detail::parse_statistics(statistics, where);
    } catch (const error& problem) {
        throw checkpoint_error(problem.what());
    }
    for (std::size_t i = 0; i < state.tiles(); ++i) {  // once nothing can fail any more
        decoder::matrix rows(static_cast<Eigen::Index>(state.rows_of(i)), static_cast<Eigen::Index>(state.columns()));
        const byte_view bytes = states.subspan(i * tile_bytes, static_cast<std::size_t>(rows.size()) * sizeof(float));
        std::memcpy(rows.data(), bytes.data(), bytes.size());
        state.put(i, std::move(rows));
    }
    return saved;
}

}  // namespace tessera
