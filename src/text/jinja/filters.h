// The filters and tests that a template can name, and what they share.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "text/jinja/objects.h"

namespace awq::jinja {

struct Filter {
  std::string_view name;
  Native apply;
};

struct Test {
  std::string_view name;
  bool (*holds)(Interpreter&, const Value& value, const Arguments& arguments);
};

/// Null when there is none of that name.
const Filter* find_filter(std::string_view name);
const Test* find_test(std::string_view name);

std::span<const Filter> text_filters();
std::span<const Filter> encoding_filters();
std::span<const Filter> number_filters();
std::span<const Filter> sequence_filters();
std::span<const Filter> order_filters();
std::span<const Filter> selection_filters();

/// What an `attribute` argument ("a.b", "0", 1) picks from an item.
class AttributePath {
 public:
  AttributePath(Heap& heap, const Value& attribute);
  Value get(Heap& heap, Value item, const Value* fallback = nullptr) const;

 private:
  std::vector<Value> parts_;
};

/// Strings in lower case, all else as it is.
Value ignore_case(Heap& heap, const Value& value);

/// Stable sort by keys as sorted(key=, reverse=) does it.
struct Keyed {
  Value key, value;
};
void sort_keyed(Heap& heap, std::vector<Keyed>& items, bool reverse);

}  // namespace awq::jinja
