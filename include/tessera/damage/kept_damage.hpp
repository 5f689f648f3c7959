// A damage table in the making, noted tensor by tensor so that another process goes on from there.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/calibrate/kept_states.hpp"
#include "tessera/core/bytes.hpp"
#include "tessera/core/checksum.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/journal.hpp"
#include "tessera/core/type_id.hpp"
#include "tessera/damage/measured_tensor.hpp"
#include "tessera/gguf/cursor.hpp"
#include "tessera/gguf/serialize.hpp"

namespace tessera {

/// A journal of the tensors that are measured, and the hidden states of the schedule that the next layer begins with.
class kept_damage {
public:
    /// `identity` covers all that a table depends on. Throws as a journal does.
    kept_damage(const std::filesystem::path& path, const work_identity& identity)
        : pass_(path, kind, identity),
          reference_(beside(path, ".reference"), sum_of(identity)),
          below_(beside(path, ".below"), sum_of(identity)) {}

    /// Where the pass of the schedule stands, between two layers.
    [[nodiscard]] const kept_pass& pass() const noexcept { return pass_; }

    /// The states of the reference after its last layer, and those of the layer that was measured last: a process that
    /// goes on does not run the layers before it again.
    [[nodiscard]] const kept_states& reference() const noexcept { return reference_; }
    [[nodiscard]] const kept_states& below() const noexcept { return below_; }

    /// That earlier processes have measured.
    [[nodiscard]] std::size_t tensors() const noexcept { return pass_.records().size(); }

    /// The same of a journal that is not opened; none where `part` is no part of its identity.
    [[nodiscard]] static std::size_t tensors_in(const std::filesystem::path& path, const work_identity& part) {
        return journal::look(path, kind, part).records().size();
    }

    /// Notes the tensor at a place among those that are measured. What is noted again replaces what was.
    void add(std::size_t place, const measured_tensor& measured) {
        gguf::byte_buffer out;
        const auto put = [&](auto value) { gguf::detail::put(out, value); };
        put(std::uint64_t{place});
        put(std::string_view(measured.name));
        put(std::uint64_t{measured.errors.size()});
        for (const format_error& f : measured.errors) {
            put(static_cast<std::uint32_t>(f.layout.id));
            put(f.relative_error);
        }
        put(std::uint64_t{measured.edits.size()});
        for (const measured_edit& edit : measured.edits) {
            put(edit.relative_error);
            put(std::uint64_t{edit.windows.size()});
            for (const window_damage& one : edit.windows) {
                put(std::uint64_t{one.window});
                put(one.divergence);
            }
        }
        pass_.append(out.bytes);
    }

    /// What earlier processes have noted, by place among `count` tensors. Throws unfit_work when that contradicts
    /// itself, names a format that is none of `formats`, or a window that is none of so many.
    [[nodiscard]] std::vector<std::optional<measured_tensor>> read(std::size_t count, std::size_t windows,
                                                                   std::span<const type_layout> formats) const {
        std::vector<std::optional<measured_tensor>> all(count);
        const std::string where = pass_.path().string();
        try {
            for (const byte_view record : pass_.records()) take(record, where, windows, formats, all);
        } catch (const error& problem) {
            throw unfit_work(problem.what());
        }
        return all;
    }

private:
    static constexpr std::string_view kind = "tensors measured in windows";

    [[nodiscard]] static std::filesystem::path beside(std::filesystem::path path, std::string_view name) {
        return path += name;
    }
    [[nodiscard]] static std::uint64_t sum_of(const work_identity& identity) {
        const std::string text = identity.text();
        checksum sum;
        sum.append(text.data(), text.size());
        return sum.value();
    }

    static void take(byte_view record, const std::string& where, std::size_t windows,
                     std::span<const type_layout> formats, std::vector<std::optional<measured_tensor>>& all) {
        gguf::cursor in(record, where);
        const auto place = in.take<std::uint64_t>("place of a tensor");
        if (place >= all.size()) fail(where, ": wanted a tensor below ", all.size(), ", got ", place);
        measured_tensor& measured = all[place].emplace();
        measured.name = in.take_text("name of a tensor");
        for (auto left = in.take_count(12, "number of formats"); left > 0; --left) {
            const auto id = static_cast<type_id>(in.take<std::uint32_t>("format"));
            const auto layout = std::ranges::find(formats, id, &type_layout::id);
            if (layout == formats.end())
                fail(where, ": wanted formats of this program, got the type ", static_cast<std::uint32_t>(id));
            measured.errors.push_back({*layout, in.take<double>("error of a format")});
        }
        measured.edits.resize(in.take_count(16, "number of edits"));
        for (measured_edit& edit : measured.edits) {
            edit.relative_error = in.take<double>("error of an edit");
            edit.windows.resize(in.take_count(16, "number of windows"));
            for (window_damage& one : edit.windows) {
                one.window = in.take<std::uint64_t>("window");
                if (one.window >= windows) fail(where, ": wanted a window below ", windows, ", got ", one.window);
                one.divergence = in.take<double>("divergence");
            }
        }
    }

    kept_pass pass_;
    kept_states reference_, below_;
};

}  // namespace tessera
