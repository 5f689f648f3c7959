// What every test needs: where the shared data lie, a scratch folder, whole files.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

namespace support {

namespace fs = std::filesystem;

/// The project's own folder.
inline fs::path project_dir() { return TESSERA_PROJECT_DIR; }

/// Shared golden data that tests have asked for and that this machine does not have.
inline std::set<std::string> missing_data;
/// What a program ends with when nothing failed but tests were skipped; tests/CMakeLists.txt tells it to ctest.
inline constexpr int skipped_status = 77;

/// A file or folder of the shared golden data, or nothing when this machine does not have it: the test is skipped then.
/// $TESSERA_SHARED names the folder; by default it lies beside the project.
inline std::optional<fs::path> shared(std::string_view relative) {
    const char* named = std::getenv("TESSERA_SHARED");
    const fs::path path = (named ? fs::path(named) : project_dir().parent_path() / "shared") / relative;
    if (fs::exists(path)) return path;
    missing_data.insert(path.string());
    MESSAGE("skipped: " << path.string() << " is not here (set TESSERA_SHARED to the folder of shared test data)");
    return std::nullopt;
}

/// Whether a sanitizer watches, which makes everything several times slower.
#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool is_watched = true;
#elif defined(__has_feature)
inline constexpr bool is_watched = __has_feature(address_sanitizer);
#else
inline constexpr bool is_watched = false;
#endif

/// A folder of one's own that disappears with the object.
class scratch_dir {
public:
    scratch_dir() {
        std::string pattern = (fs::temp_directory_path() / "tessera-test-XXXXXX").string();
        if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("cannot make " + pattern);
        path_ = pattern;
    }
    scratch_dir(const scratch_dir&) = delete;
    scratch_dir& operator=(const scratch_dir&) = delete;
    ~scratch_dir() {
        std::error_code ignored;
        fs::remove_all(path_, ignored);
    }
    [[nodiscard]] const fs::path& path() const { return path_; }
    [[nodiscard]] fs::path operator/(std::string_view name) const { return path_ / name; }

private:
    fs::path path_;
};

/// What lies in a folder, by name.
inline std::vector<std::string> names_in(const fs::path& folder) {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename().string());
    std::sort(names.begin(), names.end());
    return names;
}

inline std::string read_text(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    if (!in) throw std::runtime_error("cannot open " + path.string());
    return {std::istreambuf_iterator<char>(in), {}};
}

inline void write_text(const fs::path& path, std::string_view text) {
    std::ofstream out(path, std::ios::binary);
    out.write(text.data(), static_cast<std::streamsize>(text.size()));
    if (!out.flush()) throw std::runtime_error("cannot write " + path.string());
}

/// A file of little-endian values of T.
template <class T>
std::vector<T> read_values(const fs::path& path) {
    const std::string text = read_text(path);
    std::vector<T> values(text.size() / sizeof(T));
    text.copy(reinterpret_cast<char*>(values.data()), values.size() * sizeof(T));
    return values;
}

inline bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

/// The message of the exception that f throws; fails the test when it throws none or another kind.
template <class Exception, class Function>
std::string message_of(Function&& f) {
    try {
        f();
    } catch (const Exception& e) {
        return e.what();
    }
    FAIL("wanted an exception, got none");
    return {};
}

}  // namespace support
