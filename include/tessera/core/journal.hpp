// A file that grows by whole records, so that work that was killed goes on after the last one.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/core/bytes.hpp"
#include "tessera/core/checksum.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/file_io.hpp"
#include "tessera/core/file_version.hpp"
#include "tessera/core/mapped_file.hpp"
#include "tessera/core/output_file.hpp"
#include "tessera/core/output_rule.hpp"

namespace tessera {

/// What the result of some work depends on: a checksum for each kind of thing, under a word for messages.
class work_identity {
public:
    /// The words are different, and without spaces.
    work_identity& add(std::string what, std::uint64_t sum) {
        parts_.emplace_back(std::move(what), std::to_string(sum));
        return *this;
    }

    /// A part a line.
    [[nodiscard]] std::string text() const {
        std::string all;
        for (const auto& [what, sum] : parts_) (all += what).append(" ").append(sum).append("\n");
        return all;
    }
    /// "model and text": what is not the same in an identity's text.
    [[nodiscard]] std::string difference(std::string_view other) const {
        std::string all;
        for (const part& p : parts_)
            if (!is_in(other, p)) (all += all.empty() ? "" : " and ") += p.first;
        return all.empty() ? "kind" : all;
    }
    /// Whether all of this is in an identity's text.
    [[nodiscard]] bool is_part_of(std::string_view other) const {
        return std::ranges::all_of(parts_, [&](const part& p) { return is_in(other, p); });
    }

private:
    using part = std::pair<std::string, std::string>;

    [[nodiscard]] static bool is_in(std::string_view text, const part& p) {
        const std::string line = p.first + " " + p.second + "\n";
        return text.starts_with(line) || text.find("\n" + line) != text.npos;
    }

    std::vector<part> parts_;
};

/// Thrown when what was kept of some work cannot be gone on from: it is damaged, of other inputs, or of another
/// release.
class unfit_work : public error {
public:
    using error::error;
};

/// Records in a file, each with its checksum. One that was cut off by the end of its process is none.
class journal {
public:
    /// Opens the journal, or begins one. `kind` is what its records are of. Throws unfit_work when the file is no
    /// journal of this kind and identity.
    journal(std::filesystem::path path, std::string_view kind, const work_identity& identity) : path_(std::move(path)) {
        const std::string head = concat(magic, version, "\n", kind, "\n", identity.text());
        if (!std::filesystem::exists(path_)) {
            std::vector<std::byte> first;
            put_frame(first, 0, as_byte_view(std::span<const char>(head)));
            write_file(path_, {first}, {.existing = existing_file::replace});
        }
        file_ = mapped_file(path_);
        end_ = find_records(file_.bytes(), records_);
        count_ = records_.size();
        require(head, kind, identity);
        descriptor_ = ::open(path_.c_str(), O_RDWR | O_CLOEXEC);
        if (descriptor_ < 0 || ::ftruncate(descriptor_, static_cast<::off_t>(end_)) != 0) {
            const int reason = errno;
            close();
            fail(path_.string(), ": cannot open to write: ", std::strerror(reason));
        }
    }
    journal(const journal&) = delete;
    journal& operator=(const journal&) = delete;
    ~journal() { close(); }

    /// The records of a journal at some moment, to look at.
    class snapshot {
    public:
        [[nodiscard]] std::span<const byte_view> records() const noexcept {
            return records_.empty() ? std::span<const byte_view>() : std::span(records_).subspan(1);
        }

    private:
        friend journal;
        mapped_file file_;
        std::vector<byte_view> records_;
    };
    /// What others have left, or are at work on. No records where there is no journal of this kind, or one of work that
    /// `part` is no part of.
    [[nodiscard]] static snapshot look(const std::filesystem::path& path, std::string_view kind,
                                       const work_identity& part) {
        snapshot found;
        if (path.empty() || !std::filesystem::exists(path)) return found;
        found.file_ = mapped_file(path);
        (void)find_records(found.file_.bytes(), found.records_);
        const std::string head = concat(magic, version, "\n", kind, "\n");
        const std::string_view got = found.records_.empty() ? std::string_view() : as_text(found.records_.front());
        if (!got.starts_with(head) || !part.is_part_of(got.substr(head.size()))) found.records_.clear();
        return found;
    }

    /// The records that were there when it was opened, in the order they were appended.
    [[nodiscard]] std::span<const byte_view> records() const noexcept { return std::span(records_).subspan(1); }
    [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
    /// Lets the system take back the memory of the records, which are read again when they are looked at.
    void release() const noexcept { file_.release(0, file_.bytes().size()); }
    /// Records that are in the file by now.
    [[nodiscard]] std::size_t size() const noexcept { return count_ - 1; }

    /// Appends a record and waits until it is on disk. From any thread.
    void append(byte_view record) {
        const std::lock_guard lock(appending_);
        std::vector<std::byte> frame;
        put_frame(frame, count_, record);
        detail::write_all(descriptor_, end_, frame, [&](std::size_t, std::uint64_t, const char* reason) {
            fail(path_.string(), ": cannot write ", frame.size(), " bytes: ", reason);
        });
        if (::fdatasync(descriptor_) != 0) fail(path_.string(), ": cannot flush: ", std::strerror(errno));
        end_ += frame.size();
        ++count_;
    }

private:
    static constexpr std::string_view magic = "tessera journal ";
    static constexpr std::uint64_t version = 1;

    // Of a record: where it stands, too, so that none of an earlier, longer journal passes for one of this.
    [[nodiscard]] static std::uint64_t sum_of(std::uint64_t number, byte_view record) {
        checksum sum;
        sum.append(&number, sizeof number);
        sum.append(record.data(), record.size());
        return sum.value();
    }
    static void put_frame(std::vector<std::byte>& out, std::uint64_t number, byte_view record) {
        const std::uint64_t numbers[2] = {record.size(), sum_of(number, record)};
        const byte_view head = as_byte_view(std::span(numbers));
        out.insert(out.end(), head.begin(), head.end());
        out.insert(out.end(), record.begin(), record.end());
    }

    // The records that are whole, the head included. Returns where they end.
    [[nodiscard]] static std::uint64_t find_records(byte_view bytes, std::vector<byte_view>& records) {
        constexpr std::size_t head = 2 * sizeof(std::uint64_t);
        std::uint64_t end = 0;
        for (byte_view left = bytes; left.size() >= head; left = bytes.subspan(end)) {
            const auto size = load_bytes<std::uint64_t>(left.data());
            if (size > left.size() - head) break;
            const byte_view record = left.subspan(head, size);
            if (load_bytes<std::uint64_t>(left.data() + sizeof size) != sum_of(records.size(), record)) break;
            records.push_back(record);
            end += head + size;
        }
        return end;
    }

    void require(const std::string& wanted, std::string_view kind, const work_identity& identity) const {
        const std::string where = path_.string();
        if (records_.empty())
            throw unfit_work(concat(where, ": wanted a journal of unfinished work, got something else"));
        std::string_view got = as_text(records_.front());
        if (got == wanted) return;
        const auto next_line = [&] {
            const std::string_view line = got.substr(0, got.find('\n'));
            got.remove_prefix(std::min(got.size(), line.size() + 1));
            return line;
        };
        if (const std::string_view line = next_line(); line != concat(magic, version))
            throw unfit_work(concat(where, ": wanted \"", magic, version, "\", got \"", line.substr(0, 40), "\""));
        if (const std::string_view line = next_line(); line != kind)
            throw unfit_work(concat(where, ": wanted a journal of ", kind, ", got one of ", line.substr(0, 40)));
        throw unfit_work(concat(where, ": wanted work on the same inputs and options, got some that differs in ",
                                identity.difference(got)));
    }

    void close() noexcept {
        if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
    }

    std::filesystem::path path_;
    mapped_file file_;
    std::vector<byte_view> records_;  // the first is the head
    std::uint64_t count_ = 0, end_ = 0;
    int descriptor_ = -1;
    std::mutex appending_;
};

}  // namespace tessera
