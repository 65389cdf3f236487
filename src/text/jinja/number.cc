#include "text/jinja/number.h"

#include <array>
#include <charconv>
#include <cmath>

#include "text/jinja/pytext.h"

namespace awq::jinja {
namespace {

[[noreturn]] void fail_overflow() { fail("integer overflow (numbers have 64 bits here)"); }

int64_t floor_divide(int64_t a, int64_t b) {
  if (b == 0) fail("integer division or modulo by zero");
  if (b == -1) return negate(a);
  const int64_t quotient = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;
}

int64_t modulo(int64_t a, int64_t b) {
  if (b == 0) fail("integer division or modulo by zero");
  if (b == -1) return 0;  // INT64_MIN % -1 traps
  const int64_t rest = a % b;
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

double float_modulo(double a, double b) {
  if (b == 0) fail("float modulo");
  const double rest = std::fmod(a, b);
  if (rest == 0) return std::copysign(0.0, b);
  return (rest < 0) != (b < 0) ? rest + b : rest;
}

double float_floor_divide(double a, double b) {
  if (b == 0) fail("float floor division by zero");
  const double rest = std::fmod(a, b);
  double quotient = (a - rest) / b;
  if (rest != 0 && (rest < 0) != (b < 0)) quotient -= 1;
  if (quotient == 0) return std::copysign(0.0, a / b);
  const double whole = std::floor(quotient);
  return quotient - whole > 0.5 ? whole + 1 : whole;
}

Value integer_power(int64_t base, int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) fail("0.0 cannot be raised to a negative power");
    return Value::real(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  if (base == 0 || base == 1) return Value::integer(exponent == 0 ? 1 : base);
  if (base == -1) return Value::integer(exponent % 2 == 0 ? 1 : -1);
  int64_t result = 1;
  for (; exponent > 0; --exponent) {  // at most 63 rounds before it overflows
    if (__builtin_mul_overflow(result, base, &result)) fail_overflow();
  }
  return Value::integer(result);
}

Value float_power(double a, double b) {
  if (a == 0 && b < 0) fail("0.0 cannot be raised to a negative power");
  if (a < 0 && b != std::floor(b)) fail("complex numbers are not supported");
  const double result = std::pow(a, b);
  if (std::isinf(result) && std::isfinite(a) && std::isfinite(b)) fail("float overflow in **");
  return Value::real(result);
}

Value compute_integers(Operator op, int64_t a, int64_t b) {
  int64_t result = 0;
  switch (op) {
    case Operator::add:
      if (__builtin_add_overflow(a, b, &result)) fail_overflow();
      break;
    case Operator::subtract:
      if (__builtin_sub_overflow(a, b, &result)) fail_overflow();
      break;
    case Operator::multiply:
      if (__builtin_mul_overflow(a, b, &result)) fail_overflow();
      break;
    case Operator::divide:
      if (b == 0) fail("division by zero");
      return Value::real(static_cast<double>(a) / static_cast<double>(b));
    case Operator::floor_divide: result = floor_divide(a, b); break;
    case Operator::modulo: result = modulo(a, b); break;
    case Operator::power: return integer_power(a, b);
  }
  return Value::integer(result);
}

Value compute_floats(Operator op, double a, double b) {
  switch (op) {
    case Operator::add: return Value::real(a + b);
    case Operator::subtract: return Value::real(a - b);
    case Operator::multiply: return Value::real(a * b);
    case Operator::divide:
      if (b == 0) fail("float division by zero");
      return Value::real(a / b);
    case Operator::floor_divide: return Value::real(float_floor_divide(a, b));
    case Operator::modulo: return Value::real(float_modulo(a, b));
    case Operator::power: return float_power(a, b);
  }
  return {};
}

// Removes the underscores that Python allows between digits; false when one is elsewhere.
bool drop_underscores(std::string& text) {
  std::string out;
  const auto alnum = [&](size_t i) {
    return i < text.size() && std::isalnum(static_cast<unsigned char>(text[i])) != 0;
  };
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      out += text[i];
    } else if (i == 0 || !alnum(i - 1) || !alnum(i + 1)) {
      return false;
    }
  }
  text = std::move(out);
  return true;
}

}  // namespace

const char* sign(Operator op) {
  static constexpr std::array<const char*, 7> kSigns = {"+",  "-", "*",          "/",
                                                        "//", "%", "** or pow()"};
  return kSigns[static_cast<size_t>(op)];
}

int64_t negate(int64_t value) {
  if (value == INT64_MIN) fail_overflow();
  return -value;
}

Value compute(Operator op, const Value& a, const Value& b) {
  if (a.is_integral() && b.is_integral())
    return compute_integers(op, a.as_integer(), b.as_integer());
  return compute_floats(op, a.as_real(), b.as_real());
}

void append_float(std::string& out, double value) {
  if (std::isnan(value)) {
    out += "nan";
    return;
  }
  if (std::isinf(value)) {
    out += value > 0 ? "inf" : "-inf";
    return;
  }
  // The shortest digits that read back, laid out as Python does: 1e+16 and up and below 1e-4 with
  // an exponent, all else without.
  std::array<char, 400> text;
  const double size = std::fabs(value);
  const bool scientific = size != 0 && (size >= 1e16 || size < 1e-4);
  const auto end =
      std::to_chars(text.data(), text.data() + text.size(), value,
                    scientific ? std::chars_format::scientific : std::chars_format::fixed)
          .ptr;
  const std::string_view digits(text.data(), static_cast<size_t>(end - text.data()));
  out += digits;
  if (!scientific && digits.find('.') == digits.npos) out += ".0";
}

std::optional<int64_t> parse_integer(std::string_view text, int64_t base) {
  if (base != 0 && (base < 2 || base > 36)) fail("int() base must be >= 2 and <= 36, or 0");
  std::string digits(strip(text, nullptr));
  bool negative = false;
  size_t at = 0;
  if (!digits.empty() && (digits[0] == '-' || digits[0] == '+')) {
    negative = digits[0] == '-';
    at = 1;
  }
  digits.erase(0, at);
  const auto prefix = [&](char letter, int64_t of) {
    if (digits.size() < 3 || digits[0] != '0' || (digits[1] | 0x20) != letter) return;
    if (base != 0 && base != of) return;
    base = of;
    digits.erase(0, digits[2] == '_' ? 3 : 2);
  };
  prefix('x', 16), prefix('o', 8), prefix('b', 2);
  if (base == 0) {
    if (digits.size() > 1 && digits[0] == '0' && digits.find_first_not_of("0_") != digits.npos) {
      return std::nullopt;
    }
    base = 10;
  }
  if (digits.empty() || digits[0] == '-' || !drop_underscores(digits)) return std::nullopt;
  uint64_t value = 0;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), value, static_cast<int>(base));
  if (error == std::errc::invalid_argument || end != digits.data() + digits.size()) {
    return std::nullopt;
  }
  const uint64_t limit = (uint64_t{1} << 63) - (negative ? 0 : 1);
  if (error != std::errc() || value > limit) fail_overflow();
  return negative ? static_cast<int64_t>(0 - value) : static_cast<int64_t>(value);
}

std::optional<double> parse_float(std::string_view text) {
  std::string digits(strip(text, nullptr));
  if (!digits.empty() && digits[0] == '+') {
    digits.erase(0, 1);
    if (!digits.empty() && digits[0] == '-') return std::nullopt;
  }
  if (digits.find('(') != digits.npos || !drop_underscores(digits))
    return std::nullopt;  // nan(...)
  double value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error == std::errc::invalid_argument || end != digits.data() + digits.size()) {
    return std::nullopt;
  }
  if (error == std::errc::result_out_of_range) {
    // from_chars does not say which end; the exponent's sign does (0.000...1 aside).
    const bool tiny = digits.find("e-") != digits.npos || digits.find("E-") != digits.npos ||
                      digits.find("0.") <= 1;
    const double limit = tiny ? 0.0 : HUGE_VAL;
    return digits[0] == '-' ? -limit : limit;
  }
  return value;
}

int64_t truncate_float(double value) {
  if (std::isnan(value)) fail("cannot convert float NaN to integer");
  if (std::isinf(value)) fail("cannot convert float infinity to integer");
  if (value >= 0x1p63 || value < -0x1p63) fail_overflow();
  return static_cast<int64_t>(value);
}

double round_float(double value, int64_t digits) {
  if (!std::isfinite(value) || digits > 330) return value;
  if (digits < -310) return std::copysign(0.0, value);
  if (digits < 0) {
    const double scale = std::pow(10.0, static_cast<double>(-digits));
    return std::nearbyint(value / scale) * scale;
  }
  // to_chars rounds the exact binary value half to even, as Python's dtoa does.
  std::array<char, 800> text;
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value,
                                 std::chars_format::fixed, static_cast<int>(digits))
                       .ptr;
  double rounded = value;
  std::from_chars(text.data(), end, rounded);
  return rounded;
}

int64_t round_integer(int64_t value, int64_t digits) {
  if (digits >= 0) return value;
  if (digits < -18) return 0;
  int64_t unit = 1;
  for (; digits < 0; ++digits) unit *= 10;
  const int64_t low = floor_divide(value, unit);
  const int64_t rest = modulo(value, unit);
  const bool up = rest > unit / 2 || (rest == unit / 2 && low % 2 != 0);
  int64_t result = 0;
  if (__builtin_mul_overflow(up ? low + 1 : low, unit, &result)) fail_overflow();
  return result;
}

}  // namespace awq::jinja
