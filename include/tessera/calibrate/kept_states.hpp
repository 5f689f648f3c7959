// Hidden states between two layers, in a file, so that work that was killed goes on from there.
#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "tessera/core/bytes.hpp"
#include "tessera/core/checksum.hpp"
#include "tessera/core/journal.hpp"
#include "tessera/core/mapped_file.hpp"
#include "tessera/core/output_file.hpp"
#include "tessera/core/stop.hpp"
#include "tessera/decoder/activations.hpp"
#include "tessera/decoder/matrix.hpp"

namespace tessera {

/// Keeps the latest hidden states of some work, as STEM-LAYER: the file of a layer is complete before that of the one
/// before goes.
class kept_states {
public:
    /// `identity` tells the work from other work.
    kept_states(std::filesystem::path stem, std::uint64_t identity) : stem_(std::move(stem)), identity_(identity) {}

    using states = std::span<const decoder::activations* const>;
    using mutable_states = std::span<decoder::activations* const>;

    /// Saves the states before `layer`, which go with so many records of a journal, and what else goes with them. Files
    /// of other layers are removed then.
    void save(std::size_t layer, std::size_t records, states all, byte_view more) const {
        head what{{}, identity_, layer, records, total_bytes(all), more.size(), 0};
        kind.copy(what.name.data(), kind.size());
        const std::filesystem::path path = path_of(layer);
        output_file file(path, sizeof what + what.state_bytes + what.more_bytes);
        std::uint64_t offset = sizeof what;
        checksum sum;
        const auto put = [&](byte_view part) {
            stop_if_requested();
            file.write_at(offset, part);
            sum.append(part.data(), part.size());
            offset += part.size();
        };
        decoder::matrix buffer;
        for (const decoder::activations* state : all)
            for (std::size_t i = 0; i < state->tiles(); ++i) put(bytes_of(state->look(i, buffer)));
        put(more);
        sum.append(&what, sizeof what);
        what.sum = sum.value();
        file.write_at(0, as_byte_view(std::span(&what, 1)));
        file.sync();
        file.publish();
        sync_folder(folder_of(path));
        for (const std::size_t other : layers())
            if (other != layer) std::filesystem::remove(path_of(other));
    }

    struct loaded {
        std::size_t layer;
        std::vector<std::byte> more;
    };

    /// Puts the latest states that were saved whole, by the same work, in this shape and with no more records than
    /// there are, into `all`; nothing when there are none.
    [[nodiscard]] std::optional<loaded> load(std::size_t records, mutable_states all) const {
        std::vector<std::size_t> found = layers();
        std::ranges::sort(found, std::ranges::greater{});
        for (const std::size_t layer : found)
            if (auto read = load(layer, records, all)) return read;
        return std::nullopt;
    }

    /// The layer of the latest states, by what their files say of themselves: of any work, where none is named. 0:
    /// there are none.
    [[nodiscard]] static std::size_t latest_layer(const std::filesystem::path& stem, std::size_t records,
                                                  std::optional<std::uint64_t> identity = std::nullopt) {
        const kept_states all(stem, 0);
        std::size_t latest = 0;
        for (const std::size_t layer : all.layers()) {
            const mapped_file file(all.path_of(layer));
            if (file.bytes().size() < sizeof(head)) continue;
            const auto what = load_bytes<head>(file.bytes().data());
            const bool fits = what.is_of_kind() && what.layer == layer && what.records <= records &&
                              (!identity || what.identity == *identity);
            if (fits) latest = std::max(latest, layer);
        }
        return latest;
    }

    void remove() const {
        for (const std::size_t layer : layers()) std::filesystem::remove(path_of(layer));
    }

private:
    static constexpr std::string_view kind = "tessera hidden states, version 1";

    struct head {
        std::array<char, kind.size()> name;
        std::uint64_t identity, layer, records, state_bytes, more_bytes;
        std::uint64_t sum;  ///< of the states, of what goes with them, and of the head with 0 here

        [[nodiscard]] bool is_of_kind() const { return std::string_view(name.data(), name.size()) == kind; }
    };

    [[nodiscard]] static byte_view bytes_of(const decoder::matrix& values) {
        return as_byte_view(std::span<const float>(values.data(), static_cast<std::size_t>(values.size())));
    }
    [[nodiscard]] static std::uint64_t total_bytes(states all) {
        std::uint64_t bytes = 0;
        for (const decoder::activations* state : all) bytes += state->rows() * state->columns() * sizeof(float);
        return bytes;
    }
    // The states of one layer.
    [[nodiscard]] std::optional<loaded> load(std::size_t layer, std::size_t records, mutable_states all) const {
        const mapped_file file(path_of(layer));
        const byte_view bytes = file.bytes();
        if (bytes.size() < sizeof(head)) return std::nullopt;
        auto what = load_bytes<head>(bytes.data());
        const byte_view rest = bytes.subspan(sizeof what);
        const std::uint64_t wanted = total_bytes({all.data(), all.size()});
        if (!what.is_of_kind() || what.identity != identity_ || what.layer != layer || what.records > records ||
            what.state_bytes != wanted || what.state_bytes > rest.size() ||
            what.more_bytes != rest.size() - what.state_bytes)
            return std::nullopt;
        const byte_view more = rest.subspan(what.state_bytes);
        checksum sum;
        const auto for_each_tile = [&](auto&& f) {
            std::uint64_t offset = 0;
            for (decoder::activations* state : all)
                for (std::size_t i = 0; i < state->tiles(); ++i) {
                    const byte_view part = rest.subspan(offset, state->rows_of(i) * state->columns() * sizeof(float));
                    f(*state, i, part);
                    file.release(sizeof what + offset, part.size());
                    offset += part.size();
                }
        };
        for_each_tile([&](const decoder::activations&, std::size_t, byte_view part) {
            stop_if_requested();
            sum.append(part.data(), part.size());
        });
        sum.append(more.data(), more.size());
        const std::uint64_t stored = std::exchange(what.sum, 0);
        sum.append(&what, sizeof what);
        if (sum.value() != stored) return std::nullopt;
        for_each_tile([](decoder::activations& state, std::size_t i, byte_view part) {  // nothing can fail any more
            decoder::matrix values(static_cast<Eigen::Index>(state.rows_of(i)),
                                   static_cast<Eigen::Index>(state.columns()));
            std::memcpy(values.data(), part.data(), part.size());
            state.put(i, std::move(values));
        });
        return loaded{layer, {more.begin(), more.end()}};
    }

    [[nodiscard]] std::filesystem::path path_of(std::size_t layer) const {
        std::filesystem::path path = stem_;
        return path += "-" + std::to_string(layer);
    }
    // Those of which there are files.
    [[nodiscard]] std::vector<std::size_t> layers() const {
        const std::string start = stem_.filename().string() + "-";
        std::vector<std::size_t> found;
        std::error_code ignored;
        for (std::filesystem::directory_iterator entry(folder_of(stem_), ignored), end; !ignored && entry != end;
             entry.increment(ignored)) {
            const std::string name = entry->path().filename().string();
            if (!name.starts_with(start)) continue;
            const char *first = name.data() + start.size(), *last = name.data() + name.size();
            std::size_t layer = 0;
            const auto [read, problem] = std::from_chars(first, last, layer);
            if (problem == std::errc() && read == last) found.push_back(layer);
        }
        return found;
    }

    std::filesystem::path stem_;
    std::uint64_t identity_;
};

/// A journal of what a pass through a model has done, and the hidden states that the next layer begins with, which are
/// worth nothing without the records before them.
class kept_pass {
public:
    /// The states lie beside the journal, as JOURNAL.states-LAYER. `start` is a checksum of what else they depend on.
    /// Throws as the journal does.
    kept_pass(const std::filesystem::path& path, std::string_view kind, const work_identity& identity,
              std::uint64_t start = 0)
        : journal_(path, kind, identity), states_(stem_of(path), sum_of(identity, start)) {}

    [[nodiscard]] const std::filesystem::path& path() const noexcept { return journal_.path(); }
    /// As a journal's.
    [[nodiscard]] std::span<const byte_view> records() const noexcept { return journal_.records(); }
    void release() const noexcept { journal_.release(); }
    void append(byte_view record) { journal_.append(record); }

    /// As kept_states'.
    void save(std::size_t layer, kept_states::states all, byte_view more = {}) const {
        states_.save(layer, journal_.size(), all, more);
    }
    [[nodiscard]] std::optional<kept_states::loaded> load(kept_states::mutable_states all) const {
        return states_.load(journal_.size(), all);
    }

    /// What a pass has left: the records, and the layer that it would go on from.
    struct left {
        journal::snapshot records;
        std::size_t layer;
    };
    /// As journal::look.
    [[nodiscard]] static left look(const std::filesystem::path& path, std::string_view kind,
                                   const work_identity& part) {
        left found{journal::look(path, kind, part), 0};
        if (const std::size_t records = found.records.records().size(); records > 0)
            found.layer = kept_states::latest_layer(stem_of(path), records);
        return found;
    }

    /// Removes the files, if there are some.
    static void remove(const std::filesystem::path& path) {
        std::filesystem::remove(path);
        kept_states(stem_of(path), 0).remove();
    }

private:
    [[nodiscard]] static std::filesystem::path stem_of(std::filesystem::path path) { return path += ".states"; }
    [[nodiscard]] static std::uint64_t sum_of(const work_identity& identity, std::uint64_t start) {
        const std::string text = identity.text();
        checksum sum;
        sum.append(text.data(), text.size());
        sum.append(&start, sizeof start);
        return sum.value();
    }

    journal journal_;
    kept_states states_;
};

}  // namespace tessera
