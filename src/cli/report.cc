// awq report: one table from the JSON that other verbs printed.
#include "base/file.h"
#include "cli/verb.h"
#include "report/table.h"

namespace awq {
namespace {

// "NAME=compare.json,bench.json,quantization_report.json": each document is recognised by its keys.
Result<ResultRow> read_row(const std::string& word) {
  const size_t equals = word.find('=');
  if (equals == std::string::npos || equals == 0) {
    return usage_error(cat("\"", printable(word), "\": expected NAME=FILE[,FILE...]"));
  }
  ResultRow row{word.substr(0, equals), Json(), Json(), Json()};
  std::string_view rest = std::string_view(word).substr(equals + 1);
  while (!rest.empty()) {
    const size_t comma = rest.find(',');
    const std::string path(rest.substr(0, comma));
    rest.remove_prefix(comma == std::string_view::npos ? rest.size() : comma + 1);
    AWQ_ASSIGN(Json document, read_json_file(path));
    if (document.is_array()) {
      row.bench = std::move(document);
    } else if (document.contains("ppl")) {
      row.compare = std::move(document);
    } else if (document.contains("options")) {
      row.quantize = std::move(document);
    } else {
      return bad_input(cat(printable(path), ": not a result of compare, perplexity, bench or "
                           "quantize"));
    }
  }
  return row;
}

Status report(const std::vector<std::string>& words) {
  std::vector<ResultRow> rows;
  for (const std::string& word : words) {
    AWQ_ASSIGN(ResultRow row, read_row(word));
    rows.push_back(std::move(row));
  }
  return print(result_table(rows));
}

}  // namespace

void add_report(CLI::App& app, Outcome& outcome) {
  auto words = std::make_shared<std::vector<std::string>>();
  CLI::App* verb = app.add_subcommand("report", "one table from the JSON of other verbs");
  verb->add_option("ROW", *words, "NAME=FILE[,FILE...]: results of compare, bench, quantize")
      ->required();
  verb->footer("Example:\n  awq report INT4=compare.json,bench.json,out/quantization_report.json");
  verb->callback([words, &outcome] { outcome.status = report(*words); });
}

}  // namespace awq
