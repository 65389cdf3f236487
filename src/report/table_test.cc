#include "report/table.h"

#include <algorithm>

#include <gtest/gtest.h>

namespace awq {
namespace {

TEST(Table, AlignsByCharactersNotBytes) {
  Table table({{"name", Table::Align::left}, {"x"}});
  table.add_row({"a", "1 ± 2"});
  table.add_row({"long name", "3"});
  EXPECT_EQ(table.markdown(),
            "| name      |     x |\n"
            "|-----------|------:|\n"
            "| a         | 1 ± 2 |\n"
            "| long name |     3 |\n");
}

TEST(Table, ResultsTakeTheirFiguresFromTheDocuments) {
  const Json compare = {{"bytes", 2000000}, {"ppl", 12.3456}, {"ppl_stderr", 0.1},
                        {"kl_mean", 0.05},  {"top1_agreement", 0.875}};
  const Json bench = Json::array({{{"test", "pp512"}, {"tokens_per_second", 700.4},
                                   {"peak_rss_bytes", 5000000}},
                                  {{"test", "tg128"}, {"tokens_per_second", 99.6}}});
  const std::string text = result_table({{"m", compare, bench, Json()}});
  for (const char* figure : {" 2.0 ", "12.346 ± 0.100", "0.0500", "87.5", " 100 ", " 700 ", " 5 "}) {
    EXPECT_NE(text.find(figure), std::string::npos) << figure << "\n" << text;
  }
}

TEST(Table, MissingFiguresAreDashes) {
  const std::string text = result_table({{"m", Json(), Json::array({1, "x"}), Json(3)}});
  EXPECT_NE(text.find("–"), std::string::npos);
}

TEST(Table, TextOfFilesStaysInItsCell) {
  Table table({{"a\x1b[2J", Table::Align::left}, {"b"}});
  table.add_row({"x|y\nz", "1"});
  const std::string text = table.markdown();
  EXPECT_EQ(text.find('\x1b'), std::string::npos) << text;
  EXPECT_NE(text.find("x\\|y\\x0az"), std::string::npos) << text;
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 3);
}

}  // namespace
}  // namespace awq
