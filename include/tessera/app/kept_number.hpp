// Numbers that the clock decided, for the run that goes on.
#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>

#include "tessera/app/work_files.hpp"
#include "tessera/core/bytes.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/journal.hpp"
#include "tessera/core/mapped_file.hpp"
#include "tessera/core/output_file.hpp"

namespace tessera::app {

/// What choose() says under a condition, or said in an earlier run of the same work, from 1 to `most`: what follows
/// from it must not depend on how fast the machine was this time. Kept in the folder's file `name`, if there is a
/// folder; a run that keeps nothing reads it there all the same. Throws unfit_work when that holds something else, or a
/// number for another condition.
template <class Choose>
[[nodiscard]] std::uint64_t kept_number(work_files& files, const std::string& name, std::string_view condition,
                                        std::uint64_t most, Choose&& choose) {
    const std::filesystem::path path = files.left(name);
    if (path.empty()) {
        const std::uint64_t number = choose();
        if (!files.folder().path().empty())
            write_text_file(files.folder().file(name), concat(number, ' ', condition), files.kept_rule());
        return number;
    }
    const mapped_file file(path);
    const std::string_view text = as_text(file.bytes());
    std::uint64_t number = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
    const std::string_view rest = text.substr(static_cast<std::size_t>(end - text.data()));
    if (problem != std::errc() || number == 0 || number > most || rest != concat(' ', condition))
        throw unfit_work(
            concat(path.string(), ": wanted a number up to ", most, " for ", condition, ", got ", text.substr(0, 80)));
    return number;
}

}  // namespace tessera::app
