#include "text/regex.h"

#include <gtest/gtest.h>

namespace awq {
namespace {

// All matches, joined with "|".
std::string matches(std::string_view pattern, std::string_view subject) {
  auto regex = Regex::compile(pattern, "test");
  EXPECT_TRUE(regex.ok()) << pattern << (regex.ok() ? "" : ": " + regex.error().message);
  if (!regex.ok()) return "";
  RegexScratch scratch;
  std::string out;
  for (size_t from = 0; from <= subject.size();) {
    const auto found = regex->find(subject, from, scratch);
    EXPECT_TRUE(found.ok()) << pattern;
    if (!found.ok() || !*found) break;
    out += cat(out.empty() ? "" : "|", subject.substr((*found)->begin, (*found)->size()));
    from = (*found)->size() > 0 ? (*found)->end : (*found)->end + 1;
  }
  return out;
}

// Expected results are the reference engine's (Oniguruma, through the tokenizers library).
TEST(Regex, MeansWhatOnigurumaMeans) {
  EXPECT_EQ(matches(R"(\w+)", "a1_\u00B2 \u00BD \u0301 \u09F4x \u24B6"),
            "a1_\u00B2|\u00BD|\u0301|x|\u24B6");
  EXPECT_EQ(matches(R"(\s)", "a\u0085\u180E\u3000"), "\u0085|\u3000");
  EXPECT_EQ(matches(R"(\b\w)", "a\u0301b c"), "a|c");
  EXPECT_EQ(matches(R"(\B.)", "ab c"), "b");
  EXPECT_EQ(matches(R"(\h+)", "xbeef"), "beef");
  EXPECT_EQ(matches(R"(\v)", "a\x0B\n"), "\x0B");
  EXPECT_EQ(matches(R"(\u0041+)", "xAAx"), "AA");
  EXPECT_EQ(matches(R"(ba{,2})", "baaab"), "baa|b");
  EXPECT_EQ(matches(R"(\p{Letter}+|\p{^L})", "ab1"), "ab|1");
  EXPECT_EQ(matches(R"(\p{Han}+)", "\u6F22\u3002\u3042"), "\u6F22");
  EXPECT_EQ(matches(R"([[:punct:]]+)", "a$+\u00A9.b"), "$+\u00A9.");
  EXPECT_EQ(matches(R"([a[bc]d]+)", "xabcdx"), "abcd");
  EXPECT_EQ(matches(R"([]a]+)", "a]b"), "a]");
  EXPECT_EQ(matches(R"(^.|.$)", "ab\ncd"), "a|b|c|d");
  EXPECT_EQ(matches(R"((?i:'LL)|(?i)x|y)", "'ll X Y"), "'ll|X|Y");
  EXPECT_EQ(matches(R"(a{1,2}|{x})", "aaa{x}"), "aa|a|{x}");
}

TEST(Regex, RefusesWhatItCannotTranslate) {
  for (const char* pattern :
       {R"([a-z&&[^b]])", R"([[^a]b])", R"([\W_])", "(*ACCEPT)", R"(a{2}+)", R"(a{2}?)",
        R"(\Qa\E)", R"(\y)", R"([[:^alpha:]])", R"([[:alpha)", "(?m).", "a(?i)b", R"(\pL)", R"(\u12)",
        R"(\C)", R"(\cA)", "(", "[a", R"(\p{NoSuchThing})", "a**b|(?<x", R"(\)"}) {
    const auto regex = Regex::compile(pattern, "tokenizer.json: pre_tokenizer");
    ASSERT_FALSE(regex.ok()) << pattern;
    EXPECT_EQ(regex.error().kind, ErrorKind::bad_input);
    EXPECT_NE(regex.error().message.find("tokenizer.json: pre_tokenizer"), std::string::npos);
  }
  EXPECT_FALSE(Regex::compile(std::string(70000, 'a'), "test").ok());
  // Nesting that would exhaust a naive compiler's stack.
  EXPECT_FALSE(Regex::compile(std::string(5000, '(') + std::string(5000, ')'), "test").ok());
}

TEST(Regex, KeepMovesTheStartForward) {
  auto regex = Regex::compile(R"(ab\K|c)", "test");
  ASSERT_TRUE(regex.ok());
  RegexScratch scratch;
  const auto found = regex->find("xab", 0, scratch);  // an empty match is all that is left
  ASSERT_TRUE(found.ok() && found->has_value());
  EXPECT_EQ((*found)->begin, 3u);
}

TEST(Tokenizer, TK05_StepsOfOneMatchAreBounded) {
  for (const char* pattern : {"(a+)+b", "(a|aa)+b", "(a*)*b", "a*a*a*a*a*b", "(?=(a+)a*a*b)x"}) {
    auto regex = Regex::compile(pattern, "test");
    ASSERT_TRUE(regex.ok()) << pattern;
    RegexScratch scratch;
    scratch.refill(1 << 20);
    const auto found = regex->find(std::string(1 << 20, 'a') + "c", 0, scratch);
    if (found.ok()) {
      EXPECT_FALSE(found->has_value()) << pattern;  // refuted without matching
    } else {
      EXPECT_EQ(found.error().kind, ErrorKind::bad_input);
      EXPECT_NE(found.error().message.find("backtracks"), std::string::npos);
    }
  }
}

TEST(Tokenizer, TK05_StepsOfAllMatchesAreBounded) {
  auto regex = Regex::compile("(?:(?:a+)+b|.)", "test");
  ASSERT_TRUE(regex.ok());
  std::string text;
  for (int i = 0; i < 20000; ++i) text += "aaaaaaaaaaaaaaaaaac";  // 2^18 steps a run
  RegexScratch scratch;
  scratch.refill(text.size());
  size_t from = 0, count = 0;
  for (;; ++count) {
    const auto found = regex->find(text, from, scratch);
    if (!found.ok()) break;
    ASSERT_TRUE(found->has_value());
    from = (*found)->end;
  }
  EXPECT_LT(count, 5000u);  // it gave up after the allowance, not after 380,000 costly matches
}

}  // namespace
}  // namespace awq
