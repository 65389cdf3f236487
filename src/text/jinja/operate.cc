// Binary operators on values of any type.
#include "text/jinja/interpreter.h"
#include "text/jinja/pytext.h"

namespace awq::jinja {
namespace {

Value add_text(Heap& heap, const Value& a, const Value& b) {
  const String &x = a.as<String>(), &y = b.as<String>();
  heap.check_size(x.text.size() + y.text.size());
  if (x.markup == y.markup) return make_text(heap, cat(x.text, y.text), x.markup);
  // Markup and plain text: the plain side is escaped.
  heap.step_bytes(x.text.size() + y.text.size());
  return make_text(
      heap, x.markup ? cat(x.text, escape_html(y.text)) : cat(escape_html(x.text), y.text), true);
}

Value add_lists(Heap& heap, const Value& a, const Value& b) {
  auto list = make_list(heap);
  for (const Value& item : a.items()) list->push(item);
  for (const Value& item : b.items()) list->push(item);
  return Value(a.type(), list);
}

Value repeat(Heap& heap, const Value& value, int64_t times) {
  const uint64_t count = times > 0 ? static_cast<uint64_t>(times) : 0;
  const bool text = value.is_string();
  const uint64_t size = text ? value.text().size() : value.items().size();
  const uint64_t limit = heap.limits().output_bytes;
  heap.check_size(count == 0 || size == 0 ? 0 : size > limit / count ? limit + 1 : size * count);
  const uint64_t rounds = size == 0 ? 0 : count;
  if (text) {
    std::string out;
    out.reserve(size * rounds);
    for (uint64_t i = 0; i < rounds; ++i) out += value.text();
    return make_text(heap, std::move(out), value.as<String>().markup);
  }
  auto list = make_list(heap);
  for (uint64_t i = 0; i < rounds; ++i) {
    for (const Value& item : value.items()) list->push(item);
  }
  return Value(value.type(), list);
}

}  // namespace

Value operate(Heap& heap, Operator op, const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) return compute(op, a, b);
  if (op == Operator::modulo && a.is_string()) return format_percent(heap, a.text(), b);
  require_defined(a);
  require_defined(b);
  if (op == Operator::add) {
    if (a.is_string() && b.is_string()) return add_text(heap, a, b);
    if (a.type() == b.type() && a.is_list_or_tuple()) return add_lists(heap, a, b);
    if (a.is_string()) {
      fail("can only concatenate str (not \"", type_name(b), "\") to str");
    }
  }
  if (op == Operator::multiply) {
    const auto sequence = [](const Value& value) {
      return value.is_string() || value.is_list_or_tuple();
    };
    if (sequence(a) && b.is_integral()) return repeat(heap, a, b.as_integer());
    if (sequence(b) && a.is_integral()) return repeat(heap, b, a.as_integer());
  }
  fail("unsupported operand type(s) for ", sign(op), ": '", type_name(a), "' and '", type_name(b),
       "'");
}

}  // namespace awq::jinja
