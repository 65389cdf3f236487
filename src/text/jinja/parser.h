// Recursive descent over the tokens, as jinja2's parser does it, with a cap on its depth.
#pragma once

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/lexer.h"
#include "text/jinja/syntax.h"

namespace awq::jinja {

class Parser {
 public:
  Parser(Syntax& syntax, const TemplateLimits& limits)
      : syntax_(syntax), limits_(limits), lexer_(syntax.source) {
    advance();
  }

  void parse();

 private:
  /// One level of nesting: an expression in brackets, the body of a tag.
  class Level {
   public:
    explicit Level(Parser& parser);
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;
    ~Level() { --parser_.depth_; }

   private:
    Parser& parser_;
  };

  // Tokens (parser.cc).
  void advance();
  const Token& look();
  Token take();
  bool skip(std::string_view punctuation);
  bool skip_name(std::string_view name);
  Token expect(std::string_view punctuation);
  Token expect_name();
  void expect_name(std::string_view name);
  void expect_kind(TokenKind kind);
  [[noreturn]] void fail_here(std::string_view expected) const;

  // Nodes (parser.cc).
  template <class T, class... Arguments>
  T* add(Arguments&&... arguments) {
    auto node = std::make_unique<T>(std::forward<Arguments>(arguments)...);
    T* result = node.get();
    syntax_.nodes.push_back(std::move(node));
    return result;
  }
  Expr* make(ExprKind kind, uint32_t offset, std::initializer_list<const Expr*> items = {});
  void adopt(Expr* parent, const Expr* child);
  void grow(Expr* parent, const Expr* child) const;
  const Expr* constant(Constant value, uint32_t offset);

  // Statements (parse_statements.cc).
  Body body_until(std::initializer_list<std::string_view> ends, bool drop_end = true);
  Body body(std::initializer_list<std::string_view> ends);
  const Statement* statement();
  const Statement* print(uint32_t offset);
  const Statement* branch(uint32_t offset);
  const Statement* loop(uint32_t offset);
  const Statement* assign(uint32_t offset);
  const Statement* macro(uint32_t offset);
  const Statement* call_block(uint32_t offset);
  const Statement* filter_block(uint32_t offset);
  const Statement* scope(uint32_t offset, std::string_view tag);
  const Statement* with(uint32_t offset);
  const Statement* jump(uint32_t offset, StatementKind kind);
  void signature(MacroNode* node);
  void macro_body(MacroNode* node, std::string_view end);
  [[noreturn]] void fail_unknown_tag(const Token& name) const;

  // Expressions (parse_operators.cc, parse_expressions.cc), named as in jinja2's grammar.
  const Expr* expression() { return conditional(); }
  const Expr* tuple(bool with_conditional = true, bool parenthesized = false,
                    std::string_view end_name = {});
  const Expr* conditional();
  const Expr* disjunction();
  const Expr* conjunction();
  const Expr* negation();
  const Expr* comparison();
  const Expr* sum();
  const Expr* concatenation();
  const Expr* product();
  const Expr* power();
  const Expr* unary(bool with_filter = true);
  const Expr* primary();
  const Expr* name_or_constant();
  const Expr* number();
  const Expr* list();
  const Expr* dict();
  const Expr* postfix(const Expr* expr);
  const Expr* filters_and_tests(const Expr* expr);
  const Expr* subscript(const Expr* expr);
  const Expr* subscribed();
  const Expr* call(const Expr* expr);
  const Expr* filter(const Expr* input, bool first = false);
  const Expr* test(const Expr* input);
  std::unique_ptr<CallArguments> call_arguments(Expr* parent);
  std::string dotted_name();

  // Targets of set and for.
  const Expr* target(bool with_namespace, std::string_view end_name = {});
  const Expr* target_item(bool with_namespace);
  const Expr* to_target(const Expr* expr) const;
  uint32_t target_name();

  Syntax& syntax_;
  const TemplateLimits& limits_;
  Lexer lexer_;
  Token token_, ahead_;
  bool has_ahead_ = false;
  int depth_ = 0;
  int loops_ = 0;  ///< that a break here would leave
  std::vector<MacroNode*> macros_;
  std::vector<std::string> open_tags_;
};

}  // namespace awq::jinja
