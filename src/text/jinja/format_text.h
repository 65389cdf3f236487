// The numbers and fields of "%5.2f" and "{:>5}".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "text/jinja/value.h"

namespace awq::jinja {

/// One conversion, of either syntax.
struct FieldFormat {
  std::string fill = " ";
  char align = 0;  ///< '<', '>', '^', '=', or 0 for the type's own
  char sign = 0;   ///< '+', ' ' or 0
  bool alternate = false, comma = false;
  int64_t width = 0, precision = -1;
  char type = 0;
};

/// Digits at `at`, advanced past; fails above a bound that no template needs.
int64_t parse_count(std::string_view text, size_t& at);

std::string format_number(const Value& value, const FieldFormat& format);
std::string pad_field(std::string text, const FieldFormat& format, char own_align);

}  // namespace awq::jinja
