#include "text/normalizer.h"

#include <gtest/gtest.h>

#include "text/test_tokenizer.h"

namespace awq {
namespace {

std::string normalized(const std::string& step, std::string_view text) {
  const Json document = testing::json(step);
  auto normalizer = Normalizer::from_json(JsonField{&document, "test"});
  EXPECT_TRUE(normalizer.ok()) << step;
  if (!normalizer.ok()) return "";
  RegexScratch scratch;
  auto out = normalizer->apply(text, scratch);
  EXPECT_TRUE(out.ok()) << step;
  return out.ok() ? *out : "";
}

TEST(Normalizer, Steps) {
  EXPECT_EQ(normalized("null", "A "), "A ");
  EXPECT_EQ(normalized(R"({"type": "NFC"})", "e\u0301"), "\u00E9");
  EXPECT_EQ(normalized(R"({"type": "Lowercase"})", "\u0130A\u00C9"), "i\u0307a\u00E9");
  EXPECT_EQ(normalized(R"({"type": "StripAccents"})", "e\u0301\u0903x"), "ex");
  EXPECT_EQ(normalized(R"({"type": "Strip"})", "\u3000 a b\n"), "a b");
  EXPECT_EQ(normalized(R"({"type": "Strip", "strip_left": false})", " a "), " a");
  EXPECT_EQ(normalized(R"({"type": "Prepend", "prepend": "_"})", "a"), "_a");
  EXPECT_EQ(normalized(R"({"type": "Prepend", "prepend": "_"})", ""), "");
  EXPECT_EQ(normalized(R"({"type": "ByteLevel"})", " \u00E9"), "ĠÃ©");
}

TEST(Normalizer, Replace) {
  const auto replace = [](std::string_view pattern, std::string_view content) {
    return cat(R"({"type": "Replace", "pattern": )", pattern, R"(, "content": ")", content, "\"}");
  };
  EXPECT_EQ(normalized(replace(R"({"String": "aa"})", "b"), "aaaaa"), "bba");
  EXPECT_EQ(normalized(replace(R"({"Regex": "\\s+"})", ""), "a \n b"), "ab");
  EXPECT_EQ(normalized(replace(R"({"Regex": "x*"})", "-"), "axé"), "-a-é-");
  EXPECT_EQ(normalized(replace(R"x({"Regex": "(a)"})x", "$1"), "a"), "$1");  // no references
}

TEST(Normalizer, RefusesWhatItDoesNotKnow) {
  for (const char* step :
       {R"({"type": "BertNormalizer"})", R"({"type": "Nmt"})", R"([])", R"({"type": "Sequence"})",
        R"({"type": "Replace", "pattern": {"String": ""}, "content": "a"})",
        R"({"type": "Replace", "pattern": {"String": "a"}})", R"({"type": "Prepend"})",
        R"({"type": "Replace", "pattern": {"Regex": "["}, "content": ""})"}) {
    const Json document = testing::json(step);
    const auto normalizer = Normalizer::from_json(JsonField{&document, "normalizer"});
    ASSERT_FALSE(normalizer.ok()) << step;
    EXPECT_EQ(normalizer.error().message.rfind("normalizer", 0), 0u) << normalizer.error().message;
  }
}

TEST(Normalizer, GrowthIsBounded) {
  std::string list;
  for (int i = 0; i < 30; ++i) {
    list += cat(i == 0 ? "" : ",", R"({"type": "Replace", "pattern": {"String": "a"}, )",
                R"("content": "aa"})");
  }
  const Json document = testing::json(R"({"type": "Sequence", "normalizers": [)" + list + "]}");
  auto normalizer = Normalizer::from_json(JsonField{&document, "test"});
  ASSERT_TRUE(normalizer.ok());
  RegexScratch scratch;
  EXPECT_FALSE(normalizer->apply("aaaa", scratch).ok());
  // An added token whose text explodes is met at load already.
  Json tokenizer = testing::small_document();
  tokenizer["normalizer"] = document;
  tokenizer["added_tokens"].push_back({{"id", 22}, {"content", "aaaa"}, {"normalized", true}});
  testing::expect_refused(tokenizer, {"grew"});
}

}  // namespace
}  // namespace awq
