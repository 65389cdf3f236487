// UTF-8 and the character classes and normal forms that tokenizers need. Classes come from
// utf8proc's tables; White_Space is spelled out, because engines disagree on U+180E and U+0085.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace awq {

/// One step over bytes that may not be UTF-8. When `valid` is false, `length` (at least 1) is the
/// part that one U+FFFD stands for (the longest prefix of a character, as Rust and the WHATWG
/// decoder count), and `truncated` says that only the end of the text made it invalid.
struct Utf8Step {
  char32_t character = 0xFFFD;
  size_t length = 1;
  bool valid = false;
  bool truncated = false;
};
Utf8Step utf8_step(std::string_view text, size_t offset);

bool is_utf8(std::string_view text);

/// The text with each invalid part replaced by U+FFFD.
std::string utf8_lossy(std::string_view text);

/// How many bytes at the end begin a character that the text does not finish (0 to 3).
size_t unfinished_bytes(std::string_view text);

void append_utf8(std::string& out, char32_t character);

/// The character at `offset` of valid UTF-8; moves `offset` past it.
inline char32_t next_character(std::string_view text, size_t& offset) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const char32_t lead = byte(offset);
  if (lead < 0x80) {
    offset += 1;
    return lead;
  }
  if (lead < 0xE0) {
    offset += 2;
    return ((lead & 0x1F) << 6) | (byte(offset - 1) & 0x3Fu);
  }
  if (lead < 0xF0) {
    offset += 3;
    return ((lead & 0x0F) << 12) | ((byte(offset - 2) & 0x3Fu) << 6) | (byte(offset - 1) & 0x3Fu);
  }
  offset += 4;
  return ((lead & 0x07) << 18) | ((byte(offset - 3) & 0x3Fu) << 12) |
         ((byte(offset - 2) & 0x3Fu) << 6) | (byte(offset - 1) & 0x3Fu);
}

/// Where the last character before `end` of valid UTF-8 starts; `end` must not be 0.
inline size_t previous_character(std::string_view text, size_t end) {
  do --end;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80);
  return end;
}

bool is_white_space(char32_t c);   ///< White_Space
bool is_letter(char32_t c);        ///< L*
bool is_numeric(char32_t c);       ///< N*
bool is_punctuation(char32_t c);   ///< ASCII punctuation and P*
bool is_word(char32_t c);          ///< \w of Rust's regex: alphabetic, M*, Nd, Pc, joiners
bool is_mark(char32_t c);          ///< M*
void append_lowercase(std::string& out, char32_t c);

enum class NormalForm { nfc, nfd, nfkc, nfkd };

/// The normal form of valid UTF-8.
std::string normalize(std::string_view text, NormalForm form);

}  // namespace awq
