#include "text/chars_map.h"

#include <gtest/gtest.h>

#include "text/test_tokenizer.h"

namespace awq {
namespace {

std::string le32(uint32_t value) {
  std::string out;
  for (int i = 0; i < 4; ++i) out.push_back(static_cast<char>(value >> (8 * i)));
  return out;
}

// An array for the keys "a" and "ab": the root's children lie at 0x100 ^ byte, "a"'s at 0x200 ^ byte
// (so that its leaf is 0x200), "ab"'s leaf is 0x300.
std::string two_keys(uint32_t leaf_a, uint32_t leaf_ab) {
  std::vector<uint32_t> units(0x400, 0);
  const auto inner = [](uint32_t offset, uint32_t label, bool leaf) {
    return (offset << 10) | (leaf ? 0x100u : 0u) | label;
  };
  units[0] = inner(0x100, 0, false);
  units[0x100 ^ 'a'] = inner(0x100 ^ 'a' ^ 0x200, 'a', true);
  units[0x200] = 0x80000000u | leaf_a;
  units[0x200 ^ 'b'] = inner(0x200 ^ 'b' ^ 0x300, 'b', true);
  units[0x300] = 0x80000000u | leaf_ab;
  std::string out = le32(static_cast<uint32_t>(4 * units.size()));
  for (const uint32_t unit : units) out += le32(unit);
  return out + std::string("X\0\xC3\xA9\0", 5);
}

TEST(CharsMap, FindsTheShortestAndTheLongestKey) {
  const auto map = CharsMap::parse(two_keys(0, 2), "test");
  ASSERT_TRUE(map.ok()) << map.error().message;
  EXPECT_EQ(map->shortest("abc")->replacement, "X");
  EXPECT_EQ(map->longest("abc")->replacement, "\xC3\xA9");
  EXPECT_EQ(map->longest("abc")->length, 2u);
  EXPECT_FALSE(map->longest("b").has_value());
  EXPECT_EQ(map->apply_longest("aabc", 100), "X\xC3\xA9" "c");
  EXPECT_EQ(map->apply_to_graphemes("aabc", 100), "XXbc");  // "a" and "b" are graphemes of their own
  // "a" with an accent is one grapheme of three bytes: all of it is replaced.
  EXPECT_EQ(map->apply_to_graphemes("a\xCC\x81z", 100), "Xz");
  EXPECT_EQ(map->apply_longest("a\xCC\x81z", 100), "X\xCC\x81z");
}

TEST(CharsMap, WhatLeadsOutsideIsNoMatch) {
  for (const uint32_t leaf : {3u, 6u, 0x7FFFFFFFu}) {  // inside of a character, behind the end
    const auto map = CharsMap::parse(two_keys(leaf, leaf), "test");
    ASSERT_TRUE(map.ok());
    EXPECT_EQ(map->apply_longest("ab", 100), "ab") << leaf;
  }
  const auto wild = CharsMap::parse(le32(4) + le32(0xFFFFFFFFu), "test");
  ASSERT_TRUE(wild.ok());
  EXPECT_EQ(wild->apply_longest("ab\xC3\xBF", 100), "ab\xC3\xBF");
}

TEST(CharsMap, TheLimitStopsGrowth) {
  std::string bytes = le32(4) + le32(0);
  const auto map = CharsMap::parse(bytes, "test");
  ASSERT_TRUE(map.ok());
  EXPECT_LE(map->apply_longest(std::string(1000, 'a'), 10).size(), 11u);
}

// TK12 of the list of malformed inputs.
TEST(CharsMap, TK12_BrokenMapsAreRefused) {
  Json document = testing::small_document();
  const auto refuse = [&](const std::string& map, const std::string& what) {
    document["normalizer"] = {{"type", "Precompiled"}, {"precompiled_charsmap", map}};
    testing::expect_refused(document, {"normalizer.precompiled_charsmap", what});
  };
  refuse("!!! not base64", "not base64");
  refuse("AAA", "not base64 of whole groups");
  refuse("A===", "not base64 of whole groups");
  refuse("AAA=", "2 bytes hold no map");
  refuse(std::string(1 << 20, 'A'), "an array of 0 bytes");
  refuse("/////w==", "an array of 4294967295 bytes");
  refuse("BAAAAAAAAAD/", "not valid UTF-8");
  document["normalizer"] = {{"type", "Precompiled"}, {"precompiled_charsmap", 3}};
  testing::expect_refused(document, {"precompiled_charsmap", "expected a string"});
}

}  // namespace
}  // namespace awq
