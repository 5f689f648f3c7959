#include "command_files.hpp"

#include <unistd.h>

#include <iostream>

#include "terminal.hpp"
#include "tessera/app/model_files.hpp"
#include "tessera/gguf/model_fingerprint.hpp"
#include "text_sources.hpp"

namespace cli {

namespace {

std::filesystem::path with_suffix(std::filesystem::path path, const char* suffix) { return path += suffix; }

}  // namespace

void command_files::read_model(const std::filesystem::path& model) { claims_.read(tessera::model_files(model)); }

void command_files::read_texts(const std::vector<std::string>& arguments) {
    for (const std::string& argument : arguments) claims_.read(files_of_text(argument));
}

void command_files::use(const importance_options& importances, const std::filesystem::path& output) {
    claims_.read(importances.file);
    read_texts(importances.texts);
    if (importances.texts.empty() || output.empty()) return;
    kept_importances_ = with_suffix(output, ".imatrix.gguf");
    keep(kept_importances_);
}

void command_files::use(const target_options& target, const std::filesystem::path& output) {
    if (!target.measuring.text.empty()) read_texts({target.measuring.text});
    if (!target.damage.empty())
        return std::filesystem::exists(target.damage) ? claims_.read(target.damage) : claims_.write(target.damage);
    if (output.empty()) return;
    kept_damage_ = with_suffix(output, ".damage.json");
    keep(kept_damage_);
}

void command_files::done() const {
    for (const std::filesystem::path& kept : {kept_damage_, kept_importances_})
        if (!kept.empty()) std::filesystem::remove(kept);
}

origin::origin(const tessera::any_model& model) { add(tessera::model_fingerprint(model)); }

void tell_kept(const std::string& what, const std::filesystem::path& file) {
    std::cout << "note: " << what << " kept in " << path_text(file) << " until all is done\n" << std::flush;
}

}  // namespace cli
