// The files of some work: what it reads, what it writes, and what it keeps until it is done.
#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "tessera/app/listener.hpp"
#include "tessera/app/model_files.hpp"
#include "tessera/app/options.hpp"
#include "tessera/app/texts.hpp"
#include "tessera/core/checksum.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/file_claims.hpp"
#include "tessera/core/output_rule.hpp"
#include "tessera/core/printable.hpp"
#include "tessera/gguf/model_fingerprint.hpp"
#include "tessera/tensor/concepts.hpp"

namespace tessera::app {

/// Every file of a verb is named here first; then check() finds what clashes before any work is done.
///
/// What a verb finds out on its way to its output, and has no file of its own for, is kept beside the output until
/// done(): where a later step fails, the same call goes on from there.
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
    /// A file that is gone on from if it is there.
    void keep(const std::filesystem::path& file) { claims_.write(file, existing_file::replace); }

    /// What importances need; `output` is what they are for.
    void use(const importance_options& importances, const std::filesystem::path& output) {
        claims_.read(importances.file);
        read_texts(importances.texts);
        if (importances.texts.empty() || output.empty()) return;
        kept_importances_ = with_suffix(output, ".imatrix.gguf");
        keep(kept_importances_);
    }
    /// What a target needs, for which damage may have to be measured.
    void use(const target_options& target, const std::filesystem::path& output) {
        if (!target.measuring.text.empty()) read_texts({target.measuring.text});
        if (!target.damage.empty())
            return std::filesystem::exists(target.damage) ? claims_.read(target.damage) : claims_.write(target.damage);
        if (output.empty()) return;
        kept_damage_ = with_suffix(output, ".damage.json");
        keep(kept_damage_);
    }

    void check() const { claims_.check(); }

    [[nodiscard]] const output_rule& rule() const noexcept { return claims_.rule(); }
    /// Where a damage table or importances are kept; empty: nowhere.
    [[nodiscard]] const std::filesystem::path& kept_damage() const noexcept { return kept_damage_; }
    [[nodiscard]] const std::filesystem::path& kept_importances() const noexcept { return kept_importances_; }
    /// Removes what was kept.
    void done() const {
        for (const std::filesystem::path& kept : {kept_damage_, kept_importances_})
            if (!kept.empty()) std::filesystem::remove(kept);
    }

private:
    [[nodiscard]] static std::filesystem::path with_suffix(std::filesystem::path path, const char* suffix) {
        return path += suffix;
    }

    file_claims claims_;
    std::filesystem::path kept_damage_, kept_importances_;
};

/// What something is found out from, as a number that tells it from anything else.
class origin {
public:
    template <tensor_source Model>
    explicit origin(const Model& model) {
        add(model_fingerprint(model));
    }
    template <class T>
    origin& add(std::span<const T> values) {
        sum_.append(values.data(), values.size_bytes());
        return *this;
    }
    template <class T>
    requires std::is_arithmetic_v<T>
    origin& add(T value) {
        return add(std::span<const T>(&value, 1));
    }
    origin& add(std::string_view text) { return add(std::span<const char>(text)); }
    [[nodiscard]] std::string text() const { return std::to_string(sum_.value()); }

private:
    checksum sum_;
};

/// Says that something was put into a file, where it is until the work is done.
inline void tell_kept(const listener& listener, std::string_view what, const std::filesystem::path& file) {
    listener.say("note: ", what, " kept in ", printable(file.string()), " until all is done");
}

/// What `load` makes of a kept file, if there is one and `load` takes it. `load` throws tessera::error when it does
/// not: then the file is refused, or, where existing files are replaced, as if it was not there. `remedy` is the option
/// that uses such a file.
template <class Load>
auto resume(const std::filesystem::path& file, const output_rule& rule, std::string_view remedy,
            const listener& listener, Load&& load) -> std::optional<decltype(load())> {
    if (file.empty() || !std::filesystem::exists(file)) return std::nullopt;
    try {
        auto found = load();
        listener.say("note: going on from ", printable(file.string()));
        return found;
    } catch (const error& e) {
        if (rule.existing == existing_file::replace) return std::nullopt;
        fail(e.what(), "; --force begins anew, ", remedy, ' ', file.string(), " uses it as it is");
    }
}

}  // namespace tessera::app
