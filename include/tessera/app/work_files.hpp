// The files of some work: what it reads, what it writes, and what it keeps until it is done.
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "tessera/app/listener.hpp"
#include "tessera/app/model_files.hpp"
#include "tessera/app/options.hpp"
#include "tessera/app/texts.hpp"
#include "tessera/calibrate/importance_table.hpp"
#include "tessera/core/checksum.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/file_claims.hpp"
#include "tessera/core/journal.hpp"
#include "tessera/core/metadata.hpp"
#include "tessera/core/output_rule.hpp"
#include "tessera/core/printable.hpp"
#include "tessera/core/token_windows.hpp"
#include "tessera/files/work_folder.hpp"
#include "tessera/gguf/model_fingerprint.hpp"
#include "tessera/gguf/serialize.hpp"
#include "tessera/tensor/concepts.hpp"
#include "tessera/version.hpp"

namespace tessera::app {

/// Every file of a verb is named here first; then check() finds what clashes before any work is done.
///
/// What a verb finds out on its way to its output is kept in a folder until done(): where a later step fails or the
/// process ends, the same call goes on from there.
class work_files {
public:
    explicit work_files(existing_file existing) : claims_(existing) {}

    void read(const std::filesystem::path& file) { claims_.read(file); }
    /// A GGUF file with all of its shards, or the files of a directory that make it a model.
    void read_model(const std::filesystem::path& model) { claims_.read(model_files(model)); }
    /// Everything that texts of options stand for. Throws when one stands for nothing.
    void read_texts(const std::vector<std::string>& arguments) {
        for (const std::string& argument : arguments) claims_.read(files_of_text(argument));
    }
    void write(const std::filesystem::path& file) { claims_.write(file); }

    /// What importances need.
    void use(const importance_options& importances) {
        claims_.read(importances.file);
        read_texts(importances.texts);
    }
    /// What a target needs, for which damage may have to be measured.
    void use(const target_options& target) {
        if (!target.measuring.text.empty()) read_texts({target.measuring.text});
        if (target.damage.empty()) return;
        if (std::filesystem::exists(target.damage))
            claims_.read(target.damage);
        else
            claims_.write(target.damage);
    }
    /// Where the work for `output` is kept: in the options' folder, else beside the output, else nowhere.
    void keep(const work_options& options, const std::filesystem::path& output) {
        place_ = options.folder;
        if (place_.empty() && !output.empty()) (place_ = output) += ".work";
        options_ = options;
        if (options.nowhere) return;
        folder_ = work_folder(place_);
        claims_.use_folder(folder_.path());
    }

    /// Throws when something clashes, or another process is at the same work. Locks the folder if it is there.
    void check() {
        folder_.sweep();
        if (!options_.restart) claims_.note_in(work_folder(place_).list_of_outputs());
        claims_.check();
        folder_.take_up();
        claims_.note_in(folder_.list_of_outputs());
        if (options_.restart)
            for (const std::string_view word : work_folder::words) folder_.forget(word);
    }

    [[nodiscard]] const output_rule& rule() const noexcept { return claims_.rule(); }
    /// For files that are kept: ours, and replaced as we like.
    [[nodiscard]] output_rule kept_rule() const { return {rule().inputs, existing_file::replace}; }
    [[nodiscard]] work_folder& folder() noexcept { return folder_; }
    /// The folder's path, or what it would be if something were kept.
    [[nodiscard]] const std::filesystem::path& work_place() const noexcept { return place_; }
    /// The path of a file that an earlier run has left in the folder, to be gone on from; empty if there is none. There
    /// may be one where this run keeps nothing.
    [[nodiscard]] std::filesystem::path left(std::string_view name) const {
        const bool is_anew = std::ranges::any_of(anew_, [&](std::string_view word) { return name.starts_with(word); });
        const std::filesystem::path path = place_ / name;
        const bool is_left = !place_.empty() && !options_.restart && !is_anew && std::filesystem::exists(path) &&
                             !std::filesystem::exists(place_ / work_folder::finished);
        return is_left ? path : std::filesystem::path();
    }
    /// Begins work anew whose files begin with `word`.
    void forget(std::string_view word) {
        anew_.push_back(word);
        folder_.forget(word);
    }
    /// Removes what was kept, unless the options say that it stays.
    void done() {
        if (options_.keep)
            folder_.forget(work_folder::published);
        else
            folder_.remove();
    }

private:
    file_claims claims_;
    work_options options_;
    std::filesystem::path place_;
    work_folder folder_;
    std::vector<std::string_view> anew_;
};

/// A checksum of what a result depends on.
class digest {
public:
    template <class T>
    digest& add(std::span<const T> values) {
        sum_.append(values.data(), values.size_bytes());
        return *this;
    }
    template <class T>
    requires std::is_arithmetic_v<T>
    digest& add(T value) {
        return add(std::span<const T>(&value, 1));
    }
    digest& add(std::string_view text) { return add(std::span<const char>(text)); }
    digest& add(const token_windows& windows) { return add(windows.length()).add(windows.tokens()); }
    digest& add(const divided_windows& text) {
        add(text.used);
        return text.held_out ? add(*text.held_out) : add(0);
    }
    digest& add(const importance_table& importances) {
        for (const auto& [name, entry] : importances)
            add(name).add(std::span<const float>(entry.mean_squares)).add(std::span<const std::uint64_t>(entry.tokens));
        return *this;
    }
    digest& add(const metadata& properties) {
        gguf::put_metadata(sum_, 0, properties);
        return *this;
    }
    [[nodiscard]] std::uint64_t value() const noexcept { return sum_.value(); }

private:
    checksum sum_;
};

/// What all work with a model depends on.
template <tensor_source Model>
[[nodiscard]] work_identity work_on(const Model& model) {
    return work_identity().add("model", model_fingerprint(model)).add("release", digest().add(version).value());
}

/// Says that something was put into a file, where it is until the work is done.
inline void tell_kept(const listener& listener, std::string_view what, const std::filesystem::path& file) {
    listener.say("note: ", what, " kept in ", printable(file.string()), " until all is done");
}

/// What `open()` makes of kept work whose files begin with `word`. Where that cannot be gone on from, it is refused,
/// or, where existing files are replaced, removed and begun anew.
template <class Open>
auto go_on(work_files& files, std::string_view word, Open&& open) -> decltype(open()) {
    try {
        return open();
    } catch (const unfit_work& e) {
        if (files.rule().existing == existing_file::refuse) fail(e.what(), "; --restart begins anew");
        files.forget(word);
        return open();
    }
}

/// What `load(path)` makes of a kept file, if there is one.
template <class Load>
auto resume(const std::filesystem::path& file, const listener& listener, Load&& load)
    -> std::optional<decltype(load(file))> {
    if (file.empty() || !std::filesystem::exists(file)) return std::nullopt;
    auto found = load(file);
    listener.say("note: going on from ", printable(file.string()));
    return found;
}

}  // namespace tessera::app
