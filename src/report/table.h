// Aligned Markdown tables from result documents.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"

namespace awq {

class Table {
 public:
  enum class Align { left, right };
  struct Column {
    std::string title;
    Align align = Align::right;
  };

  explicit Table(std::vector<Column> columns);
  /// As many cells as there are columns. Control characters and bars in them are escaped.
  void add_row(std::vector<std::string> cells);
  std::string markdown() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

/// Columns a terminal shows for UTF-8 text without wide characters.
size_t display_width(std::string_view text);

/// One model of a comparison: what `compare`, `bench` and `quantize` printed for it with --json.
struct ResultRow {
  std::string name;
  Json compare, bench, quantize;  ///< null where there is none
};

/// Size, perplexity, KL, same-top-1, speed, memory and time: one line a model; a figure that no
/// document holds is a dash. The first row that has a comparison also gives the reference's line.
std::string result_table(const std::vector<ResultRow>& rows);

}  // namespace awq
