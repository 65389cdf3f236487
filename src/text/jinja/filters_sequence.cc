// Filters over sequences and mappings.
#include "text/jinja/dict.h"
#include "text/jinja/filters.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/print.h"
#include "text/jinja/pytext.h"
#include "text/unicode.h"

namespace awq::jinja {
namespace {

Value length(Interpreter&, const Value& input, const Arguments& arguments) {
  const Bound bound("length", arguments, {});
  return Value::integer(length_of(input));
}

Value list(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  const Bound bound("list", arguments, {});
  return list_value(iterate(interpreter.heap(), input));
}

Value items(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  const Bound bound("items", arguments, {});
  Heap& heap = interpreter.heap();
  auto pairs = make_list(heap);
  if (input.is_undefined()) return make_iterator(heap, pairs);
  if (!input.is(Type::dict)) fail("can only get item pairs from a mapping");
  for (const auto& entry : input.as<Dict>().entries) {
    pairs->push(make_pair(heap, entry.key, entry.value));
  }
  return make_iterator(heap, pairs);
}

Value first(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  const Bound bound("first", arguments, {});
  Heap& heap = interpreter.heap();
  if (input.is(Type::iterator)) {  // takes one item, the others stay
    Iterator& iterator = input.as<Iterator>();
    if (iterator.next < iterator.list->items.size()) return iterator.list->items[iterator.next++];
  } else if (input.is_string()) {
    const std::string_view text = input.text();
    if (!text.empty()) return make_text(heap, std::string(text.substr(0, character_size(text, 0))));
  } else if (const Ref<List> all = iterate(heap, input); !all->items.empty()) {
    return all->items.front();
  }
  return make_undefined(heap, "No first item, sequence was empty.");
}

Value last(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  const Bound bound("last", arguments, {});
  Heap& heap = interpreter.heap();
  if (input.is(Type::iterator)) fail("'generator' object is not reversible");
  if (input.is_string()) {
    const std::string_view text = input.text();
    if (!text.empty()) {
      return make_text(heap, std::string(text.substr(previous_character(text, text.size()))));
    }
  } else if (const Ref<List> all = iterate(heap, input); !all->items.empty()) {
    return all->items.back();
  }
  return make_undefined(heap, "No last item, sequence was empty.");
}

Value reverse(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  const Bound bound("reverse", arguments, {});
  Heap& heap = interpreter.heap();
  if (input.is_string()) {
    const std::string_view text = input.text();
    heap.step_bytes(2 * text.size());
    std::string out;
    for (size_t end = text.size(); end > 0;) {
      const size_t begin = previous_character(text, end);
      out += text.substr(begin, end - begin);
      end = begin;
    }
    return make_text(heap, std::move(out), input.as<String>().markup);
  }
  const Ref<List> all = iterate(heap, input);
  auto reversed = make_list(heap);
  for (size_t i = all->items.size(); i > 0; --i) reversed->push(all->items[i - 1]);
  return input.is(Type::iterator) ? list_value(reversed) : make_iterator(heap, reversed);
}

Value join(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  const Bound bound("join", arguments, {"d", "attribute"});
  Heap& heap = interpreter.heap();
  const Value separator = bound.has(0) ? str_value(heap, bound[0]) : make_text(heap, {});
  const AttributePath path(heap, bound.value(1, Value::none()));
  const Ref<List> all = iterate(heap, input);
  std::string out;
  bool begun = false;
  for (const Value& item : all->items) {
    heap.step();
    if (std::exchange(begun, true)) append_str(heap, out, separator);
    append_str(heap, out, path.get(heap, item));
  }
  return make_text(heap, std::move(out));
}

Value sum(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  const Bound bound("sum", arguments, {"attribute", "start"});
  Heap& heap = interpreter.heap();
  const AttributePath path(heap, bound.value(0, Value::none()));
  Value total = bound.value(1, Value::integer(0));
  if (total.is_string()) fail("sum() can't sum strings");
  const Ref<List> all = iterate(heap, input);
  for (const Value& item : all->items) {
    heap.step();
    total = operate(heap, Operator::add, total, path.get(heap, item));
  }
  return total;
}

Value batch(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  const Bound bound("batch", arguments, {"linecount", "fill_with"});
  Heap& heap = interpreter.heap();
  bound.required(0);
  const int64_t count = bound.integer(0, 0);
  const Ref<List> all = iterate(heap, input);
  auto rows = make_list(heap);
  auto row = make_list(heap);
  for (const Value& item : all->items) {
    if (static_cast<int64_t>(row->items.size()) == count) {
      rows->push(list_value(row));
      row = make_list(heap);
    }
    row->push(item);
  }
  if (!row->items.empty()) {
    while (bound.has_value(1) && static_cast<int64_t>(row->items.size()) < count) {
      row->push(bound[1]);
    }
    rows->push(list_value(row));
  }
  return make_iterator(heap, rows);
}

Value slice(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  const Bound bound("slice", arguments, {"slices", "fill_with"});
  Heap& heap = interpreter.heap();
  bound.required(0);
  const int64_t slices = bound.integer(0, 0);
  if (slices == 0) fail("slice: integer division or modulo by zero");
  const Ref<List> all = iterate(heap, input);
  const auto size = static_cast<int64_t>(all->items.size());
  auto columns = make_list(heap);
  size_t at = 0;
  for (int64_t i = 0; i < slices; ++i) {
    heap.step();
    const bool extra = i < size % slices;
    auto column = make_list(heap);
    for (int64_t n = size / slices + (extra ? 1 : 0); n > 0; --n) column->push(all->items[at++]);
    if (bound.has_value(1) && !extra) column->push(bound[1]);
    columns->push(list_value(column));
  }
  return make_iterator(heap, columns);
}

constexpr Filter kSequenceFilters[] = {
    {"batch", batch},     {"count", length}, {"first", first},   {"items", items},
    {"join", join},       {"last", last},    {"length", length}, {"list", list},
    {"reverse", reverse}, {"slice", slice},  {"sum", sum},
};

}  // namespace

std::span<const Filter> sequence_filters() { return kSequenceFilters; }

}  // namespace awq::jinja
