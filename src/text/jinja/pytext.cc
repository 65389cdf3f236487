#include "text/jinja/pytext.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstring>

#include "text/unicode.h"

namespace awq::jinja {
namespace {

utf8proc_category_t category(char32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c));
}

bool is_line_end(char32_t c) {
  return (c >= 10 && c <= 13) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
}

// The parts between white space, as byte ranges.
struct Word {
  size_t begin, end;
};
bool next_word(std::string_view text, size_t& at, Word& word) {
  for (size_t next = at; at < text.size() && is_space(next_character(text, next)); at = next) {
  }
  if (at >= text.size()) return false;
  word.begin = at;
  for (size_t next = at; at < text.size() && !is_space(next_character(text, next)); at = next) {
  }
  word.end = at;
  return true;
}

}  // namespace

size_t count_characters(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

size_t byte_offset(std::string_view text, size_t index) {
  size_t offset = 0;
  for (; index > 0 && offset < text.size(); --index) offset += character_size(text, offset);
  return offset;
}

size_t find_text(std::string_view text, std::string_view needle, size_t from) {
  if (from > text.size()) return text.npos;
  if (needle.empty()) return from;
  const void* found = memmem(text.data() + from, text.size() - from, needle.data(), needle.size());
  return found == nullptr ? text.npos
                          : static_cast<size_t>(static_cast<const char*>(found) - text.data());
}

size_t rfind_text(std::string_view text, std::string_view needle) {
  constexpr size_t kShort = 32;
  if (needle.size() <= kShort) return text.rfind(needle);
  const std::string reversed(text.rbegin(), text.rend());
  const std::string reversed_needle(needle.rbegin(), needle.rend());
  const size_t found = find_text(reversed, reversed_needle);
  return found == text.npos ? found : text.size() - found - needle.size();
}

bool is_space(char32_t c) { return is_white_space(c) || (c >= 0x1C && c <= 0x1F); }

bool is_printable(char32_t c) {
  if (c < 0x7F) return c >= 0x20;
  const auto kind = category(c);
  // Cn, Zs to Co in utf8proc's order; the space itself is handled above.
  return kind != UTF8PROC_CATEGORY_CN && kind < UTF8PROC_CATEGORY_ZS;
}

std::string_view strip(std::string_view text, const std::string_view* chars, bool left,
                       bool right) {
  const auto drops = [&](size_t offset) {
    if (chars != nullptr) {
      return chars->find(text.substr(offset, character_size(text, offset))) !=
             std::string_view::npos;
    }
    return is_space(next_character(text, offset));
  };
  while (left && !text.empty() && drops(0)) text.remove_prefix(character_size(text, 0));
  while (right && !text.empty()) {
    const size_t last = previous_character(text, text.size());
    if (!drops(last)) break;
    text = text.substr(0, last);
  }
  return text;
}

std::vector<std::string_view> split_space(std::string_view text, int64_t limit) {
  std::vector<std::string_view> parts;
  size_t at = 0;
  for (Word word{}; next_word(text, at, word);) {
    if (limit >= 0 && static_cast<int64_t>(parts.size()) >= limit) {
      parts.push_back(strip(text.substr(word.begin), nullptr, false, true));
      break;
    }
    parts.push_back(text.substr(word.begin, word.end - word.begin));
  }
  return parts;
}

std::vector<std::string_view> rsplit_space(std::string_view text, int64_t limit) {
  std::vector<Word> words;
  size_t at = 0;
  for (Word word{}; next_word(text, at, word);) words.push_back(word);
  std::vector<std::string_view> parts;
  size_t first = 0;
  if (limit >= 0 && words.size() > static_cast<size_t>(limit)) {
    first = words.size() - static_cast<size_t>(limit);
    // What is left of the last `limit` words stays whole, white space included.
    parts.push_back(text.substr(0, words[first - 1].end));
  }
  for (size_t i = first; i < words.size(); ++i) {
    parts.push_back(text.substr(words[i].begin, words[i].end - words[i].begin));
  }
  return parts;
}

std::vector<std::string_view> split_at(std::string_view text, std::string_view separator,
                                       int64_t limit) {
  std::vector<std::string_view> parts;
  while (limit < 0 || static_cast<int64_t>(parts.size()) < limit) {
    const size_t found = find_text(text, separator);
    if (found == std::string_view::npos) break;
    parts.push_back(text.substr(0, found));
    text.remove_prefix(found + separator.size());
  }
  parts.push_back(text);
  return parts;
}

std::vector<std::string_view> rsplit_at(std::string_view text, std::string_view separator,
                                        int64_t limit) {
  std::vector<std::string_view> parts;
  while (limit < 0 || static_cast<int64_t>(parts.size()) < limit) {
    const size_t found = rfind_text(text, separator);
    if (found == std::string_view::npos) break;
    parts.push_back(text.substr(found + separator.size()));
    text = text.substr(0, found);
  }
  parts.push_back(text);
  std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends) {
  std::vector<std::string_view> lines;
  size_t begin = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = at;
    const char32_t c = next_character(text, at);
    if (!is_line_end(c)) continue;
    if (c == '\r' && at < text.size() && text[at] == '\n') ++at;
    lines.push_back(text.substr(begin, (keep_ends ? at : end) - begin));
    begin = at;
  }
  if (begin < text.size()) lines.push_back(text.substr(begin));
  return lines;
}

bool all_of_class(std::string_view text, CharacterClass kind) {
  if (text.empty()) return kind == CharacterClass::printable;
  for (size_t i = 0; i < text.size();) {
    const char32_t c = next_character(text, i);
    const bool decimal = category(c) == UTF8PROC_CATEGORY_ND;
    bool in = false;
    switch (kind) {
      case CharacterClass::alpha: in = is_letter(c); break;
      case CharacterClass::decimal: in = decimal; break;
      case CharacterClass::digit:  // superscripts are digits, though not decimal
        in = decimal || c == 0xB2 || c == 0xB3 || c == 0xB9 || (c >= 0x2070 && c <= 0x2089);
        break;
      case CharacterClass::numeric: in = is_numeric(c); break;
      case CharacterClass::alnum: in = is_letter(c) || is_numeric(c); break;
      case CharacterClass::space: in = is_space(c); break;
      case CharacterClass::printable: in = is_printable(c); break;
    }
    if (!in) return false;
  }
  return true;
}

}  // namespace awq::jinja
