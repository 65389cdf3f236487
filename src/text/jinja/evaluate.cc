// Expressions.
#include "text/jinja/attributes.h"
#include "text/jinja/compare.h"
#include "text/jinja/dict.h"
#include "text/jinja/filters.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/print.h"

namespace awq::jinja {

Value Interpreter::evaluate(const Expr& expr, const Ref<Scope>& scope) {
  Level level(*this);
  heap_.step();
  try {
    return evaluate_inner(expr, scope);
  } catch (Failure& failure) {
    if (failure.offset == kNoOffset) failure.offset = expr.offset;
    throw;
  }
}

Value Interpreter::evaluate_inner(const Expr& expr, const Ref<Scope>& scope) {
  const auto operand = [&](size_t i) { return evaluate(*expr.items[i], scope); };
  switch (expr.kind) {
    case ExprKind::constant: return constant(expr.id);
    case ExprKind::name: return lookup(expr.id, scope);
    case ExprKind::attribute: return get_attribute(heap_, operand(0), syntax_.names[expr.id]);
    case ExprKind::item: return item(expr, scope);
    case ExprKind::slice: fail("a slice stands outside of its brackets");
    case ExprKind::list:
    case ExprKind::tuple: return collection(expr, scope);
    case ExprKind::dict: return dictionary(expr, scope);
    case ExprKind::call: return call_expr(expr, scope);
    case ExprKind::filter: return apply_filter(expr, operand(0), scope);
    case ExprKind::test: return apply_test(expr, scope);
    case ExprKind::negation: return Value::boolean(!truthy(operand(0)));
    case ExprKind::negative:
    case ExprKind::positive: {
      const Value value = operand(0);
      require_defined(value);
      if (!value.is_number()) fail("bad operand type for unary sign: '", type_name(value), "'");
      const bool negative = expr.kind == ExprKind::negative;
      if (value.is(Type::real)) return Value::real(negative ? -value.as_real() : value.as_real());
      return Value::integer(negative ? negate(value.as_integer()) : value.as_integer());
    }
    case ExprKind::arithmetic: {
      const Value left = operand(0);
      return operate(heap_, expr.op, left, operand(1));
    }
    case ExprKind::comparison: return compare(expr, scope);
    case ExprKind::conjunction: {
      Value left = operand(0);
      return truthy(left) ? operand(1) : left;
    }
    case ExprKind::disjunction: {
      Value left = operand(0);
      return truthy(left) ? left : operand(1);
    }
    case ExprKind::concatenation: return concatenate(expr, scope);
    case ExprKind::conditional: return conditional(expr, scope);
    case ExprKind::namespace_target: break;
  }
  fail("this cannot be evaluated");
}

Value Interpreter::constant(uint32_t id) {
  Value& value = constants_[id];
  if (!value.is_undefined()) return value;
  struct Maker {
    Heap& heap;
    Value operator()(std::monostate) const { return Value::none(); }
    Value operator()(bool flag) const { return Value::boolean(flag); }
    Value operator()(int64_t number) const { return Value::integer(number); }
    Value operator()(double number) const { return Value::real(number); }
    Value operator()(const std::string& text) const { return make_text(heap, text); }
  };
  value = std::visit(Maker{heap_}, syntax_.constants[id]);
  return value;
}

Value Interpreter::lookup(uint32_t name, const Ref<Scope>& scope) {
  for (const Scope* at = scope.get(); at != nullptr; at = at->parent.get()) {
    heap_.step(1 + at->variables.size() / 16);
    if (const Value* found = at->find(name)) return *found;
  }
  return make_undefined(heap_, cat("'", printable(syntax_.names[name], 60), "' is undefined"));
}

Value Interpreter::item(const Expr& expr, const Ref<Scope>& scope) {
  const Value object = evaluate(*expr.items[0], scope);
  const Expr& key = *expr.items[1];
  if (key.kind != ExprKind::slice) return get_item(heap_, object, evaluate(key, scope));
  const auto bound = [&](size_t i) {
    return key.items[i] == nullptr ? Value::none() : evaluate(*key.items[i], scope);
  };
  const Value start = bound(0), stop = bound(1);
  return get_slice(heap_, object, start, stop, bound(2));
}

Value Interpreter::collection(const Expr& expr, const Ref<Scope>& scope) {
  auto list = make_list(heap_);
  for (const Expr* part : expr.items) list->push(evaluate(*part, scope));
  return Value(expr.kind == ExprKind::list ? Type::list : Type::tuple, list);
}

Value Interpreter::dictionary(const Expr& expr, const Ref<Scope>& scope) {
  auto dict = heap_.make<Dict>();
  for (size_t i = 0; i + 1 < expr.items.size(); i += 2) {
    Value key = evaluate(*expr.items[i], scope);
    dict->set(std::move(key), evaluate(*expr.items[i + 1], scope));
  }
  return Value(Type::dict, dict);
}

Value Interpreter::concatenate(const Expr& expr, const Ref<Scope>& scope) {
  std::string text;
  for (const Expr* part : expr.items) append_str(heap_, text, evaluate(*part, scope));
  return make_text(heap_, std::move(text));
}

Value Interpreter::conditional(const Expr& expr, const Ref<Scope>& scope) {
  if (truthy(evaluate(*expr.items[0], scope))) return evaluate(*expr.items[1], scope);
  if (expr.items[2] != nullptr) return evaluate(*expr.items[2], scope);
  return make_undefined(heap_,
                        "the inline if-expression evaluated to false and no else section "
                        "was defined.");
}

Value Interpreter::compare(const Expr& expr, const Ref<Scope>& scope) {
  Value left = evaluate(*expr.items[0], scope);
  for (size_t i = 0; i < expr.comparisons.size(); ++i) {
    Value right = evaluate(*expr.items[i + 1], scope);
    bool holds = false;
    const auto in_order = [&](const char* sign) { return order(heap_, left, right, sign); };
    switch (expr.comparisons[i]) {
      case Comparison::equal: holds = equal(heap_, left, right); break;
      case Comparison::not_equal: holds = !equal(heap_, left, right); break;
      case Comparison::below: holds = in_order("<") == Order::below; break;
      case Comparison::above: holds = in_order(">") == Order::above; break;
      case Comparison::at_most: {
        const Order found = in_order("<=");
        holds = found == Order::below || found == Order::equal;
        break;
      }
      case Comparison::at_least: {
        const Order found = in_order(">=");
        holds = found == Order::above || found == Order::equal;
        break;
      }
      case Comparison::in: holds = contains(heap_, right, left); break;
      case Comparison::not_in: holds = !contains(heap_, right, left); break;
    }
    if (!holds) return Value::boolean(false);
    left = std::move(right);
  }
  return Value::boolean(true);
}

Value Interpreter::apply_filter(const Expr& expr, Value input, const Ref<Scope>& scope) {
  const Arguments arguments = evaluate_arguments(expr.arguments.get(), scope);
  return expr.filter->apply(*this, input, arguments);
}

// The filters of a block: the innermost has no input of its own.
Value Interpreter::apply_block_filter(const Expr& expr, const Value& input,
                                      const Ref<Scope>& scope) {
  const Value inner_value =
      expr.items[0] == nullptr ? input : apply_block_filter(*expr.items[0], input, scope);
  try {
    return apply_filter(expr, inner_value, scope);
  } catch (Failure& failure) {
    if (failure.offset == kNoOffset) failure.offset = expr.offset;
    throw;
  }
}

Value Interpreter::apply_test(const Expr& expr, const Ref<Scope>& scope) {
  const Value value = evaluate(*expr.items[0], scope);
  const Arguments arguments = evaluate_arguments(expr.arguments.get(), scope);
  return Value::boolean(expr.test->holds(*this, value, arguments));
}

}  // namespace awq::jinja
