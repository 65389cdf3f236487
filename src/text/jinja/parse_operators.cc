// Operators, from the loosest to the tightest; one function for each level of precedence.
#include <algorithm>

#include "text/jinja/parser.h"

namespace awq::jinja {

const Expr* Parser::conditional() {
  Level level(*this);
  const Expr* expr = disjunction();
  while (token_.is_name("if")) {
    const uint32_t offset = take().offset;
    const Expr* condition = disjunction();
    const Expr* otherwise = skip_name("else") ? conditional() : nullptr;
    expr = make(ExprKind::conditional, offset, {condition, expr, otherwise});
  }
  return expr;
}

const Expr* Parser::disjunction() {
  const Expr* left = conjunction();
  while (token_.is_name("or")) {
    const uint32_t offset = take().offset;
    const Expr* right = conjunction();
    left = make(ExprKind::disjunction, offset, {left, right});
  }
  return left;
}

const Expr* Parser::conjunction() {
  const Expr* left = negation();
  while (token_.is_name("and")) {
    const uint32_t offset = take().offset;
    const Expr* right = negation();
    left = make(ExprKind::conjunction, offset, {left, right});
  }
  return left;
}

const Expr* Parser::negation() {
  if (!token_.is_name("not")) return comparison();
  Level level(*this);
  const uint32_t offset = take().offset;
  return make(ExprKind::negation, offset, {negation()});
}

const Expr* Parser::comparison() {
  static constexpr std::pair<std::string_view, Comparison> kSigns[] = {
      {"==", Comparison::equal},   {"!=", Comparison::not_equal}, {"<", Comparison::below},
      {"<=", Comparison::at_most}, {">", Comparison::above},      {">=", Comparison::at_least}};
  const Expr* first = sum();
  Expr* expr = nullptr;
  for (;;) {
    Comparison how;
    const auto* found = std::find_if(std::begin(kSigns), std::end(kSigns),
                                     [&](const auto& entry) { return token_.is(entry.first); });
    const uint32_t offset = token_.offset;
    if (found != std::end(kSigns)) {
      how = found->second;
    } else if (token_.is_name("in")) {
      how = Comparison::in;
    } else if (token_.is_name("not") && look().is_name("in")) {
      how = Comparison::not_in;
      advance();
    } else {
      return expr != nullptr ? expr : first;
    }
    advance();
    if (expr == nullptr) expr = make(ExprKind::comparison, offset, {first});
    adopt(expr, sum());
    expr->comparisons.push_back(how);
  }
}

const Expr* Parser::sum() {
  const Expr* left = concatenation();
  while (token_.is("+") || token_.is("-")) {
    const Token sign = take();
    const Expr* right = concatenation();
    Expr* expr = make(ExprKind::arithmetic, sign.offset, {left, right});
    expr->op = sign.is("+") ? Operator::add : Operator::subtract;
    left = expr;
  }
  return left;
}

const Expr* Parser::concatenation() {
  const Expr* first = product();
  if (!token_.is("~")) return first;
  Expr* expr = make(ExprKind::concatenation, token_.offset, {first});
  while (skip("~")) adopt(expr, product());
  return expr;
}

const Expr* Parser::product() {
  const Expr* left = power();
  while (token_.is("*") || token_.is("/") || token_.is("//") || token_.is("%")) {
    const Token sign = take();
    const Expr* right = power();
    Expr* expr = make(ExprKind::arithmetic, sign.offset, {left, right});
    expr->op = sign.is("*")   ? Operator::multiply
               : sign.is("/") ? Operator::divide
               : sign.is("%") ? Operator::modulo
                              : Operator::floor_divide;
    left = expr;
  }
  return left;
}

const Expr* Parser::power() {
  const Expr* left = unary();
  while (token_.is("**")) {
    const uint32_t offset = take().offset;
    const Expr* right = unary();
    Expr* expr = make(ExprKind::arithmetic, offset, {left, right});
    expr->op = Operator::power;
    left = expr;
  }
  return left;
}

const Expr* Parser::unary(bool with_filter) {
  const Expr* expr = nullptr;
  if (token_.is("-") || token_.is("+")) {
    Level level(*this);
    const Token sign = take();
    expr =
        make(sign.is("-") ? ExprKind::negative : ExprKind::positive, sign.offset, {unary(false)});
  } else {
    expr = primary();
  }
  expr = postfix(expr);
  return with_filter ? filters_and_tests(expr) : expr;
}

}  // namespace awq::jinja
