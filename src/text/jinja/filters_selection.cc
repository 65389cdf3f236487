// Filters that pick: default, attr, map, select and their kin.
#include "text/jinja/attributes.h"
#include "text/jinja/compare.h"
#include "text/jinja/filters.h"
#include "text/jinja/interpreter.h"

namespace awq::jinja {
namespace {

Value default_value(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  const Bound bound("default", arguments, {"default_value", "boolean"});
  const bool missing = input.is_undefined() || (bound.truth(1, false) && !truthy(input));
  if (!missing) return input;
  return bound.has(0) ? bound[0] : make_text(interpreter.heap(), {});
}

Value attribute(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  const Bound bound("attr", arguments, {"name"});
  bound.required(0);
  const std::string_view name = bound.text(0, "");
  require_defined(input);
  Value result;
  if (name.substr(0, 2) != "__" && find_attribute(interpreter.heap(), input, name, result)) {
    return result;
  }
  return make_undefined(
      interpreter.heap(),
      cat("'", type_name(input), "' object has no attribute '", printable(name, 60), "'"));
}

// The items of what map and select work on. None, 0 and the like count as empty.
Ref<List> given_items(Heap& heap, const Value& input) {
  return truthy(input) ? iterate(heap, input) : make_list(heap);
}

// The name of a filter or test among the arguments, and the arguments that are left for it.
std::string_view take_name(Heap& heap, const Arguments& arguments, size_t at, Arguments& rest) {
  heap.step(arguments.positional.size() + arguments.named.size());
  const Value& name = arguments.positional[at];
  require_defined(name);
  if (!name.is_string()) fail("the name of a filter or test must be a string");
  rest.positional.assign(arguments.positional.begin() + static_cast<ptrdiff_t>(at) + 1,
                         arguments.positional.end());
  rest.named = arguments.named;
  return name.text();
}

Value map_attribute(Heap& heap, const Value& input, const Arguments& arguments) {
  const Bound bound("map", arguments, {"attribute", "default"});
  const AttributePath path(heap, bound[0]);
  const Value* fallback = bound.has_value(1) ? &bound[1] : nullptr;
  auto list = make_list(heap);
  const Ref<List> items = given_items(heap, input);
  for (const Value& item : items->items) list->push(path.get(heap, item, fallback));
  return make_iterator(heap, list);
}

Value map(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  Heap& heap = interpreter.heap();
  const Nesting nesting(heap);  // map may map map
  if (arguments.positional.empty()) {
    if (arguments.find("attribute") == nullptr) fail("map requires a filter argument");
    return map_attribute(heap, input, arguments);
  }
  Arguments rest;
  const std::string_view name = take_name(heap, arguments, 0, rest);
  const Filter* filter = find_filter(name);
  if (filter == nullptr) fail("no filter named '", printable(name, 40), "'");
  auto list = make_list(heap);
  const Ref<List> items = given_items(heap, input);
  for (const Value& item : items->items) {
    heap.step();
    list->push(filter->apply(interpreter, item, rest));
  }
  return make_iterator(heap, list);
}

template <bool kKeep, bool kAttribute>
Value select(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  Heap& heap = interpreter.heap();
  constexpr size_t kName = kAttribute ? 1 : 0;
  if (arguments.positional.size() < kName) fail("missing parameter for attribute name");
  const AttributePath path(heap, kAttribute ? arguments.positional[0] : Value::none());
  const Test* test = nullptr;
  Arguments rest;
  if (arguments.positional.size() > kName) {
    const std::string_view name = take_name(heap, arguments, kName, rest);
    test = find_test(name);
    if (test == nullptr) fail("no test named '", printable(name, 40), "'");
  }
  auto list = make_list(heap);
  const Ref<List> items = given_items(heap, input);
  for (const Value& item : items->items) {
    heap.step();
    const Value value = path.get(heap, item);
    const bool holds = test != nullptr ? test->holds(interpreter, value, rest) : truthy(value);
    if (holds == kKeep) list->push(item);
  }
  return make_iterator(heap, list);
}

constexpr Filter kSelectionFilters[] = {
    {"attr", attribute},
    {"d", default_value},
    {"default", default_value},
    {"map", map},
    {"reject", select<false, false>},
    {"rejectattr", select<false, true>},
    {"select", select<true, false>},
    {"selectattr", select<true, true>},
};

}  // namespace

std::span<const Filter> selection_filters() { return kSelectionFilters; }

}  // namespace awq::jinja
