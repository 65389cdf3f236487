// Tables and pages of study results; files from outside end in a page or one error.
#include "report/study_page.h"

#include <gtest/gtest.h>

#include "report/html.h"

namespace awq {
namespace {

Json document() {
  return {{"study", "int2"},
          {"model", "a<b>&\"m\""},
          {"sections",
           {{{"title", "Table 6"},
             {"columns",
              {{{"key", "name"}, {"title", "method"}, {"digits", -1}},
               {{"key", "ppl"}, {"title", "perplexity"}, {"digits", 2}}}},
             {"rows",
              {{{"name", "FP16"}, {"ppl", 40.0}, {"level", true}},
               {{"name", "RTN"}, {"ppl", 1234567.0}, {"size", 2.5}},
               {{"name", "<script>"}, {"ppl", 45.678}, {"size", 2.5}},
               {{"name", "none"}}}},
             {"notes", {"a note"}},
             {"charts",
              {{{"kind", "bars"}, {"title", "by method"}, {"x", "name"}, {"y", "ppl"}},
               {{"kind", "lines"}, {"title", "by size"}, {"x", "size"}, {"y", "ppl"},
                {"series", "name"}, {"log_x", true}}}}}}}};
}

TEST(StudyPage, TablesHoldWhatTheRowsSay) {
  const auto text = study_tables(document()["sections"], "test");
  ASSERT_TRUE(text.ok());
  EXPECT_NE(text->find("| RTN "), std::string::npos) << *text;
  EXPECT_NE(text->find("45.68 |"), std::string::npos) << *text;
  EXPECT_NE(text->find("– |"), std::string::npos) << "a row without the figure";
  EXPECT_NE(text->find("a note"), std::string::npos);
}

TEST(StudyPage, PageIsSelfContainedAndEscaped) {
  const auto page = study_page({document()});
  ASSERT_TRUE(page.ok()) << page.error().message;
  EXPECT_NE(page->find("<svg"), std::string::npos);
  EXPECT_NE(page->find("<polyline"), std::string::npos);
  EXPECT_NE(page->find("<rect"), std::string::npos);
  EXPECT_NE(page->find("stroke-dasharray"), std::string::npos) << "the level of FP16";
  EXPECT_NE(page->find("(logarithmic)"), std::string::npos) << "27000 to 1";
  EXPECT_NE(page->find("prefers-color-scheme:dark"), std::string::npos);
  EXPECT_EQ(page->find("<script"), std::string::npos);
  EXPECT_NE(page->find("&lt;script&gt;"), std::string::npos);
  EXPECT_NE(page->find("a&lt;b&gt;&amp;&quot;m&quot;"), std::string::npos);
  EXPECT_EQ(page->find("http"), std::string::npos) << "no network";
}

TEST(StudyPage, WhatIsNotAStudyIsNamed) {
  Json broken = document();
  broken["sections"][0]["columns"] = 3;
  auto page = study_page({broken});
  ASSERT_FALSE(page.ok());
  EXPECT_NE(page.error().message.find("columns"), std::string::npos);
  broken = document();
  broken["sections"][0]["rows"] = {1, 2};
  EXPECT_FALSE(study_page({broken}).ok());
  broken["sections"] = {1};
  EXPECT_FALSE(study_page({broken}).ok());
  // Odd values make dashes and empty charts, not failures.
  broken = document();
  broken["sections"][0]["rows"] = {{{"name", 3}, {"ppl", "x"}}, {{"ppl", nullptr}}};
  broken["sections"][0]["charts"].push_back("none");
  EXPECT_TRUE(study_page({broken}).ok());
  EXPECT_FALSE(is_study(Json::array()));
}

TEST(StudyPage, QuantizationReportsHaveSections) {
  const Json report = {
      {"options", {{"bits", 4}}},
      {"groups",
       {{{"layer", 0}, {"group", "v -> o"}, {"exponent", 0.25}, {"loss_rounding", 0.5},
         {"loss_choice", 0.25}}}},
      {"linears", {{{"layer", 0}, {"linear", "q"}, {"loss_gptq", 0.1}, {"bits", 3}}}},
      {"experts", {{{"layer", 0}, {"tokens", {40, 2}}}}},
      {"starved_experts", {{{"layer", 0}, {"expert", 1}, {"tokens", 2}}}}};
  EXPECT_EQ(quantization_sections(report).size(), 4u);
  const auto page = study_page({report});
  ASSERT_TRUE(page.ok());
  EXPECT_NE(page->find("v -&gt; o"), std::string::npos);
  EXPECT_NE(page->find("Experts that saw too few"), std::string::npos);
}

}  // namespace
}  // namespace awq
