#include "terminal.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <string_view>

#include "tessera/core/printable.hpp"
#include "tessera/core/stop.hpp"

namespace cli {

namespace {

// Columns a text takes on screen: bytes of UTF-8 that begin a character.
std::size_t display_width(std::string_view text) {
    return static_cast<std::size_t>(
        std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

// "12.3 M", with a metric prefix.
std::string metric(double value) {
    constexpr std::array<std::string_view, 5> prefixes{"", "k", "M", "G", "T"};
    std::size_t p = 0;
    for (; value >= 999.5 && p + 1 < prefixes.size(); ++p) value /= 1000.0;
    return fixed(value, p == 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2) + " " + std::string(prefixes[p]);
}

std::string duration_text(double seconds) {
    const auto whole = static_cast<std::uint64_t>(seconds + 0.5);
    std::array<char, 32> text{};
    if (whole >= 3600)
        std::snprintf(text.data(), text.size(), "%u:%02u:%02u", static_cast<unsigned>(whole / 3600),
                      static_cast<unsigned>(whole / 60 % 60), static_cast<unsigned>(whole % 60));
    else
        std::snprintf(text.data(), text.size(), "%u:%02u", static_cast<unsigned>(whole / 60),
                      static_cast<unsigned>(whole % 60));
    return text.data();
}

}  // namespace

std::streamsize guarded_output::xsputn(const char* text, std::streamsize size) {
    const std::string shown = tessera::printable_lines({text, static_cast<std::size_t>(size)});
    const auto length = static_cast<std::streamsize>(shown.size());
    return below_->sputn(shown.data(), length) == length ? size : 0;
}

guarded_output::int_type guarded_output::overflow(int_type character) {
    if (traits_type::eq_int_type(character, traits_type::eof())) return traits_type::not_eof(character);
    const char text = traits_type::to_char_type(character);
    return xsputn(&text, 1) == 1 ? character : traits_type::eof();
}

std::string path_text(const std::filesystem::path& path) { return tessera::printable(path.string()); }

std::string fixed(double value, int digits) {
    std::array<char, 64> text{};
    const int length = std::snprintf(text.data(), text.size(), "%.*f", digits, value);
    if (length < 0 || static_cast<std::size_t>(length) >= text.size()) return "out of range";
    return text.data();
}

std::string bytes_text(std::uint64_t bytes) {
    std::string exact = std::to_string(bytes);
    for (std::size_t i = exact.size(); i > 3; i -= 3) exact.insert(i - 3, ",");
    return exact + " bytes" + (bytes >= 1000 ? " (" + metric(static_cast<double>(bytes)) + "B)" : "");
}

std::string some_of(const std::vector<std::string>& names) {
    constexpr std::size_t shown = 4;
    std::string text;
    for (std::size_t i = 0; i < std::min(shown, names.size()); ++i)
        text += (i ? ", " : "") + tessera::printable(names[i]);
    return names.size() > shown ? text + " and " + std::to_string(names.size() - shown) + " more" : text;
}

text_table::text_table(std::vector<std::string> headings) {
    for (std::string& heading : headings) {
        is_right_.push_back(heading.starts_with('>'));
        if (is_right_.back()) heading.erase(0, 1);
        heading = tessera::printable(heading);
    }
    rows_.push_back(std::move(headings));
}

void text_table::add(std::vector<std::string> row) {
    row.resize(is_right_.size());
    for (std::string& cell : row) cell = tessera::printable(cell);
    rows_.push_back(std::move(row));
}

std::ostream& operator<<(std::ostream& out, const text_table& table) {
    std::vector<std::size_t> widths(table.is_right_.size(), 0);
    for (const auto& row : table.rows_)
        for (std::size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], display_width(row[c]));
    for (const auto& row : table.rows_) {
        std::string line;
        for (std::size_t c = 0; c < row.size(); ++c) {
            const std::string blanks(widths[c] - display_width(row[c]), ' ');
            line += (c == 0 ? "" : "  ") + (table.is_right_[c] ? blanks + row[c] : row[c] + blanks);
        }
        line.erase(line.find_last_not_of(' ') + 1);
        out << line << '\n';
    }
    return out;
}

progress_line::progress_line() : is_terminal_(::isatty(STDERR_FILENO) == 1) {}

progress_line::~progress_line() {
    if (width_ > 0) std::fprintf(stderr, "\r%*s\r", static_cast<int>(width_), "");
}

void progress_line::operator()(const tessera::progress& now) {
    tessera::stop_if_requested();
    if (!is_terminal_) return;
    const auto time = clock::now();
    if (now.stage != stage_) {
        stage_ = now.stage;
        started_ = time;
        drawn_ = {};
    }
    if (time - drawn_ < std::chrono::milliseconds(100) && now.done < now.total) return;
    drawn_ = time;

    constexpr int bar_width = 24;
    const double share = now.total == 0 ? 1.0 : static_cast<double>(now.done) / static_cast<double>(now.total);
    const double seconds = std::chrono::duration<double>(time - started_).count();
    const int filled = static_cast<int>(share * bar_width);
    std::string line = tessera::printable(stage_) + " [" + std::string(static_cast<std::size_t>(filled), '#') +
                       std::string(static_cast<std::size_t>(bar_width - filled), '.') + "] " + fixed(100.0 * share, 0) +
                       " %";
    if (seconds > 0.5 && now.done > 0) {
        const double rate = static_cast<double>(now.done) / seconds;
        line += "  " + metric(rate) + (rate >= 1000 ? " " : "") + std::string(now.unit) + "/s  " +
                duration_text(static_cast<double>(now.total - now.done) / rate) + " left";
    }
    const std::size_t blanks = width_ > line.size() ? width_ - line.size() : 0;
    width_ = line.size();
    std::fprintf(stderr, "\r%s%*s", line.c_str(), static_cast<int>(blanks), "");
    std::fflush(stderr);
}

void terminal_listener::progress_sink::operator()(const tessera::progress& now) const {
    if (!to->line_) to->line_.emplace();
    (*to->line_)(now);
}

void terminal_listener::sentence_sink::operator()(std::string_view sentence) const {
    to->clear();
    *out << sentence << '\n' << std::flush;
}

}  // namespace cli
