// Journals: whole records come back, whatever became of the last one; and what no work goes on from.
#include <algorithm>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "support/support.hpp"
#include "tessera/core/journal.hpp"

using namespace tessera;

namespace {

using strings = std::vector<std::string>;

const work_identity some_work = work_identity().add("model", 7).add("text", 8).add("options", 9);

byte_view bytes(const std::string& text) { return std::as_bytes(std::span(text)); }

strings records_of(const journal& of) {
    strings all;
    for (const byte_view record : of.records()) all.emplace_back(as_text(record));
    return all;
}

}  // namespace

TEST_CASE("journal: records come back in order, and more are appended behind them") {
    const support::scratch_dir folder;
    const auto path = folder / "x.journal";
    {
        journal first(path, "things", some_work);
        CHECK(first.records().empty());
        first.append(bytes("one"));
        first.append(bytes(""));
    }
    {
        journal second(path, "things", some_work);
        CHECK(records_of(second) == strings{"one", ""});
        second.append(bytes("three"));
    }
    CHECK(records_of(journal(path, "things", some_work)) == strings{"one", "", "three"});
    CHECK(support::names_in(folder.path()) == strings{"x.journal"});
}

TEST_CASE("journal: a record that was cut off or changed is none, and neither is what follows it") {
    const support::scratch_dir folder;
    const auto path = folder / "x.journal";
    const strings written{"first", "a second record", "third"};
    std::vector<std::size_t> ends;
    for (const std::string& text : written) {
        journal(path, "things", some_work).append(bytes(text));
        ends.push_back(support::read_text(path).size());
    }
    const std::string whole = support::read_text(path);
    const std::size_t head = ends[0] - 16 - written[0].size();
    const auto whole_until = [&](std::size_t end) { return std::ranges::upper_bound(ends, end) - ends.begin(); };
    for (std::size_t at = head; at < whole.size(); ++at) {
        CAPTURE(at);
        const strings left(written.begin(), written.begin() + whole_until(at));
        support::write_text(path, whole.substr(0, at));
        CHECK(records_of(journal(path, "things", some_work)) == left);
        CHECK(support::read_text(path) == whole.substr(0, left.empty() ? head : ends[left.size() - 1]));
        std::string changed = whole;
        changed[at] ^= 1;
        support::write_text(path, changed);
        journal(path, "things", some_work).append(bytes("next"));
        strings next = left;
        next.emplace_back("next");
        CHECK(records_of(journal(path, "things", some_work)) == next);
    }
    // A record counts where it stands only.
    support::write_text(path, whole.substr(0, head) + whole.substr(ends[0]));
    CHECK(journal(path, "things", some_work).records().empty());
}

TEST_CASE("journal: what is of other work is refused by what differs") {
    const support::scratch_dir folder;
    const auto path = folder / "x.journal";
    journal(path, "things", some_work).append(bytes("one"));
    const auto refused = [&](std::string_view kind, const work_identity& identity) {
        const std::string message = support::message_of<unfit_work>([&] { const journal other(path, kind, identity); });
        REQUIRE(message.starts_with(path.string() + ": "));
        return message.substr(path.string().size() + 2);
    };
    const std::string wanted = "wanted work on the same inputs and options, got some that differs in ";
    CHECK(refused("things", work_identity().add("model", 7).add("text", 1).add("options", 9)) == wanted + "text");
    CHECK(refused("things", work_identity().add("model", 77).add("text", 1).add("options", 9)) ==
          wanted + "model and text");
    CHECK(refused("things", work_identity(some_work).add("release", 2)) == wanted + "release");
    CHECK(refused("other things", some_work) == "wanted a journal of other things, got one of things");
    std::string later = support::read_text(path);
    for (const std::string& content : {std::string(), std::string("something else"), later.substr(0, 20)}) {
        support::write_text(path, content);
        CHECK(refused("things", some_work) == "wanted a journal of unfinished work, got something else");
    }
}

TEST_CASE("journal: others look at its records, as far as they are whole, and leave it alone") {
    const support::scratch_dir folder;
    const auto path = folder / "x.journal";
    const auto count = [&](std::string_view kind, const work_identity& part) {
        return journal::look(path, kind, part).records().size();
    };
    const work_identity model = work_identity().add("model", 7);
    CHECK(count("things", model) == 0);
    CHECK(support::names_in(folder.path()).empty());
    journal open(path, "things", some_work);
    CHECK(count("things", model) == 0);
    open.append(bytes("one"));
    open.append(bytes("two"));
    CHECK(as_text(journal::look(path, "things", some_work).records()[1]) == "two");
    CHECK(count("things", model) == 2);
    CHECK(count("things", work_identity().add("options", 9).add("model", 7)) == 2);
    CHECK(count("things", work_identity().add("model", 8)) == 0);
    CHECK(count("thing", model) == 0);
    const std::string whole = support::read_text(path);
    support::write_text(path, whole.substr(0, whole.size() - 1));
    CHECK(count("things", model) == 1);
    CHECK(support::read_text(path).size() == whole.size() - 1);
    support::write_text(path, "something else");
    CHECK(count("things", model) == 0);
}
