// What a person sees: progress on standard error, tables and figures on standard output.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iostream>
#include <ostream>
#include <span>
#include <streambuf>
#include <string>
#include <string_view>
#include <vector>

#include "progress_report.hpp"
#include "tessera/app/listener.hpp"
#include "tessera/core/progress.hpp"

namespace cli {

/// While it lives, a stream prints nothing that acts on a terminal but the ends of its lines: all else, wherever it
/// comes from, is spelled out (tessera::printable). What could hold a line's end that is none goes through `printable`
/// before.
class guarded_output : std::streambuf {
public:
    explicit guarded_output(std::ostream& out) : out_(out), below_(out.rdbuf(this)) {}
    guarded_output(const guarded_output&) = delete;
    guarded_output& operator=(const guarded_output&) = delete;
    ~guarded_output() override { out_.rdbuf(below_); }

private:
    std::streamsize xsputn(const char* text, std::streamsize size) override;
    int_type overflow(int_type character) override;
    int sync() override { return below_->pubsync(); }

    std::ostream& out_;
    std::streambuf* below_;
};

/// A path, for a sentence.
std::string path_text(const std::filesystem::path& path);

/// A number with `digits` digits after the point.
std::string fixed(double value, int digits);

/// A number of bytes, exact and in round figures: "1,632,992 bytes (1.63 MB)".
std::string bytes_text(std::uint64_t bytes);

/// The first few of a list, printable, and how many more there are: "a, b, c, d and 3 more".
std::string some_of(const std::vector<std::string>& names);

/// Left-aligned words and right-aligned numbers under a heading. A heading that begins with '>' aligns its column
/// right. Cells become printable.
class text_table {
public:
    explicit text_table(std::vector<std::string> headings);
    void add(std::vector<std::string> row);
    friend std::ostream& operator<<(std::ostream& out, const text_table& table);

private:
    std::vector<std::vector<std::string>> rows_;  // the first holds the headings
    std::vector<bool> is_right_;
};

/// How all listeners of this process show progress from now on (--progress).
void choose_progress(progress_style style);

/// Whom a verb tells what it does: progress on standard error, sentences on standard output, and notes on how a model's
/// files were read on standard error. Its callback throws an interruption when the program was asked to stop, so that
/// what was begun is undone. A command has one from beginning to end, since times are estimated for all of it.
class terminal_listener {
public:
    terminal_listener();
    terminal_listener(const terminal_listener&) = delete;
    terminal_listener& operator=(const terminal_listener&) = delete;
    ~terminal_listener() { clear(); }

    [[nodiscard]] tessera::app::listener listener() { return {progress_, said_, noted_, planned_}; }
    /// The progress line is gone: something else is printed.
    void clear() { show(report_.clear()); }

private:
    struct progress_sink {
        terminal_listener* to;
        void operator()(const tessera::progress& now) const;
    };
    struct sentence_sink {
        terminal_listener* to;
        std::ostream* out;
        void operator()(std::string_view sentence) const;
    };

    struct plan_sink {
        terminal_listener* to;
        void operator()(std::span<const tessera::app::planned_stage> stages) const { show(to->report_.plan(stages)); }
    };
    static void show(const std::string& text);

    progress_report report_;
    std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
    progress_sink progress_{this};
    plan_sink planned_{this};
    sentence_sink said_{this, &std::cout};
    sentence_sink noted_{this, &std::cerr};
};

}  // namespace cli
