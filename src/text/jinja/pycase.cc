// Upper, lower and title case. Beyond the one-to-one map: the sharp s, the ligatures, and the
// final sigma, which Python treats as Unicode's full mapping does.
#include <utf8proc.h>

#include <algorithm>
#include <array>

#include "text/jinja/pytext.h"
#include "text/unicode.h"

namespace awq::jinja {
namespace {

struct Special {
  char32_t from;
  const char *upper, *title;
};
constexpr std::array<Special, 11> kSpecials = {{{0xDF, "SS", "Ss"},
                                                {0x149, "\xCA\xBCN", "\xCA\xBCN"},
                                                {0x1F0, "J\xCC\x8C", "J\xCC\x8C"},
                                                {0x587, "\xD4\xB5\xD5\x92", "\xD4\xB5\xD6\x82"},
                                                {0xFB00, "FF", "Ff"},
                                                {0xFB01, "FI", "Fi"},
                                                {0xFB02, "FL", "Fl"},
                                                {0xFB03, "FFI", "Ffi"},
                                                {0xFB04, "FFL", "Ffl"},
                                                {0xFB05, "ST", "St"},
                                                {0xFB06, "ST", "St"}}};

utf8proc_int32_t code(char32_t c) { return static_cast<utf8proc_int32_t>(c); }

const Special* special(char32_t c) {
  if (c < 0xDF) return nullptr;
  const auto found = std::find_if(kSpecials.begin(), kSpecials.end(),
                                  [&](const Special& entry) { return entry.from == c; });
  return found == kSpecials.end() ? nullptr : &*found;
}

void append_upper(std::string& out, char32_t c) {
  if (const Special* entry = special(c)) {
    out += entry->upper;
  } else {
    append_utf8(out, static_cast<char32_t>(utf8proc_toupper(code(c))));
  }
}

void append_title(std::string& out, char32_t c) {
  if (const Special* entry = special(c)) {
    out += entry->title;
  } else {
    append_utf8(out, static_cast<char32_t>(utf8proc_totitle(code(c))));
  }
}

enum class Case { none, upper, lower, title };
Case case_of(char32_t c) {
  if (c < 0x80) {
    return c >= 'A' && c <= 'Z' ? Case::upper : c >= 'a' && c <= 'z' ? Case::lower : Case::none;
  }
  switch (utf8proc_category(code(c))) {
    case UTF8PROC_CATEGORY_LU: return Case::upper;
    case UTF8PROC_CATEGORY_LL: return Case::lower;
    case UTF8PROC_CATEGORY_LT: return Case::title;
    default: return c == 0xAA || c == 0xBA ? Case::lower : Case::none;
  }
}

// A capital sigma at the end of a word is written differently in lower case.
void append_lower(std::string& out, std::string_view text, size_t begin, char32_t c) {
  if (c != 0x3A3) return append_lowercase(out, c);
  size_t after = begin + 2;
  const bool cased_before = begin > 0 && [&] {
    size_t at = previous_character(text, begin);
    return case_of(next_character(text, at)) != Case::none;
  }();
  const bool cased_after =
      after < text.size() && case_of(next_character(text, after)) != Case::none;
  append_utf8(out, cased_before && !cased_after ? 0x3C2 : 0x3C3);
}

}  // namespace

std::string upper(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) append_upper(out, next_character(text, i));
  return out;
}

std::string lower(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const size_t begin = i;
    append_lower(out, text, begin, next_character(text, i));
  }
  return out;
}

std::string capitalize(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const size_t begin = i;
    const char32_t c = next_character(text, i);
    if (begin == 0) {
      append_title(out, c);
    } else {
      append_lower(out, text, begin, c);
    }
  }
  return out;
}

std::string title(std::string_view text) {
  std::string out;
  bool inside = false;
  for (size_t i = 0; i < text.size();) {
    const size_t begin = i;
    const char32_t c = next_character(text, i);
    if (inside) {
      append_lower(out, text, begin, c);
    } else {
      append_title(out, c);
    }
    inside = case_of(c) != Case::none;
  }
  return out;
}

std::string swapcase(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const size_t begin = i;
    const char32_t c = next_character(text, i);
    switch (case_of(c)) {
      case Case::upper: append_lower(out, text, begin, c); break;
      case Case::lower: append_upper(out, c); break;
      default: append_utf8(out, c);
    }
  }
  return out;
}

bool is_cased(std::string_view text, bool upper) {
  bool found = false;
  for (size_t i = 0; i < text.size();) {
    const Case kind = case_of(next_character(text, i));
    if (kind == (upper ? Case::lower : Case::upper) || kind == Case::title) return false;
    found = found || kind != Case::none;
  }
  return found;
}

}  // namespace awq::jinja
