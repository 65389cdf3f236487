// Filters that make numbers, or show them.
#include <cmath>

#include "text/jinja/filters.h"
#include "text/jinja/format_text.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/number.h"

namespace awq::jinja {
namespace {

Value absolute(Interpreter&, const Value& input, const Arguments& arguments) {
  const Bound bound("abs", arguments, {});
  require_defined(input);
  if (!input.is_number()) fail("bad operand type for abs(): '", type_name(input), "'");
  if (input.is(Type::real)) return Value::real(std::fabs(input.as_real()));
  const int64_t value = input.as_integer();
  return Value::integer(value < 0 ? negate(value) : value);
}

// Text and numbers as float() takes them; nothing for what it refuses.
std::optional<double> to_float(const Value& value) {
  if (value.is_number()) return value.as_real();
  return value.is_string() ? parse_float(value.text()) : std::nullopt;
}

Value to_integer(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  const Bound bound("int", arguments, {"default", "base"});
  require_defined(input);
  if (input.is_integral()) return Value::integer(input.as_integer());
  const Value fallback = bound.value(0, Value::integer(0));
  if (input.is(Type::real)) {
    return std::isnan(input.as_real()) ? fallback : Value::integer(truncate_float(input.as_real()));
  }
  if (!input.is_string()) return fallback;
  interpreter.heap().step_bytes(input.text().size());
  const int64_t base = bound.integer(1, 10);
  if (base == 0 || (base >= 2 && base <= 36)) {
    if (const auto value = parse_integer(input.text(), base)) return Value::integer(*value);
  }
  const auto value = to_float(input);  // "42.7" gives 42
  if (!value || !std::isfinite(*value)) return fallback;
  return Value::integer(truncate_float(*value));
}

Value to_real(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  const Bound bound("float", arguments, {"default"});
  require_defined(input);
  if (input.is_string()) interpreter.heap().step_bytes(input.text().size());
  const auto value = to_float(input);
  return value ? Value::real(*value) : bound.value(0, Value::real(0.0));
}

Value round(Interpreter&, const Value& input, const Arguments& arguments) {
  const Bound bound("round", arguments, {"precision", "method"});
  const int64_t digits = bound.integer(0, 0);
  const std::string_view method = bound.text(1, "common");
  if (method != "common" && method != "ceil" && method != "floor") {
    fail("round: method must be common, ceil or floor");
  }
  require_defined(input);
  if (!input.is_number()) fail("round needs a number, not ", type_name(input));
  if (method == "common") {
    return input.is_integral() ? Value::integer(round_integer(input.as_integer(), digits))
                               : Value::real(round_float(input.as_real(), digits));
  }
  const double scale = std::pow(10.0, static_cast<double>(digits));
  const double scaled = input.as_real() * scale;
  if (!std::isfinite(scaled) || scale == 0) fail("round: the number or its precision is too large");
  return Value::real((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale);
}

Value filesizeformat(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  const Bound bound("filesizeformat", arguments, {"binary"});
  require_defined(input);
  const auto bytes = to_float(input);
  if (!bytes) fail("filesizeformat needs a number, not ", type_name(input));
  const bool binary = bound.truth(0, false);
  const double base = binary ? 1024 : 1000;
  Heap& heap = interpreter.heap();
  if (*bytes == 1) return make_text(heap, "1 Byte");
  if (*bytes < base) return make_text(heap, cat(truncate_float(*bytes), " Bytes"));
  static constexpr std::string_view kPrefixes = "kMGTPEZY";
  long double unit = base * base;  // holds powers of 1000 exactly, as Python's integers do
  size_t prefix = 0;
  for (; prefix + 1 < kPrefixes.size() && !(*bytes < unit); ++prefix) unit *= base;
  FieldFormat field;
  field.type = 'f';
  field.precision = 1;
  std::string letters(1, kPrefixes[prefix]);
  if (binary) letters = prefix == 0 ? "Ki" : letters + "i";
  // In the order of Python's operations, so that the last digit rounds alike.
  const std::string digits =
      format_number(Value::real(base * *bytes / static_cast<double>(unit)), field);
  return make_text(heap, cat(digits, " ", letters, "B"));
}

constexpr Filter kNumberFilters[] = {
    {"abs", absolute}, {"filesizeformat", filesizeformat}, {"float", to_real}, {"int", to_integer},
    {"round", round},
};

}  // namespace

std::span<const Filter> number_filters() { return kNumberFilters; }

}  // namespace awq::jinja
