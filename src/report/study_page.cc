#include "report/study_page.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "report/html.h"
#include "report/table.h"

namespace awq {
namespace {

std::string text_of(const Json& object, const char* key) {
  const auto found = object.is_object() ? object.find(key) : object.end();
  if (!object.is_object() || found == object.end() || !found->is_string()) return {};
  return found->get<std::string>();
}

const Json& array_of(const Json& object, const char* key) {
  static const Json kNone = Json::array();
  const auto found = object.find(key);
  return found == object.end() || !found->is_array() ? kNone : *found;
}

int digits_of(const Json& column) {
  const auto found = column.find("digits");
  if (found == column.end() || !found->is_number_integer()) return 3;
  return std::clamp(found->get<int>(), -1, 9);
}

Status check_section(const Json& section, std::string_view origin) {
  const auto wrong = [&](std::string_view what) {
    return bad_input(cat(origin, ": ", what, "; expected the JSON of awq study"));
  };
  if (!section.is_object()) return wrong("a section is not an object");
  if (array_of(section, "columns").empty()) return wrong("a section has no columns");
  for (const Json& column : array_of(section, "columns")) {
    if (!column.is_object() || text_of(column, "key").empty()) return wrong("a column has no key");
  }
  for (const Json& row : array_of(section, "rows")) {
    if (!row.is_object()) return wrong("a row is not an object");
  }
  return {};
}

std::string html_table(const Json& section) {
  std::string out = "<div class=\"wide\"><table>\n<tr>";
  const Json& columns = array_of(section, "columns");
  for (const Json& column : columns) {
    out += cat("<th", digits_of(column) < 0 ? " class=\"text\"" : "", ">",
               escape_html(text_of(column, "title")), "</th>");
  }
  out += "</tr>\n";
  for (const Json& row : array_of(section, "rows")) {
    out += "<tr>";
    for (const Json& column : columns) {
      const int digits = digits_of(column);
      out += cat("<td", digits < 0 ? " class=\"text\"" : "", ">",
                 escape_html(cell_text(row, text_of(column, "key"), digits)), "</td>");
    }
    out += "</tr>\n";
  }
  return out + "</table></div>\n";
}

bool number_of(const Json& row, const std::string& key, double& value) {
  const auto found = row.find(key);
  if (found == row.end() || !found->is_number()) return false;
  value = found->get<double>();
  return std::isfinite(value);
}

std::string title_of(const Json& section, const std::string& key) {
  for (const Json& column : array_of(section, "columns")) {
    if (text_of(column, "key") == key) return text_of(column, "title");
  }
  return key;
}

std::string chart_of(const Json& section, const Json& chart) {
  const std::string x = text_of(chart, "x"), y = text_of(chart, "y"), by = text_of(chart, "series");
  const std::string title = text_of(chart, "title");
  std::vector<Point> bars;
  std::vector<Series> series;
  for (const Json& row : array_of(section, "rows")) {
    Point point;
    if (!number_of(row, y, point.y)) continue;
    point.label = cell_text(row, "name", -1);
    if (text_of(chart, "kind") == "bars") {
      point.label = cell_text(row, x, -1);
      bars.push_back(std::move(point));
      continue;
    }
    const auto level = row.find("level");
    if (level != row.end() && level->is_boolean() && level->get<bool>()) {
      series.push_back({point.label, {point}, true});
      continue;
    }
    if (!number_of(row, x, point.x)) continue;
    const std::string name = by.empty() ? title_of(section, y) : cell_text(row, by, -1);
    auto found = std::find_if(series.begin(), series.end(),
                              [&](const Series& one) { return one.name == name; });
    if (found == series.end()) found = series.insert(series.end(), Series{name, {}, false});
    found->points.push_back(std::move(point));
  }
  if (text_of(chart, "kind") == "bars") return bar_chart(title, bars);
  const auto log_x = chart.find("log_x");
  return line_chart(title, title_of(section, x), title_of(section, y), series,
                    log_x != chart.end() && log_x->is_boolean() && log_x->get<bool>());
}

// What was run, where, on what.
std::string facts_of(const Json& document) {
  std::string out = "<dl>\n";
  for (const auto& [key, value] : document.items()) {
    if (key == "sections" || key == "groups" || key == "linears" || key == "seconds" ||
        key == "experts" || key == "starved_experts" || key == "allocation") {
      continue;
    }
    std::string text;
    if (value.is_object()) {
      for (const auto& [name, one] : value.items()) {
        append_item(text, cat(name, " ", one.is_string() ? one.get<std::string>() : dump_json(one)));
      }
    } else {
      text = value.is_string()         ? value.get<std::string>()
             : value.is_number_float() ? fixed(value.get<double>(), 3)
                                       : dump_json(value);
    }
    out += cat("<dt>", escape_html(key), "</dt><dd>", escape_html(text), "</dd>\n");
  }
  return out + "</dl>\n";
}

}  // namespace

bool is_study(const Json& document) {
  return document.is_object() && document.contains("study") && document.contains("sections");
}

// The bits of each linear where a target chose them, against one width for all.
static Json allocation_section(const Json& allocation) {
  std::string note;
  double value = 0;
  if (number_of(allocation, "loss", value)) {
    note = cat("Sum of the losses: ", fixed(value, 4));
    for (const Json& one : array_of(allocation, "uniform")) {
      double bits = 0, loss = 0;
      if (number_of(one, "bits", bits) && number_of(one, "loss", loss)) {
        note += cat(", all in INT", fixed(bits, 0), " ", fixed(loss, 4));
      }
    }
  }
  return {{"title", "Bits by linear"},
          {"columns",
           {{{"key", "layer"}, {"title", "layer"}, {"digits", 0}},
            {{"key", "linears"}, {"title", "linears"}, {"digits", -1}},
            {{"key", "bits"}, {"title", "bits"}, {"digits", 0}},
            {{"key", "loss"}, {"title", "KL of it alone"}, {"digits", 5}}}},
          {"rows", array_of(allocation, "items")},
          {"notes", {note}},
          {"charts",
           {{{"kind", "lines"}, {"title", "bits by layer"}, {"x", "layer"}, {"y", "bits"},
             {"series", "linears"}}}}};
}

Json quantization_sections(const Json& report) {
  Json losses = {{"title", "Output error by layer and fold group"},
                 {"columns",
                  {{{"key", "layer"}, {"title", "layer"}, {"digits", 0}},
                   {{"key", "group"}, {"title", "group"}, {"digits", -1}},
                   {{"key", "exponent"}, {"title", "exponent"}, {"digits", 2}},
                   {{"key", "loss_rounding"}, {"title", "rounding"}, {"digits", 5}},
                   {{"key", "loss_choice"}, {"title", "chosen"}, {"digits", 5}}}},
                 {"rows", array_of(report, "groups")},
                 {"charts",
                  {{{"kind", "lines"}, {"title", "relative output error of the chosen scale"},
                    {"x", "layer"}, {"y", "loss_choice"}, {"series", "group"}}}}};
  std::map<std::string, int> counts;
  for (const Json& group : array_of(report, "groups")) {
    if (group.is_object()) ++counts[cell_text(group, "exponent", 2)];
  }
  Json rows = Json::array();
  for (const auto& [exponent, count] : counts) {
    rows.push_back({{"name", exponent}, {"count", count}});
  }
  Json exponents = {{"title", "Exponents of the search"},
                    {"columns",
                     {{{"key", "name"}, {"title", "exponent"}, {"digits", -1}},
                      {{"key", "count"}, {"title", "fold groups"}, {"digits", 0}}}},
                    {"rows", rows},
                    {"charts", {{{"kind", "bars"}, {"title", "fold groups by exponent"},
                                 {"x", "name"}, {"y", "count"}}}}};
  Json linears = {{"title", "Linears"},
                  {"columns",
                   {{{"key", "layer"}, {"title", "layer"}, {"digits", 0}},
                    {{"key", "linear"}, {"title", "linear"}, {"digits", -1}},
                    {{"key", "bits"}, {"title", "bits"}, {"digits", 0}},
                    {{"key", "clip_share"}, {"title", "clipped groups"}, {"digits", 3}},
                    {{"key", "loss_nearest"}, {"title", "nearest"}, {"digits", 5}},
                    {{"key", "loss_gptq"}, {"title", "GPTQ"}, {"digits", 5}}}},
                  {"rows", array_of(report, "linears")},
                  {"charts",
                   {{{"kind", "lines"}, {"title", "relative output error after GPTQ"},
                     {"x", "layer"}, {"y", "loss_gptq"}, {"series", "linear"}}}}};
  Json sections = Json::array();
  if (!rows.empty()) sections = {losses, exponents};
  if (!array_of(report, "linears").empty()) sections.push_back(linears);
  if (const auto allocation = report.find("allocation");
      allocation != report.end() && allocation->is_object()) {
    sections.push_back(allocation_section(*allocation));
  }
  if (!array_of(report, "starved_experts").empty()) {
    sections.push_back({{"title", "Experts that saw too few calibration tokens"},
                        {"columns",
                         {{{"key", "layer"}, {"title", "layer"}, {"digits", 0}},
                          {{"key", "expert"}, {"title", "expert"}, {"digits", 0}},
                          {{"key", "tokens"}, {"title", "tokens"}, {"digits", 0}}}},
                        {"rows", array_of(report, "starved_experts")}});
  }
  return sections;
}

Result<std::string> study_tables(const Json& sections, std::string_view origin) {
  std::string out;
  for (const Json& section : sections) {
    AWQ_TRY(check_section(section, origin));
    std::vector<Table::Column> columns;
    for (const Json& column : array_of(section, "columns")) {
      columns.push_back({text_of(column, "title"),
                         digits_of(column) < 0 ? Table::Align::left : Table::Align::right});
    }
    Table table(columns);
    for (const Json& row : array_of(section, "rows")) {
      std::vector<std::string> cells;
      for (const Json& column : array_of(section, "columns")) {
        cells.push_back(cell_text(row, text_of(column, "key"), digits_of(column)));
      }
      table.add_row(std::move(cells));
    }
    out += cat(out.empty() ? "" : "\n", printable(text_of(section, "title")), "\n\n", table.markdown());
    for (const Json& note : array_of(section, "notes")) {
      if (note.is_string()) out += cat("\n", printable(note.get<std::string>(), 2000), "\n");
    }
  }
  return out;
}

Result<std::string> study_page(const std::vector<Json>& documents) {
  std::string body;
  for (const Json& document : documents) {
    const Json sections = is_study(document) ? document["sections"] : quantization_sections(document);
    for (const Json& section : sections) {
      AWQ_TRY(check_section(section, "report"));
      body += cat("<h2>", escape_html(text_of(section, "title")), "</h2>\n", html_table(section));
      for (const Json& note : array_of(section, "notes")) {
        if (note.is_string()) {
          body += cat("<p class=\"note\">", escape_html(note.get<std::string>()), "</p>\n");
        }
      }
      for (const Json& chart : array_of(section, "charts")) {
        if (chart.is_object()) body += chart_of(section, chart);
      }
    }
    body += facts_of(document);
  }
  return html_page("awq.cpp report", body);
}

}  // namespace awq
