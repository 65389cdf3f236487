// Python's numbers: how they print, parse and compute. Integers have 64 bits here; what would
// need more is an error, never a wrap.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "text/jinja/value.h"

namespace awq::jinja {

void append_float(std::string& out, double value);  ///< repr(value)

/// int(text, base); nullopt when the text is no integer, an error when it is too large.
std::optional<int64_t> parse_integer(std::string_view text, int64_t base = 10);
std::optional<double> parse_float(std::string_view text);  ///< float(text)

/// int(value) of a float; fails for infinities, NaN and what does not fit.
int64_t truncate_float(double value);

double round_float(double value, int64_t digits);  ///< round(value, digits)
int64_t round_integer(int64_t value, int64_t digits);

enum class Operator : uint8_t { add, subtract, multiply, divide, floor_divide, modulo, power };
const char* sign(Operator op);

/// Both must be numbers.
Value compute(Operator op, const Value& a, const Value& b);

int64_t negate(int64_t value);

}  // namespace awq::jinja
