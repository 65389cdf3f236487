// The tests of "is": what a value is, and how it compares.
#include <algorithm>

#include "text/jinja/compare.h"
#include "text/jinja/dict.h"
#include "text/jinja/filters.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/print.h"
#include "text/jinja/pytext.h"

namespace awq::jinja {
namespace {

template <bool (*Holds)(const Value&)>
bool plain(Interpreter&, const Value& value, const Arguments& arguments) {
  if (!arguments.empty()) fail("this test takes no arguments");
  return Holds(value);
}

template <Type kType>
bool has_type(const Value& value) {
  return value.is(kType);
}

bool is_defined(const Value& value) { return !value.is_undefined(); }
bool is_true(const Value& value) { return value.is(Type::boolean) && value.as_integer() != 0; }
bool is_false(const Value& value) { return value.is(Type::boolean) && value.as_integer() == 0; }
bool is_number(const Value& value) { return value.is_number(); }
bool is_escaped(const Value& value) { return value.is_markup(); }

bool is_callable(const Value& value) {
  switch (value.type()) {
    case Type::undefined:  // has __call__, which fails
    case Type::function:
    case Type::macro:
    case Type::loop:
    case Type::joiner: return true;
    default: return false;
  }
}

bool is_sequence(const Value& value) {
  switch (value.type()) {
    case Type::undefined:
    case Type::string:
    case Type::list:
    case Type::tuple:
    case Type::dict:
    case Type::range: return true;
    default: return false;
  }
}

template <bool kUpper>
bool has_case(Interpreter& interpreter, const Value& value, const Arguments& arguments) {
  const Bound bound("the test", arguments, {});
  const Value text = str_value(interpreter.heap(), value);
  interpreter.heap().step_bytes(text.text().size());
  return is_cased(text.text(), kUpper);
}

bool remainder_is(Heap& heap, const Value& value, const Value& divisor, int64_t rest) {
  return equal(heap, operate(heap, Operator::modulo, value, divisor), Value::integer(rest));
}

template <int64_t kRest>
bool parity(Interpreter& interpreter, const Value& value, const Arguments& arguments) {
  const Bound bound("the test", arguments, {});
  return remainder_is(interpreter.heap(), value, Value::integer(2), kRest);
}

bool divisible(Interpreter& interpreter, const Value& value, const Arguments& arguments) {
  const Bound bound("divisibleby", arguments, {"num"});
  return remainder_is(interpreter.heap(), value, bound.required(0), 0);
}

bool same(Interpreter&, const Value& value, const Arguments& arguments) {
  const Bound bound("sameas", arguments, {"other"});
  return same_object(value, bound.required(0));
}

bool member(Interpreter& interpreter, const Value& value, const Arguments& arguments) {
  const Bound bound("in", arguments, {"seq"});
  return contains(interpreter.heap(), bound.required(0), value);
}

template <bool kEqual>
bool equality(Interpreter& interpreter, const Value& value, const Arguments& arguments) {
  const Bound bound("the test", arguments, {"other"});
  return equal(interpreter.heap(), value, bound.required(0)) == kEqual;
}

template <Order kOrder, bool kOrEqual>
bool ordered(Interpreter& interpreter, const Value& value, const Arguments& arguments) {
  const Bound bound("the test", arguments, {"other"});
  const char* sign = kOrder == Order::below ? (kOrEqual ? "<=" : "<") : kOrEqual ? ">=" : ">";
  const Order found = order(interpreter.heap(), value, bound.required(0), sign);
  return found == kOrder || (kOrEqual && found == Order::equal);
}

template <class Entry, const Entry* (*Find)(std::string_view)>
bool names(Interpreter& interpreter, const Value& value, const Arguments& arguments) {
  const Bound bound("the test", arguments, {});
  hash_value(interpreter.heap(), value);  // fails for what could be no key of a table
  return value.is_string() && Find(value.text()) != nullptr;
}

constexpr Test kTests[] = {
    {"boolean", plain<has_type<Type::boolean>>},
    {"callable", plain<is_callable>},
    {"defined", plain<is_defined>},
    {"divisibleby", divisible},
    {"escaped", plain<is_escaped>},
    {"even", parity<0>},
    {"false", plain<is_false>},
    {"filter", names<Filter, find_filter>},
    {"float", plain<has_type<Type::real>>},
    {"in", member},
    {"integer", plain<has_type<Type::integer>>},
    {"iterable", plain<is_iterable>},
    {"lower", has_case<false>},
    {"mapping", plain<has_type<Type::dict>>},
    {"none", plain<has_type<Type::none>>},
    {"number", plain<is_number>},
    {"odd", parity<1>},
    {"sameas", same},
    {"sequence", plain<is_sequence>},
    {"string", plain<has_type<Type::string>>},
    {"test", names<Test, find_test>},
    {"true", plain<is_true>},
    {"undefined", plain<has_type<Type::undefined>>},
    {"upper", has_case<true>},
    {"==", equality<true>},
    {"eq", equality<true>},
    {"equalto", equality<true>},
    {"!=", equality<false>},
    {"ne", equality<false>},
    {">", ordered<Order::above, false>},
    {"gt", ordered<Order::above, false>},
    {"greaterthan", ordered<Order::above, false>},
    {">=", ordered<Order::above, true>},
    {"ge", ordered<Order::above, true>},
    {"<", ordered<Order::below, false>},
    {"lt", ordered<Order::below, false>},
    {"lessthan", ordered<Order::below, false>},
    {"<=", ordered<Order::below, true>},
    {"le", ordered<Order::below, true>},
};

}  // namespace

const Test* find_test(std::string_view name) {
  const auto* found = std::find_if(std::begin(kTests), std::end(kTests),
                                   [&](const Test& test) { return test.name == name; });
  return found == std::end(kTests) ? nullptr : found;
}

}  // namespace awq::jinja
