// The folder of unfinished work: when it is there, whose it is, and what is left.
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "support/support.hpp"
#include "tessera/core/file_claims.hpp"
#include "tessera/files/work_folder.hpp"

using namespace tessera;
using support::names_in;
using strings = std::vector<std::string>;

TEST_CASE("a work folder comes with its first file, and stays with what is in it") {
    const support::scratch_dir dir;
    {
        work_folder folder(dir / "x.work/");
        folder.take_up();
        folder.remove();
        CHECK(names_in(dir.path()).empty());
        CHECK(folder.file("damage.json") == dir / "x.work" / "damage.json");
        CHECK(names_in(dir / "x.work") == strings{"lock"});
    }
    CHECK(names_in(dir.path()).empty());  // nothing was put in it
    {
        work_folder folder(dir / "x.work");
        support::write_text(folder.file("damage.json"), "kept");
        work_folder moved = std::move(folder);
        CHECK(moved.path() == dir / "x.work");
    }
    CHECK(names_in(dir / "x.work") == strings{"damage.json", "lock"});
    support::write_text(dir / "x.work" / "damage.json.partial-1-0", "of a process that was killed");
    support::write_text(dir / "x.work" / "mine.partial-1-0", "of somebody else");
    {
        work_folder folder(dir / "x.work");
        folder.take_up();
        CHECK(names_in(dir / "x.work") == strings{"damage.json", "lock", "mine.partial-1-0"});
        CHECK(support::message_of<error>([&] { work_folder(dir / "x.work").take_up(); }) ==
              (dir / "x.work").string() + ": wanted unfinished work that no process is at, got another process's");
        for (const char* name : {"output-0.gguf", "output.journal", "output.states-3", "outputs"})
            support::write_text(folder.file(name), "");
        folder.forget(work_folder::output);
        CHECK(names_in(dir / "x.work") == strings{"damage.json", "lock", "mine.partial-1-0", "outputs"});
        folder.remove();
        CHECK(names_in(dir / "x.work") == strings{"mine.partial-1-0", "outputs"});  // what is not ours
    }
    CHECK(work_folder().file("damage.json").empty());
    CHECK(work_folder().list_of_outputs().empty());
}

TEST_CASE("what is left of work that was done is removed by whoever comes next") {
    const support::scratch_dir dir;
    support::fs::create_directory(dir / "x.work");
    for (const char* name : {"damage.journal", "published", "mine"}) support::write_text(dir / "x.work" / name, "");
    {
        work_folder folder(dir / "x.work");
        folder.sweep();  // it is not known to be done
        CHECK(names_in(dir / "x.work") == strings{"damage.journal", "mine", "published"});
        folder.take_up();
    }
    CHECK(names_in(dir / "x.work") == strings{"damage.journal", "lock", "mine", "published"});
    support::fs::rename(dir / "x.work/published", dir / "x.work/finished");  // as its end begins
    {
        work_folder folder(dir / "x.work");
        folder.sweep();
        CHECK(names_in(dir / "x.work") == strings{"lock", "mine"});
    }
    CHECK(names_in(dir / "x.work") == strings{"mine"});

    for (const bool is_locked : {true, false}) {  // killed at its last steps
        support::fs::create_directory(dir / "y.work");
        if (is_locked) support::write_text(dir / "y.work/lock", "");
        work_folder(dir / "y.work").sweep();
        CHECK_FALSE(support::fs::exists(dir / "y.work"));
    }
}

TEST_CASE("a work folder is for nothing else") {
    const support::scratch_dir dir;
    support::fs::create_directory(dir / "x.work");
    support::write_text(dir / "file", "");
    const auto message = [&](const std::string& output, const std::string& input, const std::string& folder) {
        file_claims claims(existing_file::refuse);
        claims.read(dir / input);
        claims.write(dir / output);
        claims.use_folder(dir / folder);
        return support::message_of<error>([&] { claims.check(); });
    };
    using support::has;
    CHECK(has(message("o", "i", "file"), "file: wanted a folder for unfinished work, got something else"));
    CHECK(has(message("o", "i", "o"), "wanted a file for each output"));
    CHECK(has(message("x.work/o", "i", "x.work"), "x.work/o: wanted a file outside of "));
    CHECK(has(message("o", "x.work/i", "x.work"), "x.work/i: wanted a file outside of "));
    CHECK(has(message("o", "i", "no/x.work"), "wanted a folder for unfinished work, got "));
    CHECK(names_in(dir.path()) == strings{"file", "x.work"});
}
