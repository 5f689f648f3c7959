// All files that some work reads and writes, so that what clashes is found before it begins.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/core/output_file.hpp"
#include "tessera/core/output_rule.hpp"

namespace tessera {

/// What is read and what will be written. An empty name is no file.
class file_claims {
public:
    /// What becomes of outputs that exist.
    explicit file_claims(existing_file existing) { rule_.existing = existing; }

    void read(std::filesystem::path file) {
        if (!file.empty()) rule_.inputs.push_back(std::move(file));
    }
    void read(const std::vector<std::filesystem::path>& files) {
        for (const std::filesystem::path& file : files) read(file);
    }
    void write(std::filesystem::path file) { write(std::move(file), rule_.existing); }
    /// For a file that is treated in its own way when it exists.
    void write(std::filesystem::path file, existing_file existing) {
        if (!file.empty()) outputs_.push_back({std::move(file), existing});
    }

    /// What each output keeps to.
    [[nodiscard]] const output_rule& rule() const noexcept { return rule_; }

    /// Throws when some output must not be written (see require_destination), two are the same file, or one cannot be
    /// created, which is tried. Removes what processes that were killed have left of the outputs.
    void check() const {
        for (std::size_t o = 0; o < outputs_.size(); ++o) {
            const std::filesystem::path& path = outputs_[o].path;
            require_destination(path, {rule_.inputs, outputs_[o].existing});
            for (std::size_t other = 0; other < o; ++other)
                if (is_same_file(outputs_[other].path, path))
                    fail(path.string(), ": wanted a file for each output, got ", outputs_[other].path.string(),
                         " for another");
        }
        for (const output& o : outputs_) const output_file attempt(o.path, 0);
    }

private:
    struct output {
        std::filesystem::path path;
        existing_file existing;
    };
    output_rule rule_;
    std::vector<output> outputs_;
};

}  // namespace tessera
