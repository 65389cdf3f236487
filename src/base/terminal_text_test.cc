#include "base/terminal_text.h"

#include <gtest/gtest.h>

namespace awq {
namespace {

TEST(TerminalText, KeepsTextNewlinesAndTabs) {
  for (const std::string text : {"", "a\tb\n", "caf\u00E9", "\u00A0\u00BF", "\u65E5\u672C \U0001F600"}) {
    EXPECT_EQ(without_controls(text), text);
  }
}

TEST(TerminalText, DropsTheControlsOfAscii) {
  EXPECT_EQ(without_controls(std::string("a\0b\x1B[31mc\rd\x7F" "e\b", 13)), "ab[31mcde");
}

// The second range of controls is two bytes long; the same bytes inside other characters are text.
TEST(TerminalText, DropsTheControlsAboveAscii) {
  EXPECT_EQ(without_controls("a\xC2\x9B" "31mb\xC2\x80\xC2\x9F\xC2\xA0"), "a31mb\xC2\xA0");
  EXPECT_EQ(without_controls("\xC3\x9B\xE2\x82\x9B"), "\xC3\x9B\xE2\x82\x9B");
}

TEST(TerminalText, LeavesAnUnfinishedCharacterAlone) {
  EXPECT_EQ(without_controls("a\xC2"), "a\xC2");
}

}  // namespace
}  // namespace awq
