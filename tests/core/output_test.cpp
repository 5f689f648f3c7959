// Files that get their names when they are complete: what is refused beforehand, and what is left by whom.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "support/support.hpp"
#include "tessera/core/file_claims.hpp"
#include "tessera/core/output_file.hpp"
#include "tessera/core/output_rule.hpp"
#include "tessera/core/unpublished_files.hpp"

using namespace tessera;
using support::names_in;
namespace fs = std::filesystem;

namespace {

using strings = std::vector<std::string>;

/// Runs f in a process of its own, which it may end; the status that wait gives.
template <class Function>
int in_child(Function&& f) {
    const ::pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        try {
            f();
        } catch (...) {
            ::_exit(99);
        }
        ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return status;
}

}  // namespace

TEST_CASE("output: a name is refused for what it is, where it lies, and what is there") {
    const support::scratch_dir dir;
    support::write_text(dir / "input", "in");
    support::write_text(dir / "there", "precious");
    fs::create_directory(dir / "folder");
    fs::create_directory_symlink(dir.path(), dir / "folder" / "up");
    fs::create_symlink(dir / "input", dir / "symbolic");
    fs::create_hard_link(dir / "input", dir / "hard");
    fs::create_symlink(dir / "nothing", dir / "dangling");
    const auto message = [&](const fs::path& path, existing_file existing) {
        return support::message_of<error>(
            [&] { require_destination(path, {{dir / "absent", dir / "input"}, existing}); });
    };
    for (const existing_file existing : {existing_file::refuse, existing_file::replace}) {
        CHECK(message("", existing) == "output: wanted the name of a file, got \"\"");
        CHECK(message(dir / "new/", existing) ==
              "output: wanted the name of a file, got \"" + (dir / "new/").string() + '"');
        CHECK(support::has(message(dir / "no" / "file", existing),
                           "wanted a folder that exists, got " + (dir / "no").string()));
        CHECK(support::has(message(dir / "there" / "file", existing), "wanted a folder to write in"));
        CHECK(support::has(message(dir / "folder", existing), "wanted a regular file to replace"));
        CHECK(support::has(message(dir / "dangling", existing), "wanted a regular file to replace"));
        for (const char* input :
             {"input", "symbolic", "hard", "folder/up/input", "./folder/../hard", "folder/up/absent"})
            CHECK(support::has(message(dir / input, existing), "wanted an output that is none of the inputs, got "));
        CHECK_NOTHROW(require_destination(dir / "free", {{dir / "input"}, existing}));
    }
    CHECK_THROWS_AS(require_destination(dir / "there", {}), const name_taken&);
    CHECK_NOTHROW(require_destination(dir / "there", {.existing = existing_file::replace}));
    if (::geteuid() != 0) {  // root may write anywhere
        fs::permissions(dir / "folder", fs::perms::owner_read | fs::perms::owner_exec);
        CHECK(support::has(message(dir / "folder" / "file", existing_file::refuse), "wanted a folder to write in"));
        fs::permissions(dir / "folder", fs::perms::owner_all);
    }
}

TEST_CASE("output: a text is checked again when it is complete") {
    const support::scratch_dir dir;
    write_text_file(dir / "a", "one", {});
    CHECK_THROWS_AS(write_text_file(dir / "a", "two", {}), const name_taken&);
    CHECK(support::read_text(dir / "a") == "one");
    write_text_file(dir / "a", "three", {.existing = existing_file::replace});
    CHECK(support::read_text(dir / "a") == "three");
    CHECK(names_in(dir.path()) == strings{"a"});
}

TEST_CASE("output: one that was noted before it had its name is not in the way, until somebody writes to it") {
    const support::scratch_dir dir;
    fs::create_directory(dir / "work");
    const output_rule rule{.noted_in = dir / "work/published"};
    write_text_file(dir / "a", "one", rule);
    support::write_text(dir / "other", "one");
    CHECK_NOTHROW(require_destination(dir / "a", rule));
    CHECK_THROWS_AS(require_destination(dir / "a", {}), const name_taken&);
    CHECK_THROWS_AS(require_destination(dir / "other", rule), const name_taken&);
    write_text_file(dir / "a", "two", rule);
    write_text_file(dir / "b", "three", rule);
    for (const char* name : {"a", "b"}) CHECK_NOTHROW(require_destination(dir / name, rule));
    support::write_text(dir / "a", "four!");
    CHECK_THROWS_AS(require_destination(dir / "a", rule), const name_taken&);
    // One that has changed although its size and its time have not.
    const auto written = fs::last_write_time(dir / "b");
    support::write_text(dir / "b", "THREE");
    fs::last_write_time(dir / "b", written);
    CHECK_THROWS_AS(require_destination(dir / "b", rule), const name_taken&);
    support::write_text(dir / "b", "three");
    fs::last_write_time(dir / "b", written);
    CHECK_NOTHROW(require_destination(dir / "b", rule));
    // A note that was cut off is none.
    support::write_text(dir / "work/published", support::read_text(dir / "work/published").substr(0, 5));
    CHECK_THROWS_AS(require_destination(dir / "b", rule), const name_taken&);

    fs::remove_all(dir / "work");  // no folder: nothing is noted
    write_text_file(dir / "c", "one", rule);
    CHECK_THROWS_AS(require_destination(dir / "c", rule), const name_taken&);
}

TEST_CASE("claims: every output has a file of its own that can be created, or nothing begins") {
    const support::scratch_dir dir;
    fs::create_directory_symlink(dir.path(), dir / "same");
    support::write_text(dir / "in", "in");
    const auto check = [&](const fs::path& first, const fs::path& second) {
        file_claims claims(existing_file::replace);
        claims.read(std::vector<fs::path>{{}, dir / "in"});
        claims.write(first);
        claims.write(second);
        claims.check();
    };
    const auto refused = [&](const fs::path& first, const fs::path& second) {
        return support::message_of<error>([&] { check(first, second); });
    };
    CHECK(support::has(refused(dir / "x", dir / "x"), "wanted a file for each output, got "));
    CHECK(support::has(refused(dir / "x", dir / "same" / "x"), "wanted a file for each output, got "));
    CHECK(support::has(refused(dir / "x", dir / "same" / "in"), "none of the inputs"));
    CHECK(support::has(refused(dir / "x", dir / std::string(250, 'n')),
                       "cannot create: "));  // too long while it is partial
    CHECK_NOTHROW(check(dir / "x", dir / "y"));
    CHECK_NOTHROW(check(dir / "x", {}));
    file_claims going_on(existing_file::refuse);
    going_on.write(dir / "in", existing_file::replace);
    CHECK_NOTHROW(going_on.check());
    CHECK(names_in(dir.path()) == strings{"in", "same"});
}

TEST_CASE("what a killed process left is removed by the next that writes the same, and nothing else is") {
    const support::scratch_dir dir;
    const int status = in_child([&] {
        const output_file one(dir / "x", 10), two(dir / "x", 10);
        ::kill(::getpid(), SIGKILL);
    });
    REQUIRE(WIFSIGNALED(status));
    CHECK(names_in(dir.path()).size() == 2);
    for (const char* other :
         {"x.partial-notes", "x.partial-1", "x.partial-1-", "x.partial--1", "x.partial-1-2-3", "y.partial-1-0"})
        support::write_text(dir / other, "");
    const std::string left = "x.partial-" + std::to_string(::getpid()) + "-0";
    {
        const output_file alive(dir / "x", 10);
        CHECK(names_in(dir.path()).size() == 7);
        output_file other(dir / "x", 10);  // does not take the living one for abandoned
        CHECK(names_in(dir.path()).size() == 8);
        CHECK(fs::exists(dir / left));
        other.publish();
    }
    CHECK(names_in(dir.path()).size() == 7);
    support::write_text(dir / left, "");  // of a process that had the same number
    CHECK_NOTHROW(output_file(dir / "x", 0));
    CHECK_FALSE(fs::exists(dir / left));
}

TEST_CASE("a process that ends without unwinding leaves no file without its name") {
    const support::scratch_dir dir;
    const int status = in_child([&] {
        std::vector<output_file> files;
        for (int i = 0; i < 20; ++i) files.emplace_back(dir / std::to_string(i % 10), 10);
        for (std::size_t i = 0; i < 20; i += 2) files[i].publish();
        while (files.size() > 15) files.pop_back();
        files.emplace_back(dir / "after", 10);
        remove_unpublished_files();
        bool is_refused = false;
        try {
            const output_file late(dir / "late", 10);
        } catch (const error&) {
            is_refused = true;
        }
        ::_exit(is_refused ? 5 : 6);
    });
    CHECK(WEXITSTATUS(status) == 5);
    CHECK(names_in(dir.path()) == strings{"0", "2", "4", "6", "8"});
}

TEST_CASE("a signal handler may remove the files that were begun at any moment") {
    const support::scratch_dir dir;
    for (int moment = 0; moment < 30; ++moment) {
        const ::pid_t child = ::fork();
        REQUIRE(child >= 0);
        if (child == 0) {
            ::signal(SIGTERM, [](int) {
                remove_unpublished_files();
                ::_exit(0);
            });
            for (int n = 0;; ++n)
                write_text_file(dir / ("done" + std::to_string(n % 7)), "all", {.existing = existing_file::replace});
        }
        while (!fs::exists(dir / "done3")) ::usleep(100);
        ::usleep(static_cast<::useconds_t>(moment * 37));
        ::kill(child, SIGTERM);
        int status = 0;
        ::waitpid(child, &status, 0);
        for (const std::string& name : names_in(dir.path())) {
            CHECK(name.find("partial") == name.npos);
            CHECK(support::read_text(dir / name) == "all");
            fs::remove(dir / name);
        }
    }
}
