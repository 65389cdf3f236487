#include <algorithm>

#include "text/jinja/parser.h"

namespace awq::jinja {

// The body of a tag whose own words have been read: "%}", statements, and the name of one of
// `ends`, which is left in front (or taken, when there is but one).
Body Parser::body_until(std::initializer_list<std::string_view> ends, bool drop_end) {
  Level level(*this);
  skip(":");
  expect_kind(TokenKind::block_end);
  Body result = body(ends);
  if (token_.kind == TokenKind::end) {
    fail_at(token_.offset, "unexpected end of template: '", open_tags_.back(),
            "' is not closed by '", *std::prev(ends.end()), "'");
  }
  if (drop_end) advance();
  return result;
}

Body Parser::body(std::initializer_list<std::string_view> ends) {
  Body result;
  while (token_.kind != TokenKind::end) {
    const uint32_t offset = token_.offset;
    if (token_.kind == TokenKind::data) {
      auto* text = add<TextNode>(StatementKind::text, offset);
      text->text = take().text;
      result.push_back(text);
    } else if (token_.kind == TokenKind::variable_begin) {
      advance();
      auto* print = add<PrintNode>(StatementKind::print, offset);
      print->values.push_back(tuple());
      expect_kind(TokenKind::variable_end);
      result.push_back(print);
    } else {
      expect_kind(TokenKind::block_begin);
      const bool ended = token_.kind == TokenKind::name &&
                         std::find(ends.begin(), ends.end(), token_.text) != ends.end();
      if (ended) return result;
      result.push_back(statement());
      expect_kind(TokenKind::block_end);
    }
  }
  return result;
}

void Parser::fail_unknown_tag(const Token& name) const {
  if (open_tags_.empty()) {
    fail_at(name.offset, "unknown tag '", printable(name.text, 40), "'");
  }
  fail_at(name.offset, "unknown tag '", printable(name.text, 40), "'; the innermost open tag is '",
          open_tags_.back(), "'");
}

const Statement* Parser::statement() {
  if (token_.kind != TokenKind::name) fail_here("the name of a tag");
  const Token name = take();
  const uint32_t at = name.offset;
  const std::string& tag = name.text;
  if (tag == "print") return print(at);
  if (tag == "break") return jump(at, StatementKind::break_loop);
  if (tag == "continue") return jump(at, StatementKind::continue_loop);
  static constexpr std::string_view kNeedFiles[] = {"include", "import", "from", "extends"};
  if (std::find(std::begin(kNeedFiles), std::end(kNeedFiles), tag) != std::end(kNeedFiles)) {
    fail_at(at, "tag '", tag, "' needs other templates, which a chat template cannot have");
  }
  struct Popper {  // also when a Failure passes: the names must match the tags
    std::vector<std::string>& tags;
    ~Popper() { tags.pop_back(); }
  };
  const auto parse = [&](auto member, auto... more) {
    open_tags_.push_back(tag);
    Popper popper{open_tags_};
    return (this->*member)(at, more...);
  };
  if (tag == "if") return parse(&Parser::branch);
  if (tag == "for") return parse(&Parser::loop);
  if (tag == "set") return parse(&Parser::assign);
  if (tag == "macro") return parse(&Parser::macro);
  if (tag == "call") return parse(&Parser::call_block);
  if (tag == "filter") return parse(&Parser::filter_block);
  if (tag == "with") return parse(&Parser::with);
  if (tag == "generation" || tag == "block") return parse(&Parser::scope, std::string_view(tag));
  fail_unknown_tag(name);
}

const Statement* Parser::print(uint32_t offset) {
  auto* node = add<PrintNode>(StatementKind::print, offset);
  while (token_.kind != TokenKind::block_end) {
    if (!node->values.empty()) expect(",");
    node->values.push_back(expression());
  }
  return node;
}

const Statement* Parser::jump(uint32_t offset, StatementKind kind) {
  if (loops_ == 0) fail_at(offset, "break and continue belong into a loop");
  return add<Statement>(kind, offset);
}

const Statement* Parser::branch(uint32_t offset) {
  auto* node = add<BranchNode>(StatementKind::branch, offset);
  for (;;) {
    const Expr* condition = tuple(false);
    node->branches.emplace_back(condition, body_until({"elif", "else", "endif"}, false));
    const Token end = take();
    if (end.text == "elif") continue;
    if (end.text == "else") node->otherwise = body_until({"endif"});
    return node;
  }
}

const Statement* Parser::loop(uint32_t offset) {
  auto* node = add<ForNode>(StatementKind::loop, offset);
  ++loops_;  // the target, too, must not be "loop"
  node->target = target(false, "in");
  --loops_;
  expect_name("in");
  node->iterable = tuple(false, false, "recursive");
  if (skip_name("if")) node->condition = expression();
  node->recursive = skip_name("recursive");
  ++loops_;
  node->body = body_until({"else", "endfor"}, false);
  --loops_;
  if (take().text == "else") node->otherwise = body_until({"endfor"});
  return node;
}

const Statement* Parser::assign(uint32_t offset) {
  const Expr* to = target(true);
  if (skip("=")) {
    auto* node = add<AssignNode>(StatementKind::assign, offset);
    node->target = to;
    node->value = tuple();
    return node;
  }
  auto* node = add<CaptureNode>(StatementKind::assign_block, offset);
  node->target = to;
  node->filter = filter(nullptr);
  node->body = body_until({"endset"});
  return node;
}

const Statement* Parser::filter_block(uint32_t offset) {
  auto* node = add<CaptureNode>(StatementKind::filter_block, offset);
  node->filter = filter(nullptr, true);
  node->body = body_until({"endfilter"});
  return node;
}

void Parser::signature(MacroNode* node) {
  expect("(");
  while (!token_.is(")")) {
    if (!node->parameters.empty()) expect(",");
    const uint32_t offset = token_.offset;
    node->parameters.push_back(target_name());
    if (skip("=")) {
      node->defaults.push_back(expression());
    } else if (!node->defaults.empty()) {
      fail_at(offset, "non-default argument follows default argument");
    }
  }
  advance();
}

void Parser::macro_body(MacroNode* node, std::string_view end) {
  macros_.push_back(node);
  const int loops = std::exchange(loops_, 0);
  node->body = body_until({end});
  loops_ = loops;
  macros_.pop_back();
}

const Statement* Parser::macro(uint32_t offset) {
  auto* node = add<MacroNode>(StatementKind::macro, offset);
  node->id = target_name();
  node->name = syntax_.names[node->id];
  signature(node);
  macro_body(node, "endmacro");
  return node;
}

const Statement* Parser::call_block(uint32_t offset) {
  auto* node = add<MacroNode>(StatementKind::call_block, offset);
  if (token_.is("(")) signature(node);
  node->call = expression();
  if (node->call->kind != ExprKind::call) fail_at(node->call->offset, "expected a call");
  macro_body(node, "endcall");
  return node;
}

const Statement* Parser::scope(uint32_t offset, std::string_view tag) {
  auto* node = add<ScopeNode>(StatementKind::scope, offset);
  const int loops = std::exchange(loops_, 0);
  if (tag == "block") {
    const std::string name = expect_name().text;
    skip_name("scoped");
    if (token_.is_name("required")) fail_at(token_.offset, "a required block has no content");
    node->body = body_until({"endblock"});
    skip_name(name);
  } else {
    node->body = body_until({"endgeneration"});
  }
  loops_ = loops;
  return node;
}

const Statement* Parser::with(uint32_t offset) {
  auto* node = add<WithNode>(StatementKind::with, offset);
  while (token_.kind != TokenKind::block_end) {
    if (!node->variables.empty()) expect(",");
    const Expr* to = target(false);
    expect("=");
    node->variables.emplace_back(to, expression());
  }
  node->body = body_until({"endwith"});
  return node;
}

uint32_t Parser::target_name() {
  const Token name = expect_name();
  static constexpr std::string_view kConstants[] = {"true",  "True", "false",
                                                    "False", "none", "None"};
  if (std::find(std::begin(kConstants), std::end(kConstants), name.text) != std::end(kConstants)) {
    fail_at(name.offset, "can't assign to '", name.text, "'");
  }
  return syntax_.intern(name.text);
}

const Expr* Parser::target_item(bool with_namespace) {
  if (with_namespace && token_.kind == TokenKind::name && look().is(".")) {
    const Token name = take();
    advance();
    Expr* expr = make(ExprKind::namespace_target, name.offset);
    expr->id = syntax_.intern(name.text);
    expr->attribute = syntax_.intern(expect_name().text);
    return expr;
  }
  return to_target(primary());
}

// What parsed as an expression must be a name or a tuple of targets.
const Expr* Parser::to_target(const Expr* expr) const {
  if (expr->kind == ExprKind::tuple) {
    for (const Expr* item : expr->items) to_target(item);
  } else if (expr->kind != ExprKind::name) {
    fail_at(expr->offset, "can't assign to this expression");
  } else if (syntax_.names[expr->id] == "loop" && loops_ > 0) {
    fail_at(expr->offset, "can't assign to special loop variable");
  }
  return expr;
}

const Expr* Parser::target(bool with_namespace, std::string_view end_name) {
  const uint32_t offset = token_.offset;
  const Expr* first = target_item(with_namespace);
  if (!token_.is(",")) return first;
  Expr* expr = make(ExprKind::tuple, offset, {first});
  while (skip(",")) {
    const bool end = token_.kind == TokenKind::block_end || token_.is("=") ||
                     (!end_name.empty() && token_.is_name(end_name));
    if (end) break;
    adopt(expr, target_item(with_namespace));
  }
  return expr;
}

}  // namespace awq::jinja
