// awq report: tables and pages from the JSON that other verbs printed.
#include "base/file.h"
#include "cli/verb.h"
#include "report/study_page.h"
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

// Documents of `study` and `quantize` as tables, or as a page.
Status report_documents(const std::vector<std::string>& paths, const std::string& page) {
  AWQ_TRY(check_output("-o", page, paths));
  std::vector<Json> documents;
  std::string tables;
  for (const std::string& path : paths) {
    AWQ_ASSIGN(Json document, read_json_file(path));
    const bool quantization = document.is_object() && document.contains("options") &&
                              document.contains("linears");
    if (!is_study(document) && !quantization) {
      return bad_input(cat(printable(path), ": not a result of study or quantize"));
    }
    const Json sections = quantization ? quantization_sections(document) : document["sections"];
    AWQ_ASSIGN(const std::string text, study_tables(sections, printable(path)));
    tables += text;
    documents.push_back(std::move(document));
  }
  if (page.empty()) return print(tables);
  AWQ_ASSIGN(const std::string html, study_page(documents));
  return write_file(page, html);
}

Status report(const std::vector<std::string>& words, const std::string& page) {
  if (words.front().find('=') == std::string::npos) return report_documents(words, page);
  if (!page.empty()) {
    return usage_error("-o makes a page of results of study and quantize: FILE..., without NAME=");
  }
  std::vector<ResultRow> rows;
  for (const std::string& word : words) {
    AWQ_ASSIGN(ResultRow row, read_row(word));
    rows.push_back(std::move(row));
  }
  return print(result_table(rows));
}

}  // namespace

void add_report(CLI::App& app, Outcome& outcome) {
  struct Arguments {
    std::vector<std::string> words;
    std::string page;
  };
  auto arguments = std::make_shared<Arguments>();
  CLI::App* verb = app.add_subcommand("report", "tables and pages from the JSON of other verbs");
  verb->add_option("ROW", arguments->words,
                   "NAME=FILE[,FILE...]: results of compare, bench, quantize, one line each; or "
                   "FILE...: results of study and quantize")
      ->required();
  verb->add_option("-o,--output", arguments->page, "write a self-contained HTML page")
      ->type_name("FILE");
  verb->footer(
      "Examples:\n  awq report INT4=compare.json,bench.json,out/quantization_report.json\n"
      "  awq report ablation.json int2.json -o report.html");
  verb->callback([arguments, &outcome] {
    outcome.status = report(arguments->words, arguments->page);
  });
}

}  // namespace awq
