// Values as text: str(), repr() and JSON.
#pragma once

#include <string>
#include <string_view>

#include "text/jinja/value.h"

namespace awq::jinja {

/// str(value), appended. Fails when `out` would exceed the limit on strings.
void append_str(Heap& heap, std::string& out, const Value& value);
void append_value_repr(Heap& heap, std::string& out, const Value& value);
std::string to_str(Heap& heap, const Value& value);

/// The value itself when it is a string, else str(value) as one.
Value str_value(Heap& heap, const Value& value);

struct JsonStyle {
  bool ascii = false, sort_keys = false;
  bool lines = false;  ///< an indent was given
  std::string indent;  ///< of one level
  std::string item_separator = ", ", key_separator = ": ";
};

/// json.dumps(value)
std::string to_json(Heap& heap, const Value& value, const JsonStyle& style);

}  // namespace awq::jinja
