// Splits a template into tokens, with the white space rules of trim_blocks and lstrip_blocks.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/failure.h"

namespace awq::jinja {

inline bool is_digit(char c) { return c >= '0' && c <= '9'; }

enum class TokenKind : uint8_t {
  end,
  data,
  block_begin,
  block_end,
  variable_begin,
  variable_end,
  name,
  string,
  integer,
  real,
  punctuation,
};

struct Token {
  TokenKind kind = TokenKind::end;
  uint32_t offset = 0;
  std::string text;  ///< names, punctuation, data, and the value of strings and numbers

  bool is(std::string_view punctuation) const {
    return kind == TokenKind::punctuation && text == punctuation;
  }
  bool is_name(std::string_view name) const { return kind == TokenKind::name && text == name; }
};

/// For messages: the text of a name or sign, else what it is.
std::string describe(const Token& token);

class Lexer {
 public:
  /// `source` has "\n" line ends and outlives the lexer.
  explicit Lexer(std::string_view source) : source_(source) {}
  Token next();

 private:
  enum class State : uint8_t { text, block, variable };

  Token text_token();
  void open_tag(size_t tag);
  bool skip_comment();
  Token raw_token(size_t tag, size_t body);
  size_t raw_begin(size_t tag) const;
  bool close_tag(Token& token);
  Token inside_token();
  Token string_token();
  Token number_token();
  Token punctuation_token();
  std::string unescape(std::string_view text, size_t offset) const;
  size_t skip_space(size_t at) const;
  bool starts(size_t at, std::string_view text) const {
    return source_.substr(at, text.size()) == text;
  }
  Token make(TokenKind kind, size_t offset, std::string text = {}) const {
    return {kind, static_cast<uint32_t>(offset), std::move(text)};
  }

  std::string_view source_;
  size_t at_ = 0;
  State state_ = State::text;
  bool line_starting_ = true;  ///< the last tag ended with the end of its line
  Token pending_;              ///< the begin of the tag after a text
  bool has_pending_ = false;
  std::vector<char> brackets_;
};

}  // namespace awq::jinja
