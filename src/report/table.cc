#include "report/table.h"

#include <algorithm>

namespace awq {
namespace {

constexpr const char* kNothing = "–";

std::string number(const Json& document, const char* key, int digits, double factor = 1) {
  if (!document.is_object()) return kNothing;
  const auto found = document.find(key);
  if (found == document.end() || !found->is_number()) return kNothing;
  return fixed(found->get<double>() * factor, digits);
}

std::string with_error(const Json& document, const char* key, const char* error_key) {
  const std::string value = number(document, key, 3);
  return value == kNothing ? value : cat(value, " ± ", number(document, error_key, 3));
}

// The speed of the test whose name starts with `prefix` ("pp", "tg").
std::string speed(const Json& bench, std::string_view prefix) {
  if (!bench.is_array()) return kNothing;
  for (const Json& entry : bench) {
    if (!entry.is_object()) continue;
    const auto test = entry.find("test");
    if (test == entry.end() || !test->is_string()) continue;
    if (test->get<std::string>().rfind(prefix, 0) == 0) return number(entry, "tokens_per_second", 0);
  }
  return kNothing;
}

std::string bench_memory(const Json& bench) {
  if (!bench.is_array() || bench.empty()) return kNothing;
  return number(bench.front(), "peak_rss_bytes", 0, 1e-6);
}

}  // namespace

size_t display_width(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

// Text of files must neither reach a terminal's controls nor end a cell.
static std::string cell_of(std::string_view text) {
  std::string cell;
  for (const char c : printable(text)) cell += c == '|' ? std::string("\\|") : std::string(1, c);
  return cell;
}

Table::Table(std::vector<Column> columns) : columns_(std::move(columns)) {
  for (Column& column : columns_) column.title = cell_of(column.title);
}

void Table::add_row(std::vector<std::string> cells) {
  AWQ_CHECK(cells.size() == columns_.size(), cells.size());
  for (std::string& cell : cells) cell = cell_of(cell);
  rows_.push_back(std::move(cells));
}

std::string Table::markdown() const {
  std::vector<size_t> widths;
  for (size_t c = 0; c < columns_.size(); ++c) {
    size_t width = std::max<size_t>(3, display_width(columns_[c].title));
    for (const auto& row : rows_) width = std::max(width, display_width(row[c]));
    widths.push_back(width);
  }
  const auto cell = [&](const std::string& text, size_t c) {
    const std::string pad(widths[c] - display_width(text), ' ');
    return columns_[c].align == Align::left ? cat(" ", text, pad, " |") : cat(" ", pad, text, " |");
  };
  std::string out = "|", rule = "|";
  for (size_t c = 0; c < columns_.size(); ++c) {
    out += cell(columns_[c].title, c);
    const std::string dashes(widths[c] + 1, '-');
    rule += columns_[c].align == Align::left ? cat(dashes, "-|") : cat(dashes, ":|");
  }
  out += cat("\n", rule, "\n");
  for (const auto& row : rows_) {
    out += "|";
    for (size_t c = 0; c < columns_.size(); ++c) out += cell(row[c], c);
    out += "\n";
  }
  return out;
}

std::string result_table(const std::vector<ResultRow>& rows) {
  Table table({{"model", Table::Align::left},
               {"size MB"},
               {"perplexity"},
               {"KL"},
               {"same top-1 %"},
               {"decode tok/s"},
               {"prefill tok/s"},
               {"run MB"},
               {"quantize s"},
               {"quantize MB"}});
  for (const ResultRow& row : rows) {
    const Json& compare = row.compare;
    // Without a KL the document is the reference's own perplexity.
    const bool reference = compare.is_object() && !compare.contains("kl_mean");
    const Json seconds = row.quantize.is_object() && row.quantize.contains("seconds")
                             ? row.quantize["seconds"]
                             : Json();
    table.add_row({row.name, number(compare, "bytes", 1, 1e-6),
                   with_error(compare, "ppl", "ppl_stderr"),
                   reference ? kNothing : number(compare, "kl_mean", 4),
                   reference ? kNothing : number(compare, "top1_agreement", 1, 100),
                   speed(row.bench, "tg"), speed(row.bench, "pp"), bench_memory(row.bench),
                   number(seconds, "total", 0), number(row.quantize, "peak_rss_bytes", 0, 1e-6)});
  }
  return table.markdown();
}

}  // namespace awq
