#include "cli/bench_profile.h"

#include "base/format.h"

namespace awq {

std::string profile_table(const std::vector<PartTime>& parts, double roof) {
  double total = 0;
  for (const PartTime& part : parts) total += part.microseconds;
  std::string table = "| part | calls | us | % of time | GB/s | % of roof |\n"
                      "|---|---:|---:|---:|---:|---:|\n";
  for (const PartTime& part : parts) {
    table += cat("| ", part.name, " | ", part.calls > 0 ? cat(part.calls) : "", " | ", fixed(part.microseconds, 1), " | ",
                 fixed(100 * part.microseconds / total, 1), " | ");
    if (part.bytes > 0) {
      const double rate = part.bytes / part.microseconds * 1e6;
      table += cat(fixed(rate / 1e9, 0), " | ", fixed(100 * rate / roof, 1), " |\n");
    } else {
      table += "| |\n";
    }
  }
  return table + cat("| sum | | ", fixed(total, 1), " | 100.0 | | |\n");
}

Json profile_json(const std::vector<PartTime>& parts) {
  Json list = Json::array();
  for (const PartTime& part : parts) {
    list.push_back({{"part", part.name},
                    {"calls", part.calls},
                    {"microseconds", part.microseconds},
                    {"bytes", part.bytes}});
  }
  return list;
}

}  // namespace awq
