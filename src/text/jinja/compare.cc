#include "text/jinja/compare.h"

#include <algorithm>

#include "text/jinja/dict.h"
#include "text/jinja/pytext.h"

namespace awq::jinja {
namespace {

bool equal_items(Heap& heap, const std::vector<Value>& a, const std::vector<Value>& b) {
  if (a.size() != b.size()) return false;
  Nesting nesting(heap);
  for (size_t i = 0; i < a.size(); ++i) {
    if (!equal(heap, a[i], b[i])) return false;
  }
  return true;
}

bool equal_dicts(Heap& heap, const Dict& a, const Dict& b) {
  if (a.entries.size() != b.entries.size()) return false;
  Nesting nesting(heap);
  for (const auto& entry : a.entries) {
    const Value* other = b.find(entry.key);
    if (other == nullptr || !equal(heap, entry.value, *other)) return false;
  }
  return true;
}

bool equal_ranges(const Range& a, const Range& b) {
  if (a.size != b.size) return false;
  return a.size == 0 || (a.start == b.start && (a.size == 1 || a.step == b.step));
}

// An int64 and a double compare exactly, though not every int64 is a double.
Order order_numbers(const Value& a, const Value& b) {
  if (a.is_integral() && b.is_integral()) {
    const int64_t x = a.as_integer(), y = b.as_integer();
    return x < y ? Order::below : x > y ? Order::above : Order::equal;
  }
  if (a.is(Type::real) && b.is(Type::real)) {
    const double x = a.as_real(), y = b.as_real();
    return x < y ? Order::below : x > y ? Order::above : x == y ? Order::equal : Order::unordered;
  }
  const auto against = [](int64_t x, double y) {
    if (y != y) return Order::unordered;
    if (y >= 0x1p63) return Order::below;
    if (y < -0x1p63) return Order::above;
    const auto whole = static_cast<int64_t>(y);
    if (x != whole) return x < whole ? Order::below : Order::above;
    const double rest = y - static_cast<double>(whole);
    return rest > 0 ? Order::below : rest < 0 ? Order::above : Order::equal;
  };
  if (a.is_integral()) return against(a.as_integer(), b.as_real());
  const Order flipped = against(b.as_integer(), a.as_real());
  if (flipped == Order::below) return Order::above;
  return flipped == Order::above ? Order::below : flipped;
}

Order order_items(Heap& heap, const Value& a, const Value& b, const char* sign) {
  Nesting nesting(heap);
  const auto &x = a.items(), &y = b.items();
  for (size_t i = 0; i < std::min(x.size(), y.size()); ++i) {
    if (!equal(heap, x[i], y[i])) return order(heap, x[i], y[i], sign);
  }
  return x.size() < y.size() ? Order::below : x.size() > y.size() ? Order::above : Order::equal;
}

}  // namespace

bool equal(Heap& heap, const Value& a, const Value& b) {
  heap.step();
  if (a.is_number() && b.is_number()) return order_numbers(a, b) == Order::equal;
  if (a.type() != b.type()) return false;
  switch (a.type()) {
    case Type::undefined:
    case Type::none: return true;
    case Type::string: heap.step_bytes(a.text().size()); return a.text() == b.text();
    case Type::list:
    case Type::tuple: return a.object() == b.object() || equal_items(heap, a.items(), b.items());
    case Type::dict:
      return a.object() == b.object() || equal_dicts(heap, a.as<Dict>(), b.as<Dict>());
    case Type::range: return equal_ranges(a.as<Range>(), b.as<Range>());
    default: return a.object() == b.object();
  }
}

Order order(Heap& heap, const Value& a, const Value& b, const char* sign) {
  heap.step();
  if (a.is_number() && b.is_number()) return order_numbers(a, b);
  if (a.is_string() && b.is_string()) {
    // UTF-8 sorts as its code points do.
    heap.step_bytes(std::min(a.text().size(), b.text().size()));
    const int sign_of = a.text().compare(b.text());
    return sign_of < 0 ? Order::below : sign_of > 0 ? Order::above : Order::equal;
  }
  if (a.type() == b.type() && a.is_list_or_tuple()) return order_items(heap, a, b, sign);
  require_defined(a);
  require_defined(b);
  fail("'", sign, "' not supported between instances of '", type_name(a), "' and '", type_name(b),
       "'");
}

bool contains(Heap& heap, const Value& haystack, const Value& needle) {
  if (haystack.is_string()) {
    if (!needle.is_string()) {
      fail("'in <string>' requires string as left operand, not ", type_name(needle));
    }
    heap.step_bytes(haystack.text().size());
    return find_text(haystack.text(), needle.text()) != std::string_view::npos;
  }
  if (haystack.is(Type::dict)) return haystack.as<Dict>().find(needle) != nullptr;
  if (haystack.is(Type::range) && needle.is_integral()) {
    const Range& range = haystack.as<Range>();
    if (range.size == 0) return false;
    const int64_t low = std::min(range.at(0), range.at(range.size - 1));
    const int64_t high = std::max(range.at(0), range.at(range.size - 1));
    const int64_t x = needle.as_integer();
    if (x < low || x > high) return false;
    const auto distance = static_cast<uint64_t>(x) - static_cast<uint64_t>(low);
    const uint64_t step =
        range.step < 0 ? 0 - static_cast<uint64_t>(range.step) : static_cast<uint64_t>(range.step);
    return distance % step == 0;
  }
  if (!is_iterable(haystack) || haystack.is(Type::loop)) {
    fail("argument of type '", type_name(haystack), "' is not iterable");
  }
  const auto matches = [&](const Value& item) {
    return same_object(needle, item) || equal(heap, needle, item);
  };
  if (haystack.is(Type::iterator)) {  // taken up to the match, and no further
    Iterator& iterator = haystack.as<Iterator>();
    const auto& items = iterator.list->items;
    while (iterator.next < items.size()) {
      if (matches(items[iterator.next++])) return true;
    }
    return false;
  }
  const Ref<List> items = iterate(heap, haystack);
  return std::any_of(items->items.begin(), items->items.end(), matches);
}

bool same_object(const Value& a, const Value& b) {
  if (a.type() != b.type()) return false;
  if (a.is(Type::real)) return a.as_real() == b.as_real();
  if (a.is_integral()) return a.as_integer() == b.as_integer();
  return a.is_undefined() || a.object() == b.object();
}

}  // namespace awq::jinja
