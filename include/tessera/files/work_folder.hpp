// The folder in which some work keeps what it has done until it is finished.
#pragma once

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "tessera/core/error.hpp"
#include "tessera/core/output_rule.hpp"

namespace tessera {

/// Thrown where another process is at work in a folder.
class folder_in_use : public error {
public:
    using error::error;
};

/// A folder for the unfinished work of one process at a time. It is created with its first file, is locked as long as
/// the object lives, and stays with what is in it until remove(). Files of others in it are left alone.
class work_folder {
public:
    work_folder() = default;  ///< none: nothing is kept
    explicit work_folder(std::filesystem::path path)
        : path_(path.has_filename() ? std::move(path) : path.parent_path()) {}
    work_folder(work_folder&& other) noexcept
        : path_(std::exchange(other.path_, {})), lock_(std::exchange(other.lock_, -1)) {}
    work_folder& operator=(work_folder&& other) noexcept {
        std::swap(path_, other.path_);
        std::swap(lock_, other.lock_);
        return *this;
    }
    ~work_folder() {
        if (lock_ < 0) return;
        if (!has_work()) leave();
        ::close(lock_);
    }

    /// Empty: none.
    [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

    /// What the files of unfinished work begin with.
    static constexpr std::string_view calibration = "calibration", importances = "importances", damage = "damage",
                                      measured_plans = "plans", evaluation = "evaluation", output = "output",
                                      published = "published", finished = "finished";
    static constexpr std::array<std::string_view, 8> words{calibration, importances, damage,    measured_plans,
                                                           evaluation,  output,      published, finished};

    /// Where outputs are noted before they get their names (see output_rule): the folder may still be needed then.
    [[nodiscard]] std::filesystem::path list_of_outputs() const {
        return path_.empty() ? std::filesystem::path() : path_ / published;
    }

    /// The path of a file in it, whose name begins with one of those words; empty where there is no folder. The folder
    /// is there from now on. Throws when it cannot be made, or another process is at work in it.
    [[nodiscard]] std::filesystem::path file(std::string_view name) {
        if (path_.empty()) return {};
        open();
        return path_ / name;
    }

    /// Locks it if it is there, and removes what processes that were killed have left of files they were writing.
    /// Throws when another process is at work in it.
    void take_up() {
        if (!path_.empty() && std::filesystem::exists(path_)) open();
    }

    /// Removes what is left of work that was done: its process was killed while it removed the rest. A folder that
    /// holds no work any more goes when this object does.
    void sweep() {
        if (path_.empty() || !std::filesystem::exists(path_)) return;
        if (std::filesystem::exists(path_ / finished) || !has_work()) open();
    }

    /// Removes the files whose names begin with one of the words above, for work that begins anew.
    void forget(std::string_view word) {
        if (lock_ >= 0) remove_files([&](std::string_view name) { return is_of(name, word); });
    }

    /// Removes all that work has left in it, and the folder, unless there is something else in it. The work is done
    /// from the first step on: from then on outputs are files like any other.
    void remove() {
        if (lock_ < 0) return;
        std::error_code none;
        std::filesystem::rename(path_ / published, path_ / finished, none);
        leave();
    }

private:
    static constexpr std::string_view lock_name = "lock";
    [[nodiscard]] static bool is_of(std::string_view file, std::string_view word) {
        return file.starts_with(word) &&
               (file.size() == word.size() || file[word.size()] == '.' || file[word.size()] == '-');
    }

    // The lock and the files of unfinished work, not those of others.
    [[nodiscard]] static bool is_ours(std::string_view file) {
        return is_of(file, lock_name) ||
               std::ranges::any_of(words, [&](std::string_view word) { return is_of(file, word); });
    }

    void open() {
        if (lock_ >= 0) return;
        std::error_code problem;
        std::filesystem::create_directory(path_, problem);
        if (problem || !std::filesystem::is_directory(path_))
            fail(path_.string(), ": wanted a folder for unfinished work, got ",
                 problem ? problem.message() : "something else");
        const std::string lock = (path_ / lock_name).string();
        for (;;) {
            lock_ = ::open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
            if (lock_ < 0) fail(lock, ": cannot create: ", std::strerror(errno));
            if (::flock(lock_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
                ::close(std::exchange(lock_, -1));
                throw folder_in_use(
                    concat(path_.string(), ": wanted unfinished work that no process is at, got another process's"));
            }
            struct ::stat status{};
            if (::fstat(lock_, &status) == 0 && status.st_nlink > 0) break;
            ::close(std::exchange(lock_, -1));  // the process before removed it meanwhile
            std::filesystem::create_directory(path_, problem);
        }
        if (std::filesystem::exists(path_ / finished)) clear();
        remove_files([](std::string_view name) { return name.find(".partial-") != name.npos && is_ours(name); });
    }

    template <class Wanted>
    void remove_files(const Wanted& is_wanted) const {
        std::error_code ignored;
        for (std::filesystem::directory_iterator entry(path_, ignored), end; !ignored && entry != end;
             entry.increment(ignored)) {
            const std::string name = entry->path().filename().string();
            if (is_wanted(name)) ::unlink(entry->path().c_str());
        }
    }

    [[nodiscard]] bool has_files(std::string_view word) const {
        bool found = false;
        std::error_code ignored;
        for (std::filesystem::directory_iterator entry(path_, ignored), end; !ignored && entry != end;
             entry.increment(ignored))
            found = found || is_of(entry->path().filename().string(), word);
        return found;
    }

    [[nodiscard]] bool has_work() const {
        return std::ranges::any_of(words, [&](std::string_view word) { return has_files(word); });
    }

    // All but the lock; last, what tells that it is worth nothing.
    void clear() const {
        remove_files([](std::string_view name) { return is_ours(name) && name != lock_name && name != finished; });
        remove_files([](std::string_view name) { return name == finished; });
    }

    void leave() const {
        clear();
        remove_files(is_ours);
        ::rmdir(path_.c_str());
    }

    std::filesystem::path path_;
    int lock_ = -1;
};

}  // namespace tessera
