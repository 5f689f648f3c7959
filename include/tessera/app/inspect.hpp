// What there is to know of a model without running it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "tessera/app/any_formats.hpp"
#include "tessera/app/chat_templates.hpp"
#include "tessera/app/listener.hpp"
#include "tessera/app/model_summary.hpp"
#include "tessera/app/open_model.hpp"
#include "tessera/format/engines.hpp"

namespace tessera::app {

struct inspection {
    any_model model;  ///< with its metadata and tensors
    model_summary summary;
    std::uint64_t file_bytes;
    std::optional<engine_needs> needs;  ///< of a file; a directory is converted before it is run
    std::vector<checked_template> chat_templates;
};

/// Opens a model and sums up what it holds.
template <class Formats = builtin_formats>
[[nodiscard]] inspection inspect(const std::filesystem::path& path, const listener& listener = {},
                                 const any_formats& formats = any_formats(Formats{})) {
    any_model model = open({.path = path}, formats, listener);
    inspection found{std::move(model), model_summary({}), 0, {}, {}};
    found.summary = model_summary(found.model.tensors());
    found.file_bytes = size_on_disk(found.model.files());
    if (!std::filesystem::is_directory(path)) found.needs = formats.needs_of(found.model.tensors());
    found.chat_templates = check_chat_templates(found.model.metadata());
    return found;
}

}  // namespace tessera::app
