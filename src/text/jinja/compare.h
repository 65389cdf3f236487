// Equality, order and membership as Python defines them.
#pragma once

#include "text/jinja/value.h"

namespace awq::jinja {

/// Guards a recursion over values: nested deeper than this they are refused.
class Nesting {
 public:
  explicit Nesting(Heap& heap) : heap_(heap) { heap.enter(); }
  Nesting(const Nesting&) = delete;
  Nesting& operator=(const Nesting&) = delete;
  ~Nesting() { heap_.leave(); }

 private:
  Heap& heap_;
};

bool equal(Heap& heap, const Value& a, const Value& b);

/// Below, equal or above zero; unordered (NaN) compares as `above` both ways. Fails for types
/// that have no order.
enum class Order { below, equal, above, unordered };
Order order(Heap& heap, const Value& a, const Value& b, const char* sign = "<");

/// needle in haystack
bool contains(Heap& heap, const Value& haystack, const Value& needle);

/// The same object, or equal scalars of one type.
bool same_object(const Value& a, const Value& b);

}  // namespace awq::jinja
