#include "curve_svg.hpp"

#include <algorithm>
#include <cmath>

#include "terminal.hpp"
#include "tessera/core/printable.hpp"

namespace cli {

namespace {

constexpr double width = 760, height = 460, left = 76, right = 24, top = 48, bottom = 56;

std::string escaped(const std::string& text) {
    std::string safe;
    for (const char c : tessera::printable(text))
        safe += c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '&' ? "&amp;" : c == '"' ? "&quot;" : std::string(1, c);
    return safe;
}

std::string text_at(double x, double y, const std::string& anchor, const std::string& text) {
    return "<text x=\"" + fixed(x, 1) + "\" y=\"" + fixed(y, 1) + "\" text-anchor=\"" + anchor + "\">" + escaped(text) +
           "</text>\n";
}

std::string line(double x1, double y1, double x2, double y2) {
    return "<line x1=\"" + fixed(x1, 1) + "\" y1=\"" + fixed(y1, 1) + "\" x2=\"" + fixed(x2, 1) + "\" y2=\"" +
           fixed(y2, 1) + "\"/>\n";
}

}  // namespace

std::string curve_svg(const std::vector<curve_point>& points, const std::string& title) {
    std::vector<std::pair<double, double>> shown;  // bits per weight, power of ten
    for (const curve_point& p : points)
        if (p.damage && *p.damage > 0.0) shown.emplace_back(p.bits_per_weight, std::log10(*p.damage));
    double x_low = 0.0, x_high = 1.0, y_low = -1.0, y_high = 0.0;
    if (!shown.empty()) {
        const auto by_damage = [](const auto& a, const auto& b) { return a.second < b.second; };
        const auto [least, most] = std::minmax_element(shown.begin(), shown.end(), by_damage);
        x_low = std::floor(shown.front().first);
        x_high = std::max(std::ceil(shown.back().first), x_low + 1.0);
        y_low = std::floor(least->second);
        y_high = std::max(std::ceil(most->second), y_low + 1.0);
    }
    const auto x = [&](double bits) { return left + (bits - x_low) / (x_high - x_low) * (width - left - right); };
    const auto y = [&](double power) { return top + (y_high - power) / (y_high - y_low) * (height - top - bottom); };

    std::string svg = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + fixed(width, 0) + " " +
                      fixed(height, 0) +
                      "\" font-family=\"sans-serif\" font-size=\"13\" fill=\"#333\">\n"
                      "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n";
    svg += "<g stroke=\"#ddd\">\n";
    for (double bits = x_low; bits <= x_high; ++bits) svg += line(x(bits), top, x(bits), height - bottom);
    for (double power = y_low; power <= y_high; ++power) svg += line(left, y(power), width - right, y(power));
    svg += "</g>\n";
    for (double bits = x_low; bits <= x_high; ++bits)
        svg += text_at(x(bits), height - bottom + 20, "middle", fixed(bits, 0));
    for (double power = y_low; power <= y_high; ++power)
        svg +=
            text_at(left - 8, y(power) + 4, "end", fixed(std::pow(10.0, power), std::max(0, static_cast<int>(-power))));
    svg += text_at(left, top - 20, "start", title + ": predicted mean KL divergence in nats over bits per weight");
    svg += text_at((left + width - right) / 2, height - 14, "middle", "bits per weight");

    std::string path, dots;
    for (const auto& [bits, power] : shown) {
        path += (path.empty() ? "" : " ") + fixed(x(bits), 1) + "," + fixed(y(power), 1);
        dots += "<circle cx=\"" + fixed(x(bits), 1) + "\" cy=\"" + fixed(y(power), 1) + "\" r=\"2.5\"/>\n";
    }
    svg += "<polyline points=\"" + path + "\" fill=\"none\" stroke=\"#1668a8\" stroke-width=\"1.5\"/>\n";
    return svg + "<g fill=\"#1668a8\">\n" + dots + "</g>\n</svg>\n";
}

}  // namespace cli
