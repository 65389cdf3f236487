#include "text/jinja/lexer.h"

#include "text/jinja/pytext.h"
#include "text/unicode.h"

namespace awq::jinja {
namespace {

bool is_name_character(std::string_view text, size_t at) {
  return is_word(next_character(text, at));
}

}  // namespace

std::string describe(const Token& token) {
  switch (token.kind) {
    case TokenKind::end: return "end of template";
    case TokenKind::data: return "template text";
    case TokenKind::block_begin: return "begin of statement block";
    case TokenKind::block_end: return "end of statement block";
    case TokenKind::variable_begin: return "begin of print statement";
    case TokenKind::variable_end: return "end of print statement";
    case TokenKind::string: return "string";
    case TokenKind::integer: return "integer";
    case TokenKind::real: return "float";
    default: return cat("'", printable(token.text, 40), "'");
  }
}

size_t Lexer::skip_space(size_t at) const {
  for (size_t next = at; at < source_.size() && is_space(next_character(source_, next));
       at = next) {
  }
  return at;
}

Token Lexer::next() {
  for (;;) {
    if (has_pending_) {
      has_pending_ = false;
      return std::move(pending_);
    }
    if (state_ != State::text) return inside_token();
    if (at_ >= source_.size()) return make(TokenKind::end, source_.size());
    Token token = text_token();
    if (!token.text.empty()) return token;
  }
}

// The text up to the next tag, which is opened (or skipped, when it is a comment).
Token Lexer::text_token() {
  const size_t begin = at_;
  size_t tag = begin;
  for (;; ++tag) {
    tag = source_.find('{', tag);
    if (tag == source_.npos) {
      at_ = source_.size();
      return make(TokenKind::data, begin, std::string(source_.substr(begin)));
    }
    if (starts(tag, "{%") || starts(tag, "{{") || starts(tag, "{#")) break;
  }
  std::string_view text = source_.substr(begin, tag - begin);
  const char control = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
  if (control == '-') {
    text = strip(text, nullptr, false, true);
  } else if (control != '+' && source_[tag + 1] != '{') {
    // lstrip_blocks: white space between the line's begin and the tag goes.
    const size_t line = text.rfind('\n') + 1;
    if ((line > 0 || line_starting_) && strip(text.substr(line), nullptr).empty()) {
      text = text.substr(0, line);
    }
  }
  Token data = make(TokenKind::data, begin, std::string(text));
  open_tag(tag);
  return data;
}

// The end of "{% raw %}" when the tag is one, else 0.
size_t Lexer::raw_begin(size_t tag) const {
  size_t at = tag + 2;
  if (at < source_.size() && (source_[at] == '-' || source_[at] == '+')) ++at;
  at = skip_space(at);
  if (!starts(at, "raw")) return 0;
  at = skip_space(at + 3);
  if (starts(at, "-%}")) return skip_space(at + 3);
  return starts(at, "%}") ? at + 2 : 0;
}

void Lexer::open_tag(size_t tag) {
  const char kind = source_[tag + 1];
  size_t inside = tag + 2;
  if (kind == '%') {
    if (const size_t body = raw_begin(tag); body != 0) {
      line_starting_ = source_[body - 1] == '\n';
      pending_ = raw_token(tag, body);
      has_pending_ = !pending_.text.empty();
      return;
    }
  }
  if (inside < source_.size() && (source_[inside] == '-' || source_[inside] == '+')) ++inside;
  at_ = inside;
  if (kind == '#') {
    if (!skip_comment()) fail_at(static_cast<uint32_t>(tag), "missing end of comment tag");
    return;
  }
  state_ = kind == '%' ? State::block : State::variable;
  pending_ = make(kind == '%' ? TokenKind::block_begin : TokenKind::variable_begin, tag);
  has_pending_ = true;
}

bool Lexer::skip_comment() {
  const size_t end = source_.find("#}", at_);
  if (end == source_.npos) return false;
  const char control = end > at_ ? source_[end - 1] : '\0';
  at_ = end + 2;
  if (control == '-') {
    at_ = skip_space(at_);
  } else if (control != '+' && starts(at_, "\n")) {
    ++at_;
  }
  line_starting_ = source_[at_ - 1] == '\n';
  return true;
}

Token Lexer::raw_token(size_t tag, size_t body) {
  for (size_t end = source_.find("{%", body); end != source_.npos;
       end = source_.find("{%", end + 1)) {
    size_t at = end + 2;
    const char control = at < source_.size() ? source_[at] : '\0';
    if (control == '-' || control == '+') ++at;
    at = skip_space(at);
    if (!starts(at, "endraw")) continue;
    at = skip_space(at + 6);
    const bool minus = starts(at, "-%}"), plus = starts(at, "+%}");
    if (!minus && !plus && !starts(at, "%}")) continue;
    at += minus || plus ? 3 : 2;
    if (minus) at = skip_space(at);
    if (!minus && !plus && starts(at, "\n")) ++at;
    std::string_view text = source_.substr(body, end - body);
    if (control == '-') {
      text = strip(text, nullptr, false, true);
    } else if (control != '+') {
      const size_t line = text.rfind('\n') + 1;
      if ((line > 0 || line_starting_) && strip(text.substr(line), nullptr).empty()) {
        text = text.substr(0, line);
      }
    }
    at_ = at;
    line_starting_ = source_[at - 1] == '\n';
    return make(TokenKind::data, body, std::string(text));
  }
  fail_at(static_cast<uint32_t>(tag), "missing end of raw directive");
}

// "%}" and "}}" with their controls; inside brackets "}}" closes those instead.
bool Lexer::close_tag(Token& token) {
  if (!brackets_.empty()) return false;
  const bool block = state_ == State::block;
  const std::string_view sign = block ? "%}" : "}}";
  const size_t begin = at_;
  if (source_[at_] == '-' && starts(at_ + 1, sign)) {
    at_ = skip_space(at_ + 3);
  } else if (block && source_[at_] == '+' && starts(at_ + 1, sign)) {
    at_ += 3;
  } else if (starts(at_, sign)) {
    at_ += 2;
    if (block && starts(at_, "\n")) ++at_;
  } else {
    return false;
  }
  line_starting_ = source_[at_ - 1] == '\n';
  state_ = State::text;
  token = make(block ? TokenKind::block_end : TokenKind::variable_end, begin);
  return true;
}

Token Lexer::inside_token() {
  Token token;
  if (at_ < source_.size() && close_tag(token)) return token;
  at_ = skip_space(at_);
  if (at_ >= source_.size()) return make(TokenKind::end, source_.size());
  if (close_tag(token)) return token;
  const char c = source_[at_];
  if (is_digit(c)) return number_token();
  if (c == '\'' || c == '"') return string_token();
  if (!is_name_character(source_, at_)) return punctuation_token();
  const size_t begin = at_;
  while (at_ < source_.size() && is_name_character(source_, at_)) {
    at_ += character_size(source_, at_);
  }
  return make(TokenKind::name, begin, std::string(source_.substr(begin, at_ - begin)));
}

}  // namespace awq::jinja
