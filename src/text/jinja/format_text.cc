#include "text/jinja/format_text.h"

#include <array>
#include <charconv>
#include <cmath>

#include "text/jinja/number.h"
#include "text/jinja/pytext.h"

namespace awq::jinja {
namespace {

constexpr int64_t kMaxCount = 1000;

std::string integer_digits(int64_t value, char type) {
  std::array<char, 72> text;
  const uint64_t size = value < 0 ? 0 - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
  const int base = type == 'x' || type == 'X' ? 16 : type == 'o' ? 8 : type == 'b' ? 2 : 10;
  std::string digits(text.data(), std::to_chars(text.data(), text.data() + 72, size, base).ptr);
  if (type == 'X') digits = upper(digits);
  return digits;
}

std::string real_digits(double size, char type, int64_t precision) {
  if (!std::isfinite(size)) return std::isnan(size) ? "nan" : "inf";
  std::array<char, 1600> text;
  const char lower_type = static_cast<char>(type | 0x20);
  const auto style = lower_type == 'f' || type == '%' ? std::chars_format::fixed
                     : lower_type == 'e'              ? std::chars_format::scientific
                                                      : std::chars_format::general;
  int digits = precision < 0 ? 6 : static_cast<int>(precision);
  if (style == std::chars_format::general && digits == 0) digits = 1;
  const auto end = std::to_chars(text.data(), text.data() + text.size(), size, style, digits).ptr;
  std::string out(text.data(), end);
  return type >= 'A' && type <= 'Z' ? upper(out) : out;
}

void group_thousands(std::string& digits) {
  const size_t whole = std::min(digits.find_first_not_of("0123456789"), digits.size());
  for (size_t at = whole; at > 3; at -= 3) digits.insert(at - 3, 1, ',');
}

}  // namespace

int64_t parse_count(std::string_view text, size_t& at) {
  int64_t count = 0;
  for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at) {
    count = count * 10 + (text[at] - '0');
    if (count > kMaxCount) fail("a format's width or precision is above ", kMaxCount);
  }
  return count;
}

std::string format_number(const Value& value, const FieldFormat& format) {
  require_defined(value);
  if (!value.is_number()) fail("a number is required, not ", type_name(value));
  const char type = format.type;
  const bool integral = type == 'd' || type == 'i' || type == 'u' || type == 'x' || type == 'X' ||
                        type == 'o' || type == 'b';
  std::string digits;
  bool negative = false;
  if (integral) {
    const int64_t number =
        value.is_integral() ? value.as_integer() : truncate_float(value.as_real());
    negative = number < 0;
    digits = integer_digits(number, type);
    if (format.alternate && type != 'd') digits = cat("0", type, digits);
  } else {
    const double number = value.as_real() * (type == '%' ? 100 : 1);
    negative = std::signbit(number) && !std::isnan(number);
    digits = type == 0 ? std::string() : real_digits(std::fabs(number), type, format.precision);
    if (type == 0) append_float(digits, std::fabs(number));
    if (type == '%') digits += '%';
  }
  if (format.comma) group_thousands(digits);
  const std::string sign = negative ? "-" : format.sign != 0 ? std::string(1, format.sign) : "";
  if (format.align == '=') {
    FieldFormat inner = format;
    inner.width = std::max<int64_t>(format.width - static_cast<int64_t>(sign.size()), 0);
    inner.align = '>';
    return sign + pad_field(digits, inner, '>');
  }
  return pad_field(sign + digits, format, '>');
}

std::string pad_field(std::string text, const FieldFormat& format, char own_align) {
  const auto length = static_cast<int64_t>(count_characters(text));
  if (length >= format.width) return text;
  const char align = format.align != 0 ? format.align : own_align;
  const int64_t missing = format.width - length;
  const int64_t left = align == '<' ? 0 : align == '^' ? missing / 2 : missing;
  std::string out;
  for (int64_t i = 0; i < left; ++i) out += format.fill;
  out += text;
  for (int64_t i = left; i < missing; ++i) out += format.fill;
  return out;
}

}  // namespace awq::jinja
