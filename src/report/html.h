// Pieces of a self-contained HTML page: no scripts, no network, light and dark.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace awq {

/// Text for HTML and attributes: & < > " ' escaped, control characters dropped.
std::string escape_html(std::string_view text);

/// A whole page: head with style, `title`, `body`.
std::string html_page(std::string_view title, std::string_view body);

/// "–" when `row` has no number (or text) under `key`; `digits` -1: as text.
std::string cell_text(const Json& row, const std::string& key, int digits);

/// A value and where it stands.
struct Point {
  double x = 0, y = 0;
  std::string label;
};
struct Series {
  std::string name;
  std::vector<Point> points;
  bool level = false;  ///< what the others are measured against: a dashed line at the y of its point
};

/// Lines with a mark and a tooltip for every point; y is logarithmic when it spans more than 30 to 1.
std::string line_chart(std::string_view title, std::string_view x_title, std::string_view y_title,
                       const std::vector<Series>& series, bool log_x);

/// A horizontal bar for every point (its y, named by its label), logarithmic as above.
std::string bar_chart(std::string_view title, const std::vector<Point>& bars);

}  // namespace awq
