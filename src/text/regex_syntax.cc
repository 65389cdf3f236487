// Oniguruma's syntax as PCRE2's: one pass over the pattern with the class depth as only state.
#include "text/regex.h"

namespace awq {
namespace {

constexpr std::string_view kSpace =
    R"(\x09-\x0D\x20\x85\xA0\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})";
constexpr std::string_view kNotSpace =
    R"(\x00-\x08\x0E-\x1F\x21-\x84\x86-\x9F\x{A1}-\x{167F}\x{1681}-\x{1FFF}\x{200B}-\x{2027})"
    R"(\x{202A}-\x{202E}\x{2030}-\x{205E}\x{2060}-\x{2FFF}\x{3001}-\x{10FFFF})";
constexpr std::string_view kWord = R"(\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\x{24B6}-\x{24E9})";
constexpr std::string_view kHex = "0-9A-Fa-f";

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

  Status escape() {
    const char kind = at_ + 1 < text_.size() ? text_[at_ + 1] : '\0';
    switch (kind) {
      case 's': put_class(kSpace); break;
      case 'S': put_class(kNotSpace); break;
      case 'w': put_class(kWord); break;
      case 'h': put_class(kHex); break;
      case 'W':
      case 'H':
        if (depth_ > 0) return refuse("a negated shorthand inside a class");
        put_class(kind == 'W' ? kWord : kHex, true);
        break;
      default:
        out_.append(text_.substr(at_, 2));
    }
    at_ += 2;
    return {};
  }

  Status class_character(char c) {
    if (c == '[' && next_is("[:")) {
      const size_t end = text_.find(":]", at_ + 2);
      if (end == std::string_view::npos) return refuse("an unfinished class name");
      out_.append(text_.substr(at_, end + 2 - at_));
      at_ = end + 2;
      return {};
    }
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

  Status plain_character(char c) {
    if (next_is("(*")) return refuse("a verb");
    if (next_is("}+") && interval_) return refuse("a repeated interval");
    if (next_is("(?")) {
      const size_t end = text_.find_first_not_of("imsxn-", at_ + 2);
      const std::string_view flags = text_.substr(at_ + 2, end - at_ - 2);
      if (end != std::string_view::npos && (text_[end] == ')' || text_[end] == ':') &&
          flags.find_first_of("msn") != std::string_view::npos) {
        return refuse("an inline option other than i and x");
      }
    }
    if (c == '{') interval_ = at_ > 0 && at_ + 1 < text_.size() && is_digit(text_[at_ + 1]);
    out_.push_back(c);
    ++at_;
    if (c != '[') return {};
    depth_ = 1;
    if (next_is("^")) out_.push_back(text_[at_++]);
    if (next_is("]")) out_.append("\\]"), ++at_;
    return {};
  }

  static bool is_digit(char c) { return (c >= '0' && c <= '9') || c == ','; }

  std::string_view text_, where_;
  std::string out_;
  size_t at_ = 0;
  int depth_ = 0;  ///< 0 outside classes
  bool interval_ = false;
};

}  // namespace

Result<std::string> translate_oniguruma(std::string_view pattern, std::string_view where) {
  return Translator(pattern, where).run();
}

}  // namespace awq
