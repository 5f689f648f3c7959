// Room on disks is asked for before it is needed.
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "support/support.hpp"
#include "tessera/app/disk_space.hpp"

using namespace tessera;

TEST_CASE("what is written to one file system is added up and compared with what is free there") {
    const support::scratch_dir folder;
    std::filesystem::create_directory(folder / "scratch");
    const std::vector<app::disk_need> needs{{folder.path(), 3}, {folder / "scratch", 4}, {folder / "x.work", 5}};
    std::vector<std::filesystem::path> asked;
    const auto free_of = [&](std::uint64_t room) {
        return [&asked, room](const std::filesystem::path& where) {
            asked.push_back(where);
            return room;
        };
    };
    CHECK_NOTHROW(app::require_space(needs, free_of(12)));
    CHECK(asked == std::vector{folder.path()});
    CHECK(support::message_of<error>([&] { app::require_space(needs, free_of(11)); }) ==
          folder.path().string() + ": wanted 0.00 GiB of free space for what will be written there, got 0.00 GiB");
    const std::vector<app::disk_need> perhaps{{folder.path(), 12}, {folder.path(), 1000, app::byte_bound::at_most}};
    CHECK_NOTHROW(app::require_space(perhaps, free_of(12)));
    const std::vector<app::disk_need> nothing{{folder.path(), 0}};
    CHECK_NOTHROW(app::require_space(nothing, free_of(0)));
}

TEST_CASE("of unfinished work what is on the disk counts, not the size that a file will have") {
    const support::scratch_dir folder;
    CHECK(app::bytes_in(folder / "none") == 0);
    support::write_text(folder / "a", std::string(10000, 'a'));
    std::filesystem::resize_file(folder / "a", std::uint64_t{1} << 30);
    CHECK(app::bytes_in(folder.path()) < 1000000);
}

TEST_CASE("a folder for a scratch file that is none is refused") {
    const support::scratch_dir folder;
    CHECK_NOTHROW(app::require_scratch({}));
    CHECK_NOTHROW(app::require_scratch(folder.path()));
    CHECK(support::message_of<error>([&] { app::require_scratch(folder / "none"); }) ==
          (folder / "none").string() + ": wanted a folder for a scratch file, got No such file or directory");
}
