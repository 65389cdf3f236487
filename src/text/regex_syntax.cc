// Oniguruma's syntax as PCRE2's: one pass over the pattern with the class depth as only state.
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <array>
#include <utility>

#include "text/regex.h"

namespace awq {
namespace {

constexpr std::string_view kSpace =
    R"(\x09-\x0D\x20\x85\xA0\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})";
constexpr std::string_view kNotSpace =
    R"(\x00-\x08\x0E-\x1F\x21-\x84\x86-\x9F\x{A1}-\x{167F}\x{1681}-\x{1FFF}\x{200B}-\x{2027})"
    R"(\x{202A}-\x{202E}\x{2030}-\x{205E}\x{2060}-\x{2FFF}\x{3001}-\x{10FFFF})";
// Other numbers (No) are word characters below U+0100 only, where Oniguruma has a table of its own.
constexpr std::string_view kWord =
    R"(\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\xB2\xB3\xB9\xBC-\xBE\x{24B6}-\x{24E9}\x{1F130}-\x{1F149})"
    R"(\x{1F150}-\x{1F169}\x{1F170}-\x{1F189})";
constexpr std::string_view kHex = "0-9A-Fa-f";

using Names = std::pair<std::string_view, std::string_view>;

// [:name:] where the two engines differ; the others are the same.
constexpr std::array kClassNames{
    Names{"alpha", R"(\p{Alphabetic})"}, Names{"alnum", R"(\p{Alphabetic}\p{Nd})"},
    Names{"upper", R"(\p{Uppercase})"},  Names{"lower", R"(\p{Lowercase})"},
    Names{"punct", R"(\p{P}\p{S})"},     Names{"space", kSpace},
    Names{"word", kWord},                Names{"digit", R"(\p{Nd})"},
};

// Long names of general categories, which PCRE2 knows by their letters only.
constexpr std::array kCategories{
    Names{"letter", "L"}, Names{"mark", "M"},   Names{"number", "N"}, Names{"punctuation", "P"},
    Names{"symbol", "S"}, Names{"separator", "Z"}, Names{"other", "C"}};

// Properties that are neither categories nor scripts.
constexpr std::array<std::string_view, 7> kProperties = {
    "any", "alphabetic", "lowercase", "uppercase", "white_space", "emoji", "l&"};

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  return out;
}

// PCRE2 10.40 and later mean a script's extensions by its bare name, Oniguruma only the script.
constexpr bool kBareNamesAreExtensions = PCRE2_MAJOR > 10 || PCRE2_MINOR >= 40;

class Translator {
 public:
  Translator(std::string_view pattern, std::string_view where) : text_(pattern), where_(where) {}

  Result<std::string> run() {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '\\') {
        AWQ_TRY(escape());
      } else if (depth_ > 0) {
        AWQ_TRY(class_character(c));
      } else {
        AWQ_TRY(plain_character(c));
      }
    }
    return std::move(out_);
  }

 private:
  Error refuse(std::string_view what) const {
    return bad_input(cat(where_, ": the regular expression ", printable(text_), " uses ", what,
                         " at byte ", at_, ", which is not supported"));
  }

  bool next_is(std::string_view text) const { return text_.substr(at_, text.size()) == text; }

  void put_class(std::string_view members, bool negated = false) {
    out_ += depth_ > 0 ? std::string(members) : cat(negated ? "[^" : "[", members, "]");
  }

  void put_boundary(bool negated) {
    const auto look = [&](bool before, bool after) {
      out_ += cat(before ? "(?<=[" : "(?<![", kWord, after ? "])(?=[" : "])(?![", kWord, "])");
    };
    out_ += "(?:";
    look(true, negated), out_ += "|", look(false, !negated);
    out_ += ")";
  }

  Status escape() {
    const char kind = at_ + 1 < text_.size() ? text_[at_ + 1] : '\0';
    switch (kind) {
      case 's': put_class(kSpace); break;
      case 'S': put_class(kNotSpace); break;
      case 'w': put_class(kWord); break;
      case 'h': put_class(kHex); break;
      case 'v': out_ += "\\x0B"; break;
      case 'W':
      case 'H':
        if (depth_ > 0) return refuse("a negated shorthand inside a class");
        put_class(kind == 'W' ? kWord : kHex, true);
        break;
      case 'b':
      case 'B':
        if (depth_ > 0) return refuse("\\b inside a class");
        put_boundary(kind == 'B');
        break;
      case 'p':
      case 'P': return property();
      case 'u': return code_point();
      case 'Q':
      case 'E':
      case 'y':
      case 'Y':
      case 'O':
      case 'c':
      case 'C':
      case 'M': return refuse(cat("\\", std::string(1, kind)));
      default:
        out_.append(text_.substr(at_, 2));
    }
    at_ += 2;
    return {};
  }

  // \p{Name}, \P{Name}, \p{^Name}
  Status property() {
    const size_t end = text_.find('}', at_);
    if (at_ + 2 >= text_.size() || text_[at_ + 2] != '{' || end == std::string_view::npos) {
      return refuse("a property without braces");
    }
    std::string_view name = text_.substr(at_ + 3, end - at_ - 3);
    const bool caret = !name.empty() && name[0] == '^';
    if (caret) name.remove_prefix(1);
    const std::string plain = lower(name);
    std::string_view prefix;
    for (const auto& [known, letter] : kCategories) {
      if (plain == known) name = letter;
    }
    if (kBareNamesAreExtensions && name.size() > 2 &&
        std::find(kProperties.begin(), kProperties.end(), plain) == kProperties.end()) {
      prefix = "sc:";
    }
    out_ += cat(text_.substr(at_, 2), "{", caret ? "^" : "", prefix, name, "}");
    at_ = end + 1;
    return {};
  }

  Status code_point() {  // \uHHHH
    const std::string_view digits = text_.substr(at_ + 2, 4);
    if (digits.size() < 4 || digits.find_first_not_of("0123456789abcdefABCDEF") != digits.npos) {
      return refuse("\\u without four digits");
    }
    out_ += cat("\\x{", digits, "}");
    at_ += 6;
    return {};
  }

  Status class_character(char c) {
    if (c == '[' && next_is("[:")) return class_name();
    if (next_is("&&")) return refuse("class intersection");
    if (c == '[') {  // the union with an inner class: its members join the outer ones
      if (next_is("[^")) return refuse("a negated class inside a class");
      ++depth_;
    } else if (c == ']') {
      if (--depth_ == 0) out_.push_back(c);
    } else {
      out_.push_back(c);
    }
    ++at_;
    return {};
  }

  Status class_name() {
    const size_t end = text_.find(":]", at_ + 2);
    if (end == std::string_view::npos) return refuse("an unfinished class name");
    const std::string_view name = text_.substr(at_ + 2, end - at_ - 2);
    if (!name.empty() && name[0] == '^') return refuse("a negated class name");
    std::string members(text_.substr(at_, end + 2 - at_));
    for (const auto& [known, translated] : kClassNames) {
      if (name == known) members = translated;
    }
    out_ += members;
    at_ = end + 2;
    return {};
  }

  Status plain_character(char c) {
    if (next_is("(*")) return refuse("a verb");
    if (next_is("(?")) AWQ_TRY(group_options());
    if (c == '{') return interval();
    out_.push_back(c);
    ++at_;
    if (c != '[') return {};
    depth_ = 1;
    if (next_is("^")) out_.push_back(text_[at_++]);
    if (next_is("]")) out_.append("\\]"), ++at_;
    return {};
  }

  // (?i) and (?x) mean the same where a group or an alternative begins; (?m) and the like do not.
  Status group_options() {
    const size_t end = text_.find_first_not_of("imsxn-", at_ + 2);
    if (end == std::string_view::npos || (text_[end] != ')' && text_[end] != ':')) return {};
    const std::string_view flags = text_.substr(at_ + 2, end - at_ - 2);
    if (flags.find_first_of("msn") != std::string_view::npos) {
      return refuse("an inline option other than i and x");
    }
    const bool begins = at_ == 0 || text_[at_ - 1] == '(' || text_[at_ - 1] == '|' ||
                        text_[at_ - 1] == ':';
    if (text_[end] == ')' && !begins) return refuse("an inline option inside an alternative");
    return {};
  }

  // {n,m}, {n,}, {,m}, {n}; anything else is text.
  Status interval() {
    const size_t end = text_.find_first_not_of("0123456789,", at_ + 1);
    const bool closed = end != std::string_view::npos && text_[end] == '}' && end > at_ + 1;
    if (!closed) {
      out_.push_back(text_[at_++]);
      return {};
    }
    const std::string_view counts = text_.substr(at_ + 1, end - at_ - 1);
    const char after = end + 1 < text_.size() ? text_[end + 1] : '\0';
    const bool exact = counts.find(',') == std::string_view::npos;
    if (after == '+' || (after == '?' && exact)) return refuse("a repeated interval");
    out_ += cat("{", counts[0] == ',' ? "0" : "", counts, "}");
    at_ = end + 1;
    return {};
  }

  std::string_view text_, where_;
  std::string out_;
  size_t at_ = 0;
  int depth_ = 0;  ///< 0 outside classes
};

}  // namespace

Result<std::string> translate_oniguruma(std::string_view pattern, std::string_view where) {
  return Translator(pattern, where).run();
}

}  // namespace awq
