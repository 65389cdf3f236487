#include "text/jinja/parser.h"

#include <algorithm>

#include "text/jinja/pytext.h"
#include "text/unicode.h"

namespace awq::jinja {

uint32_t Syntax::intern(std::string_view name) {
  const auto [entry, added] =
      name_ids.try_emplace(std::string(name), static_cast<uint32_t>(names.size()));
  if (added) names.push_back(entry->first);
  return entry->second;
}

std::string position_text(std::string_view source, uint32_t offset) {
  const std::string_view before = source.substr(0, std::min<size_t>(offset, source.size()));
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const size_t begin = before.rfind('\n') + 1;
  return cat(line, ":", 1 + count_characters(before.substr(begin)));
}

Parser::Level::Level(Parser& parser) : parser_(parser) {
  if (parser_.depth_ >= parser_.limits_.parse_depth) {
    fail_at(parser_.token_.offset, "nesting deeper than ", parser_.limits_.parse_depth, " levels");
  }
  ++parser_.depth_;
}

void Parser::advance() {
  if (has_ahead_) {
    token_ = std::move(ahead_);
    has_ahead_ = false;
  } else {
    token_ = lexer_.next();
  }
}

const Token& Parser::look() {
  if (!has_ahead_) ahead_ = lexer_.next();
  has_ahead_ = true;
  return ahead_;
}

Token Parser::take() {
  Token token = std::move(token_);
  advance();
  return token;
}

bool Parser::skip(std::string_view punctuation) {
  if (!token_.is(punctuation)) return false;
  advance();
  return true;
}

bool Parser::skip_name(std::string_view name) {
  if (!token_.is_name(name)) return false;
  advance();
  return true;
}

void Parser::fail_here(std::string_view expected) const {
  fail_at(token_.offset, "expected ", expected, ", got ", describe(token_));
}

Token Parser::expect(std::string_view punctuation) {
  if (!token_.is(punctuation)) fail_here(cat("'", punctuation, "'"));
  return take();
}

Token Parser::expect_name() {
  if (token_.kind != TokenKind::name) fail_here("a name");
  return take();
}

void Parser::expect_name(std::string_view name) {
  if (!skip_name(name)) fail_here(cat("'", name, "'"));
}

void Parser::expect_kind(TokenKind kind) {
  if (token_.kind != kind) fail_here(describe(Token{kind, 0, {}}));
  advance();
}

Expr* Parser::make(ExprKind kind, uint32_t offset, std::initializer_list<const Expr*> items) {
  Expr* expr = add<Expr>(kind, offset);
  for (const Expr* item : items) adopt(expr, item);
  return expr;
}

void Parser::adopt(Expr* parent, const Expr* child) {
  parent->items.push_back(child);
  grow(parent, child);
}

// The tree is evaluated recursively, so long chains (a.b.c...) are capped like nested brackets,
// only higher.
void Parser::grow(Expr* parent, const Expr* child) const {
  if (child == nullptr) return;
  const int height = child->height + 1;
  if (height > std::min(4 * limits_.parse_depth, 1000)) {
    fail_at(parent->offset, "nesting: an expression of more than ", 4 * limits_.parse_depth,
            " steps");
  }
  parent->height = std::max(parent->height, static_cast<uint16_t>(height));
}

const Expr* Parser::constant(Constant value, uint32_t offset) {
  Expr* expr = make(ExprKind::constant, offset);
  expr->id = static_cast<uint32_t>(syntax_.constants.size());
  syntax_.constants.push_back(std::move(value));
  return expr;
}

void Parser::parse() {
  syntax_.body = body({});
  if (token_.kind != TokenKind::end) fail_here("end of template");
}

// "\r\n" and "\r" become "\n"; one line end at the end of the template goes.
static std::string normalize_lines(std::string source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out += source[i];
    } else if (i + 1 >= source.size() || source[i + 1] != '\n') {
      out += '\n';
    }
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

Syntax parse_template(std::string source, const TemplateLimits& limits) {
  if (source.size() > limits.source_bytes) {
    fail("the template has ", source.size(), " bytes, the limit is ", limits.source_bytes);
  }
  if (!is_utf8(source)) fail("the template is not valid UTF-8");
  Syntax syntax;
  syntax.source = normalize_lines(std::move(source));
  try {
    Parser(syntax, limits).parse();
  } catch (Failure& failure) {
    if (failure.offset != kNoOffset) {
      failure.message = cat(position_text(syntax.source, failure.offset), ": ", failure.message);
      failure.offset = kNoOffset;
    }
    throw;
  }
  return syntax;
}

}  // namespace awq::jinja
