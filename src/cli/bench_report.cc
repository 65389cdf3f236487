#include "cli/bench_report.h"

#include "base/format.h"
#include "report/table.h"

namespace awq {
namespace {

Json to_json(const Measurement& m, const BenchSubject& subject, uint64_t peak) {
  Json json = {{"test", m.test},
               {"plan", m.plan_name()},
               {"tokens_per_second", m.tokens_per_second},
               {"ms_per_token", m.ms_per_token},
               {"stddev", m.stddev},
               {"bytes_per_token", m.bytes_per_token},
               {"gb_per_second", m.gb_per_second()},
               {"roof_gb_per_second", m.roof / 1e9},
               {"percent_of_roof", m.percent_of_roof()},
               {"barriers_per_token", m.barriers_per_token},
               {"model", subject.model},
               {"device", subject.device},
               {"backend", subject.backend},
               {"load_seconds", subject.load_seconds},
               {"weights", subject.random ? "random" : "of the model"},
               {"peak_rss_bytes", peak}};
  if (m.instructions_per_weight > 0) json["instructions_per_weight"] = m.instructions_per_weight;
  for (const auto& [name, ms] : m.parts) json["profile_ms"][name] = ms;
  if (m.guessed > 0) {
    json["guessed"] = m.guessed;
    json["accepted"] = m.accepted;
    json["acceptance"] = static_cast<double>(m.accepted) / static_cast<double>(m.guessed);
    json["tokens_per_pass"] = m.tokens_per_pass;
    json["gain"] = m.gain;
  }
  return json;
}

// A field of a CSV line; quoted where it must be.
std::string csv_field(const Json& value) {
  if (!value.is_string()) return value.is_null() ? "" : dump_json(value);
  std::string text;
  for (const char c : value.get<std::string>()) text += c == '"' ? std::string("\"\"") : std::string(1, c);
  return text.find_first_of(",\"\n") == std::string::npos ? text : cat("\"", text, "\"");
}

std::string csv(const Json& list) {
  static constexpr const char* kFields[] = {
      "model", "device", "backend", "weights", "test", "plan", "tokens_per_second", "stddev",
      "ms_per_token", "bytes_per_token", "gb_per_second", "roof_gb_per_second", "percent_of_roof",
      "barriers_per_token", "instructions_per_weight", "acceptance", "tokens_per_pass", "gain",
      "load_seconds", "peak_rss_bytes"};
  std::string text;
  for (const char* field : kFields) text += cat(text.empty() ? "" : ",", field);
  for (const Json& entry : list) {
    text += "\n";
    for (const char* field : kFields) {
      if (field != kFields[0]) text += ",";
      if (entry.contains(field)) text += csv_field(entry[field]);
    }
  }
  return text + "\n";
}

std::string main_table(const std::vector<Measurement>& results) {
  Table table({{"test", Table::Align::left}, {"tokens/s"}, {"ms/token"}, {"GB/s"},
               {"read roof GB/s"}, {"% of roof"}, {"barriers/token"}, {"instructions/weight"},
               {"plan", Table::Align::left}});
  for (const Measurement& m : results) {
    table.add_row({m.test, cat(fixed(m.tokens_per_second, 1), " ± ", fixed(m.stddev, 1)),
                   fixed(m.ms_per_token, 3), fixed(m.gb_per_second(), 2), fixed(m.roof / 1e9, 1),
                   fixed(m.percent_of_roof(), 1),
                   m.barriers_per_token > 0 ? fixed(m.barriers_per_token, 1) : "-",
                   m.instructions_per_weight > 0 ? fixed(m.instructions_per_weight, 3) : "-",
                   m.plan_name()});
  }
  return table.markdown();
}

// Where a token's time goes, and what guesses are worth: for the tests that have it.
std::string more_tables(const std::vector<Measurement>& results) {
  std::string text;
  for (const Measurement& m : results) {
    if (m.parts.empty()) continue;
    double total = 0;
    for (const auto& part : m.parts) total += part.second;
    Table table({{cat("part of ", m.test), Table::Align::left}, {"ms/token"}, {"%"}});
    for (const auto& [name, ms] : m.parts) {
      table.add_row({name, fixed(ms, 3), fixed(100 * ms / total, 1)});
    }
    text += cat("\n", table.markdown());
  }
  for (const Measurement& m : results) {
    if (m.guessed == 0) continue;
    text += cat("\n", m.test, ": ", m.accepted, " of ", m.guessed, " guesses right (",
                fixed(100 * static_cast<double>(m.accepted) / static_cast<double>(m.guessed), 1),
                "%), ", fixed(m.tokens_per_pass, 2), " tokens a pass, ", fixed(m.gain, 2),
                " times the speed without guesses\n");
  }
  return text;
}

}  // namespace

std::string bench_report(const std::vector<Measurement>& results, const BenchSubject& subject,
                         BenchOutput output) {
  if (output == BenchOutput::md) {
    return cat(subject.random ? cat(subject.model, " with random weights, ") : "", subject.device,
               "\n\n", main_table(results), more_tables(results));
  }
  Json list = Json::array();
  for (const Measurement& m : results) list.push_back(to_json(m, subject, results.front().peak));
  return output == BenchOutput::json ? dump_json(list, 2) + "\n" : csv(list);
}

}  // namespace awq
