#include "text/unicode.h"

#include <gtest/gtest.h>

#include "text/byte_alphabet.h"

namespace awq {
namespace {

TEST(Unicode, StepsOverValidCharacters) {
  const std::string text = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x99\x82";
  std::vector<char32_t> characters;
  for (size_t i = 0, k = 0; i < text.size();) {
    const Utf8Step step = utf8_step(text, i);
    EXPECT_TRUE(step.valid);
    characters.push_back(step.character);
    i += step.length;
    EXPECT_EQ(next_character(text, k), step.character);
    EXPECT_EQ(k, i);
    EXPECT_EQ(previous_character(text, i), i - step.length);
  }
  EXPECT_EQ(characters, (std::vector<char32_t>{'a', 0xE9, 0x20AC, 0x1F642}));
}

TEST(Unicode, EveryCharacterSurvives) {
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (c >= 0xD800 && c < 0xE000) continue;
    std::string text;
    append_utf8(text, c);
    const Utf8Step step = utf8_step(text, 0);
    ASSERT_TRUE(step.valid && step.character == c && step.length == text.size()) << uint32_t{c};
  }
}

// What Rust's String::from_utf8_lossy gives: one U+FFFD for the longest prefix of a character.
TEST(Unicode, InvalidPartsBecomeReplacementCharacters) {
  const std::string r = "\xEF\xBF\xBD";
  EXPECT_EQ(utf8_lossy("a\x80z"), "a" + r + "z");
  EXPECT_EQ(utf8_lossy("\xE2\x82"), r);
  EXPECT_EQ(utf8_lossy("\xE2\x82z"), r + "z");
  EXPECT_EQ(utf8_lossy("\xF0\x9F\x99"), r);
  EXPECT_EQ(utf8_lossy("\xC0\xAF"), r + r);                  // overlong
  EXPECT_EQ(utf8_lossy("\xE0\x80\xAF"), r + r + r);
  EXPECT_EQ(utf8_lossy("\xED\xA0\x80"), r + r + r);          // surrogate
  EXPECT_EQ(utf8_lossy("\xF4\x90\x80\x80"), r + r + r + r);  // above U+10FFFF
  EXPECT_EQ(utf8_lossy("\xC3\xC3\xA9"), r + "\xC3\xA9");
  EXPECT_EQ(utf8_lossy("ok"), "ok");
}

TEST(Unicode, ValidityAgreesWithTheSteps) {
  EXPECT_TRUE(is_utf8(""));
  EXPECT_TRUE(is_utf8(std::string("0123456\0" "89\xC3\xA9", 12)));
  const std::string long_text(64, 'a');
  for (size_t i = 0; i < long_text.size(); ++i) {
    std::string broken = long_text;
    broken[i] = '\xFF';
    EXPECT_FALSE(is_utf8(broken)) << i;
  }
}

TEST(Unicode, UnfinishedBytes) {
  EXPECT_EQ(unfinished_bytes(""), 0u);
  EXPECT_EQ(unfinished_bytes("a"), 0u);
  EXPECT_EQ(unfinished_bytes("a\xC3"), 1u);
  EXPECT_EQ(unfinished_bytes("a\xC3\xA9"), 0u);
  EXPECT_EQ(unfinished_bytes("\xE2\x82"), 2u);
  EXPECT_EQ(unfinished_bytes("\xF0\x9F\x99"), 3u);
  EXPECT_EQ(unfinished_bytes("\xED\xA0"), 0u);  // can never become a character
  EXPECT_EQ(unfinished_bytes("\x80\x80\x80"), 0u);
  EXPECT_EQ(unfinished_bytes("\xFF"), 0u);
}

TEST(Unicode, Classes) {
  EXPECT_TRUE(is_letter(U'\u00E9') && is_letter(U'\u4F60') && !is_letter('1') && !is_letter('_'));
  EXPECT_TRUE(is_numeric(U'\u00BD') && is_numeric(U'\u0661') && is_numeric(U'\u216B'));
  EXPECT_TRUE(is_white_space(0x3000) && is_white_space(0x85) && !is_white_space(0x200B));
  EXPECT_FALSE(is_white_space(0x180E));
  EXPECT_TRUE(is_punctuation('$') && is_punctuation(U'\u3002') && !is_punctuation(U'\u20AC'));
  EXPECT_TRUE(is_word('_') && is_word(0x301) && is_word(0x200D) && !is_word(U'\u00BD'));
  EXPECT_TRUE(is_mark(0x301) && is_mark(0x903) && is_mark(0x20DD) && !is_mark('a'));
}

TEST(Unicode, NormalForms) {
  EXPECT_EQ(normalize("e\xCC\x81", NormalForm::nfc), "\xC3\xA9");
  EXPECT_EQ(normalize("\xC3\xA9", NormalForm::nfd), "e\xCC\x81");
  EXPECT_EQ(normalize("\xEF\xAC\x81\xC2\xBD", NormalForm::nfkc), "fi1\xE2\x81\x84" "2");
  EXPECT_EQ(normalize("\xEF\xAC\x81", NormalForm::nfc), "\xEF\xAC\x81");
  EXPECT_EQ(normalize("plain", NormalForm::nfkd), "plain");
  EXPECT_EQ(normalize(std::string_view("a\0e\xCC\x81", 5), NormalForm::nfc),
            std::string("a\0\xC3\xA9", 4));
  std::string lower;
  for (const char32_t c : {U'A', U'\u00C9', U'\u0130', U'z'}) append_lowercase(lower, c);
  EXPECT_EQ(lower, "a\xC3\xA9i\xCC\x87z");
}

TEST(ByteAlphabet, IsABijection) {
  std::string bytes, text;
  for (int byte = 0; byte < 256; ++byte) {
    EXPECT_EQ(character_byte(byte_character(static_cast<uint8_t>(byte))), byte);
    bytes.push_back(static_cast<char>(byte));
  }
  append_byte_characters(text, bytes);
  EXPECT_TRUE(is_utf8(text));
  EXPECT_EQ(bytes_of_characters(text), bytes);
  EXPECT_EQ(byte_character(' '), U'\u0120');
  EXPECT_EQ(byte_character('\n'), U'\u010A');
  EXPECT_FALSE(bytes_of_characters("a b").has_value());
  EXPECT_EQ(character_byte(0x10FFFF), -1);
}

TEST(ByteAlphabet, FallbackTokens) {
  EXPECT_EQ(fallback_byte("<0x0A>"), 10);
  EXPECT_EQ(fallback_byte("<0xfF>"), 255);
  for (const char* text : {"<0x-1>", "<0xZZ>", "<0x0A", "<0x100>", "<0x>", "", "0x0A", "<0x+1>"}) {
    EXPECT_EQ(fallback_byte(text), -1) << text;
  }
  for (int byte = 0; byte < 256; ++byte) {
    EXPECT_EQ(fallback_byte(fallback_token(static_cast<uint8_t>(byte))), byte);
  }
}

}  // namespace
}  // namespace awq
