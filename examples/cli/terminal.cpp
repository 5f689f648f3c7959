#include "terminal.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <string>
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

namespace {

progress_style chosen_style = progress_style::automatic;

progress_style style_here() {
    if (chosen_style != progress_style::automatic) return chosen_style;
    return ::isatty(STDERR_FILENO) == 1 ? progress_style::bar : progress_style::lines;
}

std::size_t terminal_columns() {
    ::winsize size{};
    return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

void choose_progress(progress_style style) { chosen_style = style; }

terminal_listener::terminal_listener() : report_(style_here(), terminal_columns()) {}

void terminal_listener::show(const std::string& text) {
    if (text.empty()) return;
    std::fwrite(text.data(), 1, text.size(), stderr);
    std::fflush(stderr);
}

void terminal_listener::progress_sink::operator()(const tessera::progress& now) const {
    tessera::stop_if_requested();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - to->started_).count();
    show(to->report_.at(seconds, now));
}

void terminal_listener::sentence_sink::operator()(std::string_view sentence) const {
    to->clear();
    *out << sentence << '\n' << std::flush;
}

}  // namespace cli
