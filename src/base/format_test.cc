#include "base/format.h"

#include <gtest/gtest.h>

#include <array>

namespace awq {
namespace {

TEST(Format, Cat) {
  EXPECT_EQ(cat("a", 1, ' ', 2.5, true, std::string("z"), uint64_t{18446744073709551615u}),
            "a1 2.5truez18446744073709551615");
}

TEST(Format, Fixed) {
  EXPECT_EQ(fixed(3.14159, 2), "3.14");
  EXPECT_EQ(fixed(-0.5, 0), "-0");
  EXPECT_EQ(fixed(1.0 / 0.0, 2), "inf");
}

TEST(Format, Human) {
  EXPECT_EQ(human_bytes(720), "720 B");
  EXPECT_EQ(human_bytes(1536), "1.50 KiB");
  EXPECT_EQ(human_seconds(4.06), "4.1 s");
  EXPECT_EQ(human_seconds(82), "1:22");
  EXPECT_EQ(human_seconds(7387), "2:03:07");
}

TEST(Format, PrintableEscapesControlAndBadUtf8) {
  EXPECT_EQ(printable("a\x1b[31m\n"), "a\\x1b[31m\\x0a");
  EXPECT_EQ(printable("\xff\xc3\xa9"), "\\xff\xc3\xa9");
  EXPECT_EQ(printable("\xc2\x9b"), "\\xc2\\x9b");
  EXPECT_EQ(printable(std::string(1000, 'x'), 10), "xxxxxxxxxx...");
}

TEST(Format, NearestName) {
  const std::array<std::string_view, 3> verbs = {"quantize", "chat", "bench"};
  EXPECT_EQ(nearest_name("quantise", verbs), "quantize");
  EXPECT_EQ(nearest_name("frobnicate", verbs), "");
}

}  // namespace
}  // namespace awq
