// The documentation is part of the program: the README's commands run, all code is compiled.
#include <sstream>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "cli/program.hpp"
#include "support/support.hpp"
#include "tessera/format.hpp"

using namespace support;

namespace {

std::vector<std::string> lines_of(const std::string& document) {
    std::vector<std::string> lines;
    std::istringstream text(read_text(project_dir() / document));
    for (std::string line; std::getline(text, line);) lines.push_back(line);
    return lines;
}

/// The pieces of C++ in a document.
std::vector<std::string> code_in(const std::string& document) {
    std::vector<std::string> pieces;
    bool inside = false;
    for (const std::string& line : lines_of(document)) {
        if (line == "```cpp")
            pieces.emplace_back();
        else if (inside && line != "```")
            pieces.back() += line + '\n';
        inside = line == "```cpp" || (inside && line != "```");
    }
    return pieces;
}

}  // namespace

TEST_CASE("the README's commands do what it says they print") {
    const std::string prompt = "    $ build/release/tessera ";
    const scratch_dir folder;
    fs::create_directory_symlink(project_dir() / "examples", folder / "examples");
    const std::vector<std::string> lines = lines_of("README.md");
    int commands = 0;
    for (std::size_t i = 0; i < lines.size(); ++i) {
        if (!lines[i].starts_with(prompt)) continue;
        ++commands;
        CAPTURE(lines[i]);
        const outcome run = program(folder, lines[i].substr(prompt.size()));
        CHECK(run.status == 0);
        // Times differ, and so may last digits between compilers: what is compared is the first words of each line.
        for (++i; i < lines.size() && lines[i].starts_with("    "); ++i) {
            const std::string shown = lines[i].substr(4);
            if (shown == "...") continue;
            const std::string start = shown.substr(0, shown.find_first_of("0123456789"));
            CHECK_MESSAGE(("\n" + run.out).find("\n" + start) != std::string::npos, shown);
            if (shown.starts_with("wrote ")) {
                const std::string exact = shown.substr(0, shown.rfind(", in "));
                CHECK_MESSAGE(run.out.find(exact) != std::string::npos, shown);
            }
        }
    }
    CHECK(commands == 9);
}

TEST_CASE("the code in the documentation is that of the examples") {
    std::string examples;
    for (const auto& entry : fs::directory_iterator(project_dir() / "examples"))
        if (entry.is_regular_file()) examples += read_text(entry.path());
    for (const std::string document : {"README.md", "docs/extending.md"}) {
        CAPTURE(document);
        const std::vector<std::string> pieces = code_in(document);
        CHECK(!pieces.empty());
        for (const std::string& piece : pieces) CHECK_MESSAGE(examples.find(piece) != std::string::npos, piece);
    }
}

TEST_CASE("the README names the commands that set everything up, and they are there") {
    const std::string text = read_text(project_dir() / "README.md");
    for (const std::string script : {"examples/quickstart.sh", "tests/run.sh"}) {
        CHECK(text.find("bash " + script) != std::string::npos);
        CHECK(fs::exists(project_dir() / script));
    }
}

TEST_CASE("the README's table of engines is the code's") {
    const std::string text = read_text(project_dir() / "README.md");
    const std::size_t table = text.find("| formats | CPU | CUDA | Metal | Vulkan | SYCL |");
    REQUIRE(table != std::string::npos);
    const std::string rows = text.substr(table, text.find("\n\n", table) - table);
    const auto says = [&](std::uint32_t build) { return has(rows, "b" + std::to_string(build)); };
    tessera::builtin_formats::for_each([&]<class F>(tessera::format_tag<F>) {
        CAPTURE(F::name);
        for (const tessera::back_end& on : tessera::back_ends) {
            const tessera::engine_build first = tessera::engines_of<F>.*on.build;
            CHECK((!first.exists() || says(first.number)));
        }
    });
    CHECK(has(text, "(b" + std::to_string(tessera::portable_build.number) + ")"));
}
