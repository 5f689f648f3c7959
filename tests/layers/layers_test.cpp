// The layer rule: a folder of include/tessera includes only what this table allows.
#include <algorithm>
#include <filesystem>
#include <iterator>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "support/support.hpp"

namespace {

namespace fs = std::filesystem;
using names = std::vector<std::string_view>;

struct layer {
    std::string_view folder;
    names may_include;  // folders of the library
    names heavy;        // how third-party includes may begin
};

// In the order of the layers: a folder never includes one below it.
const std::vector<layer> layers{
    {"core", {}, {}},
    {"kernels", {}, {"xsimd/"}},
    {"format", {"core", "kernels"}, {}},
    {"encode", {"core", "kernels", "format"}, {"Eigen/"}},
    {"testing", {"core", "format", "encode"}, {}},
    {"tensor", {"core", "format"}, {}},
    {"gguf", {"core", "format", "tensor"}, {}},
    {"json", {"core"}, {"nlohmann/"}},
    {"safetensors", {"core", "format", "tensor", "json"}, {"nlohmann/"}},
    {"jinja", {"core"}, {"nlohmann/", "utf8proc.h"}},
    {"text", {"core", "json", "jinja"}, {"nlohmann/", "utf8proc.h"}},
    {"decoder", {"core", "kernels", "tensor"}, {"Eigen/"}},
    {"huggingface", {"core", "format", "tensor", "json", "safetensors", "text", "decoder"}, {"nlohmann/"}},
    {"calibrate", {"core", "kernels", "encode", "tensor", "gguf", "decoder"}, {"Eigen/"}},
    {"measure", {"core", "kernels", "tensor", "decoder"}, {}},
    {"select", {"core"}, {}},
    {"quantize",
     {"core", "kernels", "format", "encode", "tensor", "gguf", "decoder", "calibrate", "measure", "select"},
     {}},
    {"damage",
     {"core", "format", "encode", "tensor", "gguf", "decoder", "calibrate", "measure", "select", "quantize"},
     {}},
    {"files", {"core", "format", "gguf", "json", "select", "quantize"}, {"nlohmann/"}},
    {"app",
     {"core", "format", "encode", "tensor", "gguf", "jinja", "text", "decoder", "huggingface", "calibrate", "measure",
      "select", "quantize", "damage", "files"},
     {}},
};

// Headers that alone in their folder include something heavy.
struct sole_user {
    std::string_view heavy;
    std::string_view header;
};
const std::vector<sole_user> sole_users{{"xsimd/", "kernels/simd.hpp"}, {"nlohmann/", "jinja/from_json.hpp"}};

// Headers beside the folders that every folder may include.
const names everywhere{"config.hpp", "version.hpp", "fwd.hpp"};

// What counts as third-party: everything in angle brackets that is neither the standard library's nor POSIX's.
const names third_party{"xsimd/", "Eigen/", "nlohmann/", "utf8proc", "doctest/", "CLI/"};

bool contains(const names& list, std::string_view item) {
    return std::find(list.begin(), list.end(), item) != list.end();
}

bool begins_with_any(std::string_view text, const names& prefixes) {
    return std::any_of(prefixes.begin(), prefixes.end(), [&](std::string_view p) { return text.starts_with(p); });
}

/// The target of an #include line with its quotes or angle brackets, or nothing.
std::string_view include_target(std::string_view line) {
    const auto skip_blanks = [&] { line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size())); };
    skip_blanks();
    if (!line.starts_with('#')) return {};
    line.remove_prefix(1);
    skip_blanks();
    if (!line.starts_with("include")) return {};
    line.remove_prefix(7);
    skip_blanks();
    if (line.empty()) return {};
    const std::size_t end = line.find(line.front() == '<' ? '>' : '"', 1);
    return end == std::string_view::npos ? std::string_view{} : line.substr(0, end + 1);
}

/// Why `header` (relative to include/tessera) may not have this include, or nothing.
std::string violation(const fs::path& header, std::string_view target) {
    const std::string folder = header.has_parent_path() ? header.begin()->string() : "";
    const auto found = std::find_if(layers.begin(), layers.end(), [&](const layer& l) { return l.folder == folder; });
    if (!folder.empty() && found == layers.end()) return "folder " + folder + " is in no layer";

    const std::string_view path = target.substr(1, target.size() - 2);
    if (target.front() == '<') {
        if (path.starts_with("tessera/")) return "the library's own headers are included with quotes";
        if (!begins_with_any(path, third_party)) return {};
        if (folder.empty() || !begins_with_any(path, found->heavy)) return "third-party header not allowed here";
        for (const sole_user& sole : sole_users)
            if (path.starts_with(sole.heavy) && sole.header.starts_with(folder + "/") && header != sole.header)
                return "in this folder, only " + std::string(sole.header) + " includes " + std::string(sole.heavy);
        return {};
    }
    if (!path.starts_with("tessera/")) return "the library's own headers are included as tessera/...";
    const std::string_view inside = path.substr(8);
    if (folder.empty() || contains(everywhere, inside)) return {};
    const std::size_t slash = inside.find('/');
    if (slash == std::string_view::npos) return "an umbrella is for users, not for the library itself";
    const std::string_view other = inside.substr(0, slash);
    if (other == folder || contains(found->may_include, other)) return {};
    return folder + " may not include " + std::string(other);
}

/// Calls visit(target, line number) for every include of a file.
template <class Visit>
void for_each_include(const std::string& text, Visit&& visit) {
    std::istringstream lines(text);
    std::string line;
    for (int number = 1; std::getline(lines, line); ++number)
        if (const std::string_view target = include_target(line); !target.empty()) visit(target, number);
}

std::vector<std::string> violations(const fs::path& header, const std::string& text) {
    std::vector<std::string> found;
    for_each_include(text, [&](std::string_view target, int number) {
        if (const std::string why = violation(header, target); !why.empty())
            found.push_back(header.string() + ":" + std::to_string(number) + ": " + std::string(target) + ": " + why);
    });
    return found;
}

/// Calls visit(header relative to include/tessera, its text) for every header of the library.
template <class Visit>
void for_each_header(Visit&& visit) {
    const fs::path root = support::project_dir() / "include/tessera";
    for (const auto& entry : fs::recursive_directory_iterator(root))
        if (entry.path().extension() == ".hpp")
            visit(fs::relative(entry.path(), root), support::read_text(entry.path()));
}

struct include {
    std::string folder;  // of the header with the include
    std::string target;
};

/// What a table allows though none of these includes needs it: "folder: what".
std::vector<std::string> unused(const std::vector<layer>& table, const std::vector<include>& includes) {
    std::vector<std::string> found;
    for (const layer& l : table) {
        const auto needs = [&](const std::string& beginning) {
            return std::any_of(includes.begin(), includes.end(), [&](const include& one) {
                return one.folder == l.folder && one.target.starts_with(beginning);
            });
        };
        for (const std::string_view other : l.may_include)
            if (!needs("\"tessera/" + std::string(other) + "/"))
                found.push_back(std::string(l.folder) + ": " + std::string(other));
        for (const std::string_view other : l.heavy)
            if (!needs("<" + std::string(other))) found.push_back(std::string(l.folder) + ": " + std::string(other));
    }
    return found;
}

// A module of include/modules.cmake with all that comes with it.
struct module_closure {
    std::set<std::string> folders;   // of modules
    std::set<std::string> packages;  // their own and those of the modules they use
};

std::map<std::string, module_closure> read_modules(const std::string& text) {
    std::map<std::string, module_closure> modules;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        const std::size_t open = line.find('"'), first = line.find('|'), second = line.find('|', first + 1);
        if (!line.starts_with("    \"") || second == std::string::npos) continue;  // no row
        const auto words = [](std::string part) {
            std::replace(part.begin(), part.end(), '"', ' ');
            std::istringstream in(part);
            return std::vector<std::string>(std::istream_iterator<std::string>(in), {});
        };
        const std::string name = words(line.substr(open, first - open)).at(0);
        module_closure& all = modules[name];
        all.folders.insert(name);
        for (const std::string& used : words(line.substr(first + 1, second - first - 1))) {
            REQUIRE_MESSAGE(modules.contains(used), name << " uses " << used << ", which is no module before it");
            all.folders.insert(modules[used].folders.begin(), modules[used].folders.end());
            all.packages.insert(modules[used].packages.begin(), modules[used].packages.end());
        }
        for (const std::string& package : words(line.substr(second + 1))) all.packages.insert(package);
    }
    return modules;
}

/// What headers bring in, themselves and through others of the library.
module_closure reached_from(const std::vector<std::string>& headers) {
    const std::map<std::string, std::string> packages{
        {"xsimd", "xsimd"}, {"Eigen", "Eigen3"}, {"nlohmann", "nlohmann_json"}, {"utf8proc.h", "utf8proc"}};
    module_closure found;
    std::set<std::string> seen(headers.begin(), headers.end());
    for (std::vector<std::string> waiting = headers; !waiting.empty();) {
        const std::string next = waiting.back();
        waiting.pop_back();
        const std::string text = support::read_text(support::project_dir() / "include" / next);
        for_each_include(text, [&](std::string_view target, int) {
            const std::string path(target.substr(1, target.size() - 2));
            const std::string beginning = path.substr(0, path.find('/'));
            if (beginning == "tessera") {
                if (const std::size_t end = path.find('/', 8); end != std::string::npos)
                    found.folders.insert(path.substr(8, end - 8));
                if (seen.insert(path).second) waiting.push_back(path);
            } else if (const auto package = packages.find(beginning); package != packages.end()) {
                found.packages.insert(package->second);
            }
        });
    }
    return found;
}

}  // namespace

TEST_CASE("the target of a module brings what its headers include") {
    const auto modules = read_modules(support::read_text(support::project_dir() / "include/modules.cmake"));
    std::set<std::string> named;
    for (const auto& [name, all] : modules) {
        CAPTURE(name);
        named.insert(name);
        std::vector<std::string> headers;
        if (name == "encode" || name == "error_feedback") {  // two modules of one folder
            headers.push_back(name == "encode" ? "tessera/encode.hpp" : "tessera/encode/error_feedback.hpp");
        } else {
            for_each_header([&](const fs::path& header, const std::string&) {
                if (header.has_parent_path() && *header.begin() == name)
                    headers.push_back("tessera/" + header.string());
            });
        }
        CHECK(!headers.empty());
        const module_closure reached = reached_from(headers);
        for (const std::string& folder : reached.folders)
            CHECK_MESSAGE(all.folders.contains(folder), name << " includes " << folder);
        for (const std::string& package : reached.packages)
            CHECK_MESSAGE(all.packages.contains(package), name << " includes " << package);
    }
    for (const layer& l : layers) CHECK_MESSAGE(named.contains(std::string(l.folder)), l.folder << " has no target");
    for (const char* light : {"format", "encode", "tensor", "gguf"})  // whoever packs blocks needs xsimd only
        CHECK(modules.at(light).packages == std::set<std::string>{"Threads", "xsimd"});
    CHECK(modules.at("error_feedback").packages == std::set<std::string>{"Eigen3", "Threads", "xsimd"});
    CHECK(modules.at("select").packages == std::set<std::string>{"Threads"});
}

TEST_CASE("every header keeps the layer rule") {
    std::size_t headers = 0;
    for_each_header([&](const fs::path& header, const std::string& text) {
        ++headers;
        for (const std::string& found : violations(header, text)) FAIL_CHECK(found);
    });
    CHECK(headers > 30);
}

TEST_CASE("the table allows no more than is used") {
    std::vector<include> includes;
    for_each_header([&](const fs::path& header, const std::string& text) {
        for_each_include(text, [&](std::string_view target, int) {
            if (header.has_parent_path()) includes.push_back({header.begin()->string(), std::string(target)});
        });
    });
    for (const std::string& found : unused(layers, includes)) FAIL_CHECK(found);

    const std::vector<layer> table{{"decoder", {"core", "text"}, {"Eigen/", "nlohmann/"}}};
    const std::vector<include> planted{{"decoder", "\"tessera/core/half.hpp\""},
                                       {"decoder", "<Eigen/Core>"},
                                       {"huggingface", "\"tessera/text/token.hpp\""},
                                       {"huggingface", "<nlohmann/json.hpp>"}};
    CHECK(unused(table, planted) == std::vector<std::string>{"decoder: text", "decoder: nlohmann/"});
}

TEST_CASE("the table allows only folders above") {
    for (std::size_t i = 0; i < layers.size(); ++i)
        for (const std::string_view other : layers[i].may_include) {
            const auto end = layers.begin() + static_cast<std::ptrdiff_t>(i);
            const bool is_above = std::any_of(layers.begin(), end, [&](const layer& l) { return l.folder == other; });
            CHECK_MESSAGE(is_above, layers[i].folder << " includes " << other);
        }
}

TEST_CASE("planted violations are found") {
    const auto count = [](const char* header, const char* line) { return violations(header, line).size(); };
    CHECK(count("core/x.hpp", "#include \"tessera/format/concepts.hpp\"\n") == 1);
    CHECK(count("select/x.hpp", "  #  include \"tessera/gguf/reader.hpp\"") == 1);
    CHECK(count("measure/x.hpp", "#include \"tessera/select/plan.hpp\"") == 1);
    CHECK(count("jinja/x.hpp", "#include \"tessera/text/chat.hpp\"") == 1);
    CHECK(count("decoder/x.hpp", "#include \"tessera/huggingface/model.hpp\"") == 1);
    CHECK(count("text/x.hpp", "#include \"tessera/safetensors/reader.hpp\"") == 1);
    CHECK(count("tensor/x.hpp", "#include <Eigen/Core>") == 1);
    CHECK(count("gguf/x.hpp", "#include <nlohmann/json.hpp>") == 1);
    CHECK(count("kernels/x.hpp", "#include <xsimd/xsimd.hpp>") == 1);
    CHECK(count("jinja/x.hpp", "#include <nlohmann/json.hpp>") == 1);
    CHECK(count("format/x.hpp", "#include \"tessera/encode.hpp\"") == 1);
    CHECK(count("format/x.hpp", "#include \"concepts.hpp\"") == 1);
    CHECK(count("format/x.hpp", "#include <tessera/core/half.hpp>") == 1);
    CHECK(count("attic/x.hpp", "#include \"tessera/core/half.hpp\"") == 1);
    CHECK(count("tessera.hpp", "#include <Eigen/Core>") == 1);
}

TEST_CASE("allowed includes are left alone") {
    const auto count = [](const char* header, const char* line) { return violations(header, line).size(); };
    CHECK(count("core/x.hpp", "#include <vector>\n#include <sys/mman.h>\n#include \"tessera/config.hpp\"") == 0);
    CHECK(count("kernels/simd.hpp", "#include <xsimd/xsimd.hpp>") == 0);
    CHECK(count("jinja/from_json.hpp", "#include <nlohmann/json.hpp>") == 0);
    CHECK(count("huggingface/x.hpp", "#include <nlohmann/json.hpp>\n#include \"tessera/text/token.hpp\"") == 0);
    CHECK(count("text/x.hpp", "#include <utf8proc.h>\n// #include \"tessera/decoder/model.hpp\"") == 0);
    CHECK(count("tessera.hpp", "#include \"tessera/format.hpp\"") == 0);
}

TEST_CASE("what is in these folders is in the namespace of the folder") {
    const names marked{"decoder", "huggingface", "jinja", "kernels", "safetensors", "text"};
    std::size_t opened = 0;
    for_each_header([&](const fs::path& header, const std::string& text) {
        const std::string folder = header.has_parent_path() ? header.begin()->string() : "";
        if (!contains(marked, folder)) return;
        const std::string wanted = "namespace tessera::" + folder + " {";
        std::istringstream lines(text);
        for (std::string line; std::getline(lines, line);) {
            if (!line.starts_with("namespace tessera")) continue;
            ++opened;
            CHECK_MESSAGE(line == wanted, header << ": " << line);
        }
    });
    CHECK(opened > 100);
}
