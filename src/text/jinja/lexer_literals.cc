// Tokens inside of tags: strings, numbers, punctuation.
#include <algorithm>
#include <array>

#include "text/jinja/lexer.h"
#include "text/jinja/pytext.h"
#include "text/unicode.h"

namespace awq::jinja {
Token Lexer::string_token() {
  const size_t begin = at_;
  const char quote = source_[begin];
  size_t end = begin + 1;
  while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
  if (end >= source_.size()) fail_at(static_cast<uint32_t>(begin), "string without an end");
  at_ = end + 1;
  return make(TokenKind::string, begin,
              unescape(source_.substr(begin + 1, end - begin - 1), begin));
}

std::string Lexer::unescape(std::string_view text, size_t offset) const {
  static constexpr std::string_view kLetters = "abfnrtv\\'\"";
  static constexpr std::string_view kMeanings = "\a\b\f\n\r\t\v\\'\"";
  const auto bad = [&] { fail_at(static_cast<uint32_t>(offset), "bad escape in a string"); };
  std::string out;
  for (size_t i = 0; i < text.size();) {
    if (text[i] != '\\') {
      out += text[i++];
      continue;
    }
    if (++i >= text.size()) bad();
    const char c = text[i++];
    if (const size_t letter = kLetters.find(c); letter != kLetters.npos) {
      out += kMeanings[letter];
    } else if (c == '\n') {  // a continued line
    } else if (c == 'x' || c == 'u' || c == 'U') {
      char32_t value = 0;
      for (int digits = c == 'x' ? 2 : c == 'u' ? 4 : 8; digits > 0; --digits, ++i) {
        const char hex = i < text.size() ? text[i] : '?';
        const int digit = is_digit(hex)                                ? hex - '0'
                          : (hex | 0x20) >= 'a' && (hex | 0x20) <= 'f' ? (hex | 0x20) - 'a' + 10
                                                                       : -1;
        if (digit < 0) bad();
        value = value * 16 + static_cast<char32_t>(digit);
      }
      if (value > 0x10FFFF || (value >= 0xD800 && value < 0xE000)) bad();
      append_utf8(out, value);
    } else if (c >= '0' && c <= '7') {
      char32_t value = static_cast<char32_t>(c - '0');
      for (int n = 0; n < 2 && i < text.size() && text[i] >= '0' && text[i] <= '7'; ++n) {
        value = value * 8 + static_cast<char32_t>(text[i++] - '0');
      }
      append_utf8(out, value);
    } else if (c == 'N') {
      bad();  // names of characters
    } else {
      out += '\\';
      --i;
      const size_t size = character_size(text, i);
      out += text.substr(i, size);
      i += size;
    }
  }
  return out;
}

Token Lexer::number_token() {
  const size_t begin = at_;
  const auto digit_at = [&](size_t at, auto accepts) {
    return at < source_.size() && accepts(source_[at]);
  };
  // Digits that may be separated by single underscores.
  const auto run = [&](size_t at, auto accepts) {
    while (digit_at(at, accepts) ||
           (at > begin && at < source_.size() && source_[at] == '_' && digit_at(at + 1, accepts))) {
      ++at;
    }
    return at;
  };
  const auto finish = [&](TokenKind kind, size_t end) {
    at_ = end;
    std::string text(source_.substr(begin, end - begin));
    text.erase(std::remove(text.begin(), text.end(), '_'), text.end());
    return make(kind, begin, std::move(text));
  };
  const bool after_dot = begin > 0 && source_[begin - 1] == '.';
  const size_t whole = run(begin, is_digit);
  if (!after_dot) {
    size_t end = whole;
    if (starts(end, ".") && digit_at(end + 1, is_digit)) end = run(end + 1, is_digit);
    if (end < source_.size() && (source_[end] | 0x20) == 'e') {
      size_t exponent = end + 1;
      if (starts(exponent, "+") || starts(exponent, "-")) ++exponent;
      if (digit_at(exponent, is_digit)) end = run(exponent, is_digit);
    }
    if (end > whole) return finish(TokenKind::real, end);
  }
  if (source_[begin] != '0') return finish(TokenKind::integer, whole);
  const char base =
      begin + 1 < source_.size() ? static_cast<char>(source_[begin + 1] | 0x20) : '\0';
  const auto in_base = [&](char c) {
    if (base == 'b') return c == '0' || c == '1';
    if (base == 'o') return c >= '0' && c <= '7';
    return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
  };
  if (base == 'b' || base == 'o' || base == 'x') {
    const size_t end = run(begin + 2, in_base);
    if (end > begin + 2) return finish(TokenKind::integer, end);
  }
  return finish(TokenKind::integer, run(begin, [](char c) { return c == '0'; }));
}

Token Lexer::punctuation_token() {
  static constexpr std::array<std::string_view, 6> kPairs = {"//", "**", "==", "!=", ">=", "<="};
  static constexpr std::string_view kSigns = "+-*/%~[](){}><=.:|,;";
  const size_t begin = at_;
  const auto here = static_cast<uint32_t>(begin);
  const auto pair = std::find(kPairs.begin(), kPairs.end(), source_.substr(begin, 2));
  const char c = source_[begin];
  if (pair != kPairs.end()) {
    at_ += 2;
    return make(TokenKind::punctuation, begin, std::string(*pair));
  }
  if (kSigns.find(c) == kSigns.npos) {
    fail_at(here, "unexpected character '",
            printable(source_.substr(begin, character_size(source_, begin))), "'");
  }
  if (c == '(' || c == '[' || c == '{') {
    brackets_.push_back(c == '(' ? ')' : c == '[' ? ']' : '}');
  } else if (c == ')' || c == ']' || c == '}') {
    if (brackets_.empty()) fail_at(here, "unexpected '", c, "'");
    if (brackets_.back() != c) {
      fail_at(here, "unexpected '", c, "', expected '", brackets_.back(), "'");
    }
    brackets_.pop_back();
  }
  ++at_;
  return make(TokenKind::punctuation, begin, std::string(1, c));
}

}  // namespace awq::jinja
