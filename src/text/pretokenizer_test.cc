#include "text/pretokenizer.h"

#include <gtest/gtest.h>

#include "text/test_tokenizer.h"

namespace awq {
namespace {

// The pieces of `text`, joined with "|".
std::string pieces(const std::string& step, std::string_view text, bool first = true) {
  const Json document = testing::json(step);
  auto pretokenizer = Pretokenizer::from_json(JsonField{&document, "test"});
  EXPECT_TRUE(pretokenizer.ok()) << step;
  if (!pretokenizer.ok()) return "";
  Pretokenizer::Scratch scratch;
  const Status status = pretokenizer->split(text, first, scratch);
  EXPECT_TRUE(status.ok()) << step;
  std::string out;
  for (const auto& piece : scratch.front.pieces) {
    out += cat(out.empty() ? "" : "|", scratch.front.of(piece));
  }
  return out;
}

std::string split_step(std::string_view behavior, bool invert = false) {
  return cat(R"({"type": "Split", "pattern": {"String": "-"}, "behavior": ")", behavior,
             R"(", "invert": )", invert ? "true" : "false", "}");
}

TEST(Pretokenizer, Behaviors) {
  const std::string text = "a--b-c";
  EXPECT_EQ(pieces(split_step("Removed"), text), "a|b|c");
  EXPECT_EQ(pieces(split_step("Isolated"), text), "a|-|-|b|-|c");
  EXPECT_EQ(pieces(split_step("MergedWithPrevious"), text), "a-|-|b-|c");
  EXPECT_EQ(pieces(split_step("MergedWithNext"), text), "a|-|-b|-c");
  EXPECT_EQ(pieces(split_step("Contiguous"), text), "a|--|b|-|c");
  EXPECT_EQ(pieces(split_step("Removed", true), text), "-|-|-");
}

TEST(Pretokenizer, SimpleSteps) {
  EXPECT_EQ(pieces("null", "a b"), "a b");
  EXPECT_EQ(pieces(R"({"type": "WhitespaceSplit"})", " a.b  c\n"), "a.b|c");
  EXPECT_EQ(pieces(R"({"type": "Whitespace"})", "a.b _c!?"), "a|.|b|_c|!?");
  EXPECT_EQ(pieces(R"({"type": "BertPreTokenizer"})", "a.b c"), "a|.|b|c");
  EXPECT_EQ(pieces(R"({"type": "Digits", "individual_digits": true})", "a12b"), "a|1|2|b");
  EXPECT_EQ(pieces(R"({"type": "Digits"})", "a12b"), "a|12|b");
  EXPECT_EQ(pieces(R"({"type": "CharDelimiterSplit", "delimiter": "é"})", "aébé"), "a|b");
}

TEST(Pretokenizer, ByteLevel) {
  EXPECT_EQ(pieces(R"({"type": "ByteLevel"})", "it's é"), "Ġit|'s|ĠÃ©");
  EXPECT_EQ(pieces(R"({"type": "ByteLevel", "add_prefix_space": false, "use_regex": false})", "a b"),
            "aĠb");
}

TEST(Pretokenizer, Metaspace) {
  const auto step = [](std::string_view scheme, bool split) {
    return cat(R"({"type": "Metaspace", "prepend_scheme": ")", scheme, R"(", "split": )",
               split ? "true" : "false", "}");
  };
  EXPECT_EQ(pieces(step("always", true), "a b", false), "▁a|▁b");
  EXPECT_EQ(pieces(step("first", true), "a b", true), "▁a|▁b");
  EXPECT_EQ(pieces(step("first", true), "a b", false), "a|▁b");
  EXPECT_EQ(pieces(step("never", false), "a b"), "a▁b");
  EXPECT_EQ(pieces(step("always", false), " a"), "▁a");
}

TEST(Pretokenizer, StepsWorkOnTheOnesBefore) {
  EXPECT_EQ(pieces(R"({"type": "Sequence", "pretokenizers": [{"type": "Digits"},
                       {"type": "WhitespaceSplit"}, {"type": "ByteLevel"}]})", "a 12b"),
            "Ġa|Ġ12|Ġb");
}

TEST(Pretokenizer, RefusesWhatItDoesNotKnow) {
  for (const char* step :
       {R"({"type": "UnicodeScripts"})", R"({"type": 3})", "7", R"({"type": "Split"})",
        R"({"type": "Split", "pattern": {"String": ""}, "behavior": "Removed"})",
        R"({"type": "Split", "pattern": {"Regex": "("}, "behavior": "Removed"})",
        R"({"type": "Split", "pattern": {"String": "a"}, "behavior": "Sideways"})",
        R"({"type": "CharDelimiterSplit", "delimiter": "ab"})",
        R"({"type": "Metaspace", "replacement": ""})",
        R"({"type": "Metaspace", "prepend_scheme": "last"})",
        R"({"type": "ByteLevel", "use_regex": "yes"})", R"({"type": "Sequence"})"}) {
    const Json document = testing::json(step);
    const auto pretokenizer = Pretokenizer::from_json(JsonField{&document, "pre_tokenizer"});
    ASSERT_FALSE(pretokenizer.ok()) << step;
    EXPECT_NE(pretokenizer.error().message.find("pre_tokenizer"), std::string::npos);
  }
  std::string deep = R"({"type": "Digits"})";
  for (int i = 0; i < 12; ++i) deep = R"({"type": "Sequence", "pretokenizers": [)" + deep + "]}";
  const Json document = testing::json(deep);
  EXPECT_FALSE(Pretokenizer::from_json(JsonField{&document, "test"}).ok());
}

// Each prefix_space step may double a text of one-character pieces: growth is bounded.
TEST(Pretokenizer, GrowthIsBounded) {
  std::string list;
  for (int i = 0; i < 12; ++i) {
    list += cat(i == 0 ? "" : ",", R"({"type": "Split", "pattern": {"Regex": "."}, "behavior": )",
                R"("Isolated"}, {"type": "ByteLevel", "use_regex": false})");
  }
  const Json document = testing::json(R"({"type": "Sequence", "pretokenizers": [)" + list + "]}");
  auto pretokenizer = Pretokenizer::from_json(JsonField{&document, "test"});
  ASSERT_TRUE(pretokenizer.ok());
  Pretokenizer::Scratch scratch;
  scratch.regex.refill(size_t{1} << 30);
  EXPECT_FALSE(pretokenizer->split(std::string(200000, 'a'), true, scratch).ok());
}

}  // namespace
}  // namespace awq
