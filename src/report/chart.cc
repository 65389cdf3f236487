// SVG charts of a report.
#include <algorithm>
#include <cmath>

#include "report/html.h"

namespace awq {
namespace {

constexpr int kColors = 7;
constexpr double kLogSpan = 30;

std::string coordinate(double value) { return fixed(value, 1); }

// A scale from values to pixels, with the values that deserve a tick.
class Axis {
 public:
  Axis(double low, double high, bool logarithmic, double from, double to)
      : logarithmic_(logarithmic), from_(from), to_(to) {
    if (!(low < high)) high = low + std::max(std::fabs(low) * 0.1, 1e-9);
    if (logarithmic_) {
      low_ = std::log10(low);
      high_ = std::log10(high);
      const double first = std::ceil(low_ - 1e-9);
      for (double power = first - 1; power <= high_; ++power) {
        for (const double factor : {1.0, 2.0, 5.0}) {
          const double value = std::pow(10, power) * factor;
          const bool whole = factor == 1 || high_ - low_ < 1.5;
          if (whole && value >= low * (1 - 1e-9) && value <= high * (1 + 1e-9)) ticks_.push_back(value);
        }
      }
    } else {
      const double room = (high - low) * 0.06;
      low_ = low >= 0 && low - room < 0 ? 0 : low - room;
      high_ = high + room;
      const double power = std::pow(10, std::floor(std::log10((high_ - low_) / 5)));
      const double rough = (high_ - low_) / 5 / power;
      step_ = power * (rough < 1.5 ? 1 : rough < 3.5 ? 2 : rough < 7.5 ? 5 : 10);
      for (double tick = std::ceil(low_ / step_) * step_; tick <= high_ + step_ * 1e-6; tick += step_) {
        ticks_.push_back(tick);
      }
    }
  }

  double at(double value) const {
    const double x = logarithmic_ ? std::log10(value) : value;
    return from_ + (x - low_) / (high_ - low_) * (to_ - from_);
  }
  const std::vector<double>& ticks() const { return ticks_; }
  std::string label(double tick) const {
    if (logarithmic_) return cat(tick);
    const int digits = std::max(0, static_cast<int>(std::ceil(-std::log10(step_) - 1e-9)));
    return fixed(tick, digits);
  }

 private:
  bool logarithmic_;
  double from_, to_, low_ = 0, high_ = 1, step_ = 1;
  std::vector<double> ticks_;
};

std::string text_at(double x, double y, std::string_view anchor, std::string_view style,
                    std::string_view text) {
  return cat("<text x=\"", coordinate(x), "\" y=\"", coordinate(y), "\" text-anchor=\"", anchor,
             "\" class=\"", style, "\">", escape_html(text), "</text>\n");
}

std::string figure(std::string_view title, double width, double height, std::string_view body) {
  return cat("<figure><figcaption>", escape_html(title), "</figcaption>\n<svg viewBox=\"0 0 ",
             coordinate(width), " ", coordinate(height), "\" width=\"", coordinate(width),
             "\" role=\"img\" aria-label=\"", escape_html(title), "\">\n", body,
             "</svg></figure>\n");
}

std::string short_number(double value) {
  const double size = std::fabs(value);
  return fixed(value, size >= 1000 ? 0 : size >= 10 ? 2 : size >= 0.1 ? 3 : 5);
}

}  // namespace

std::string line_chart(std::string_view title, std::string_view x_title, std::string_view y_title,
                       const std::vector<Series>& series, bool log_x) {
  double x_low = INFINITY, x_high = -INFINITY, y_low = INFINITY, y_high = -INFINITY;
  for (const Series& one : series) {
    for (const Point& point : one.points) {
      y_low = std::min(y_low, point.y), y_high = std::max(y_high, point.y);
      if (one.level) continue;
      x_low = std::min(x_low, point.x), x_high = std::max(x_high, point.x);
    }
  }
  if (!(x_low <= x_high)) return {};
  constexpr double kWidth = 720, kHeight = 360, kLeft = 70, kRight = 540, kTop = 16, kBottom = 310;
  const Axis x(x_low, x_high, log_x && x_low > 0, kLeft, kRight);
  const Axis y(y_low, y_high, y_low > 0 && y_high / y_low > kLogSpan, kBottom, kTop);
  std::string body;
  for (const double tick : y.ticks()) {
    const std::string at = coordinate(y.at(tick));
    body += cat("<line class=\"grid\" x1=\"", coordinate(kLeft), "\" x2=\"", coordinate(kRight),
                "\" y1=\"", at, "\" y2=\"", at, "\"/>\n",
                text_at(kLeft - 8, y.at(tick) + 4, "end", "soft", y.label(tick)));
  }
  for (const double tick : x.ticks()) {
    body += text_at(x.at(tick), kBottom + 18, "middle", "soft", x.label(tick));
  }
  body += text_at((kLeft + kRight) / 2, kBottom + 40, "middle", "", x_title);
  body += text_at(kLeft - 60, kTop - 4, "start", "", y_title);
  for (size_t s = 0; s < series.size(); ++s) {
    const std::string color = cat("var(--c", s % kColors, ")");
    std::vector<Point> points = series[s].points;
    std::stable_sort(points.begin(), points.end(),
                     [](const Point& a, const Point& b) { return a.x < b.x; });
    std::string path;
    if (series[s].level) {
      const std::string at = coordinate(y.at(points.front().y));
      body += cat("<line stroke-width=\"2\" stroke-dasharray=\"6 5\" stroke=\"", color, "\" x1=\"",
                  coordinate(kLeft), "\" x2=\"", coordinate(kRight), "\" y1=\"", at, "\" y2=\"", at,
                  "\"/>\n");
      points.clear();
    }
    for (const Point& point : points) {
      path += cat(path.empty() ? "" : " ", coordinate(x.at(point.x)), ",", coordinate(y.at(point.y)));
    }
    if (!path.empty()) body += cat("<polyline fill=\"none\" stroke-width=\"2\" stroke=\"", color, "\" points=\"", path,
                "\"/>\n");
    for (const Point& point : points) {
      body += cat("<circle r=\"4\" fill=\"", color, "\" cx=\"", coordinate(x.at(point.x)), "\" cy=\"",
                  coordinate(y.at(point.y)), "\"><title>", escape_html(point.label), ": ",
                  short_number(point.y), "</title></circle>\n");
    }
    const double at = kTop + 10 + 22 * static_cast<double>(s);
    body += cat("<circle r=\"5\" fill=\"", color, "\" cx=\"", coordinate(kRight + 24), "\" cy=\"",
                coordinate(at), "\"/>\n", text_at(kRight + 36, at + 4, "start", "", series[s].name));
  }
  const double height = std::max(kHeight, kTop + 20 + 22 * static_cast<double>(series.size()));
  return figure(title, kWidth, height, body);
}

std::string bar_chart(std::string_view title, const std::vector<Point>& bars) {
  if (bars.empty()) return {};
  double low = INFINITY, high = 0;
  for (const Point& bar : bars) {
    if (bar.y > 0) low = std::min(low, bar.y);
    high = std::max(high, bar.y);
  }
  const bool logarithmic = low < high && high / low > kLogSpan;
  size_t longest = 0;  // a letter of 12 pixels is at most 8 wide, 7 on average
  for (const Point& bar : bars) longest = std::max(longest, bar.label.size());
  constexpr double kStep = 26;
  const double left = std::clamp(7.0 * static_cast<double>(longest) + 16, 120.0, 420.0);
  const double right = left + 400, width = right + 100;
  const Axis axis(logarithmic ? low / 2 : 0, std::max(high, 1e-12), logarithmic, left, right);
  std::string body;
  for (size_t i = 0; i < bars.size(); ++i) {
    const double top = 8 + kStep * static_cast<double>(i);
    const double end = bars[i].y > 0 ? std::max(axis.at(bars[i].y), left + 1) : left;
    body += cat(text_at(left - 8, top + 14, "end", "", bars[i].label),
                "<rect fill=\"var(--c0)\" rx=\"2\" height=\"18\" x=\"", coordinate(left),
                "\" y=\"", coordinate(top), "\" width=\"", coordinate(end - left), "\"/>\n",
                text_at(end + 6, top + 14, "start", "soft", short_number(bars[i].y)));
  }
  const double height = 16 + kStep * static_cast<double>(bars.size());
  return figure(logarithmic ? cat(title, " (logarithmic)") : std::string(title), width, height, body);
}

}  // namespace awq
