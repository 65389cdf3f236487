// What operators stand between: names, literals, subscripts, calls, filters and tests.
#include "text/jinja/filters.h"
#include "text/jinja/parser.h"

namespace awq::jinja {

const Expr* Parser::tuple(bool with_conditional, bool parenthesized, std::string_view end_name) {
  const uint32_t offset = token_.offset;
  const auto at_end = [&] {
    return token_.kind == TokenKind::variable_end || token_.kind == TokenKind::block_end ||
           token_.is(")") || (!end_name.empty() && token_.is_name(end_name));
  };
  std::vector<const Expr*> items;
  bool is_tuple = false;
  for (;;) {
    if (!items.empty()) expect(",");
    if (at_end()) break;
    items.push_back(with_conditional ? expression() : disjunction());
    if (!token_.is(",")) break;
    is_tuple = true;
  }
  if (!is_tuple) {
    if (!items.empty()) return items[0];
    if (!parenthesized) fail_here("an expression");
  }
  Expr* expr = make(ExprKind::tuple, offset);
  for (const Expr* item : items) adopt(expr, item);
  return expr;
}

const Expr* Parser::primary() {
  if (token_.kind == TokenKind::name) return name_or_constant();
  if (token_.kind == TokenKind::integer || token_.kind == TokenKind::real) return number();
  const uint32_t offset = token_.offset;
  if (token_.kind == TokenKind::string) {
    std::string text;
    while (token_.kind == TokenKind::string) text += take().text;
    return constant(std::move(text), offset);
  }
  if (token_.is("[")) return list();
  if (token_.is("{")) return dict();
  if (!skip("(")) fail_here("an expression");
  const Expr* expr = tuple(true, true);
  expect(")");
  return expr;
}

const Expr* Parser::name_or_constant() {
  const Token name = take();
  const std::string& text = name.text;
  if (text == "true" || text == "True") return constant(true, name.offset);
  if (text == "false" || text == "False") return constant(false, name.offset);
  if (text == "none" || text == "None") return constant(std::monostate(), name.offset);
  for (MacroNode* macro : macros_) {
    if (text == "varargs") macro->uses_varargs = true;
    if (text == "kwargs") macro->uses_kwargs = true;
    if (text == "caller") macro->uses_caller = true;
  }
  Expr* expr = make(ExprKind::name, name.offset);
  expr->id = syntax_.intern(text);
  return expr;
}

const Expr* Parser::number() {
  const Token token = take();
  if (token.kind == TokenKind::real) {
    const auto value = parse_float(token.text);
    if (!value) fail_at(token.offset, "not a number: ", token.text);
    return constant(*value, token.offset);
  }
  try {
    const auto value = parse_integer(token.text, 0);
    if (!value) fail("not a number: ", token.text);
    return constant(*value, token.offset);
  } catch (Failure& failure) {
    failure.offset = token.offset;
    throw;
  }
}

const Expr* Parser::list() {
  Expr* expr = make(ExprKind::list, take().offset);
  while (!token_.is("]")) {
    if (!expr->items.empty()) expect(",");
    if (token_.is("]")) break;
    adopt(expr, expression());
  }
  advance();
  return expr;
}

const Expr* Parser::dict() {
  Expr* expr = make(ExprKind::dict, take().offset);
  while (!token_.is("}")) {
    if (!expr->items.empty()) expect(",");
    if (token_.is("}")) break;
    adopt(expr, expression());
    expect(":");
    adopt(expr, expression());
  }
  advance();
  return expr;
}

const Expr* Parser::postfix(const Expr* expr) {
  for (;;) {
    if (token_.is(".") || token_.is("[")) {
      expr = subscript(expr);
    } else if (token_.is("(")) {
      expr = call(expr);
    } else {
      return expr;
    }
  }
}

const Expr* Parser::filters_and_tests(const Expr* expr) {
  for (;;) {
    if (token_.is("|")) {
      expr = filter(expr);
    } else if (token_.is_name("is")) {
      expr = test(expr);
    } else if (token_.is("(")) {
      expr = call(expr);
    } else {
      return expr;
    }
  }
}

const Expr* Parser::subscript(const Expr* expr) {
  const Token sign = take();
  if (sign.is(".")) {
    if (token_.kind == TokenKind::integer) {
      return make(ExprKind::item, sign.offset, {expr, number()});
    }
    Expr* attribute = make(ExprKind::attribute, sign.offset, {expr});
    attribute->id = syntax_.intern(expect_name().text);
    return attribute;
  }
  std::vector<const Expr*> keys;
  while (!token_.is("]")) {
    if (!keys.empty()) expect(",");
    keys.push_back(subscribed());
  }
  advance();
  if (keys.size() == 1) return make(ExprKind::item, sign.offset, {expr, keys[0]});
  Expr* key = make(ExprKind::tuple, sign.offset);
  for (const Expr* part : keys) adopt(key, part);
  return make(ExprKind::item, sign.offset, {expr, key});
}

const Expr* Parser::subscribed() {
  const uint32_t offset = token_.offset;
  const auto bound = [&]() -> const Expr* {
    return token_.is(":") || token_.is("]") || token_.is(",") ? nullptr : expression();
  };
  const Expr* start = token_.is(":") ? nullptr : expression();
  if (!skip(":")) return start;
  const Expr* stop = bound();
  const Expr* step = skip(":") ? bound() : nullptr;
  return make(ExprKind::slice, offset, {start, stop, step});
}

const Expr* Parser::call(const Expr* expr) {
  Expr* result = make(ExprKind::call, token_.offset, {expr});
  result->arguments = call_arguments(result);
  return result;
}

std::unique_ptr<CallArguments> Parser::call_arguments(Expr* parent) {
  auto arguments = std::make_unique<CallArguments>();
  const uint32_t offset = expect("(").offset;
  const auto require = [&](bool allowed) {
    if (!allowed) fail_at(offset, "invalid syntax for function call expression");
  };
  const auto value = [&] {
    const Expr* expr = expression();
    grow(parent, expr);
    return expr;
  };
  for (bool first = true; !token_.is(")"); first = false) {
    if (!first) {
      expect(",");
      if (token_.is(")")) break;
    }
    if (token_.is("*")) {
      require(arguments->star == nullptr && arguments->double_star == nullptr);
      advance();
      arguments->star = value();
    } else if (token_.is("**")) {
      require(arguments->double_star == nullptr);
      advance();
      arguments->double_star = value();
    } else if (token_.kind == TokenKind::name && look().is("=")) {
      require(arguments->double_star == nullptr);
      std::string name = take().text;
      advance();
      arguments->named.emplace_back(std::move(name), value());
    } else {
      require(arguments->star == nullptr && arguments->double_star == nullptr &&
              arguments->named.empty());
      arguments->positional.push_back(value());
    }
  }
  advance();
  return arguments;
}

std::string Parser::dotted_name() {
  std::string name = expect_name().text;
  while (skip(".")) name += cat(".", expect_name().text);
  return name;
}

const Expr* Parser::filter(const Expr* input, bool first) {
  while (token_.is("|") || first) {
    if (!first) advance();
    first = false;
    Expr* expr = make(ExprKind::filter, token_.offset, {input});
    const std::string name = dotted_name();
    expr->filter = find_filter(name);
    if (expr->filter == nullptr) {
      fail_at(expr->offset, "no filter named '", printable(name, 40), "'");
    }
    if (token_.is("(")) expr->arguments = call_arguments(expr);
    input = expr;
  }
  return input;
}

const Expr* Parser::test(const Expr* input) {
  advance();
  const bool negated = skip_name("not");
  Expr* expr = make(ExprKind::test, token_.offset, {input});
  const std::string name = dotted_name();
  expr->test = find_test(name);
  if (expr->test == nullptr) fail_at(expr->offset, "no test named '", printable(name, 40), "'");
  const bool value_follows = token_.kind == TokenKind::string || token_.kind == TokenKind::real ||
                             token_.kind == TokenKind::integer || token_.is("[") ||
                             token_.is("{") ||
                             (token_.kind == TokenKind::name && !token_.is_name("else") &&
                              !token_.is_name("or") && !token_.is_name("and"));
  if (token_.is("(")) {
    expr->arguments = call_arguments(expr);
  } else if (value_follows) {
    if (token_.is_name("is")) fail_at(token_.offset, "tests cannot be chained with 'is'");
    Level level(*this);
    const Expr* argument = postfix(primary());
    grow(expr, argument);
    expr->arguments = std::make_unique<CallArguments>();
    expr->arguments->positional.push_back(argument);
  }
  return negated ? make(ExprKind::negation, expr->offset, {expr}) : expr;
}

}  // namespace awq::jinja
