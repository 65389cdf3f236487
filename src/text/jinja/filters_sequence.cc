// Filters over sequences and mappings.
#include "text/jinja/compare.h"
#include "text/jinja/dict.h"
#include "text/jinja/filters.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/print.h"
#include "text/jinja/pytext.h"
#include "text/unicode.h"

namespace awq::jinja {
namespace {

Value none_or(const Bound& bound, size_t i) { return bound.value(i, Value::none()); }

// What an item is sorted and compared by.
Value key_of(Heap& heap, const AttributePath& path, const Value& item, bool case_sensitive,
             const Value* fallback = nullptr) {
  Value key = path.get(heap, item, fallback);
  return case_sensitive ? key : ignore_case(heap, key);
}

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
  const AttributePath path(heap, none_or(bound, 1));
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
  const AttributePath path(heap, none_or(bound, 0));
  Value total = bound.value(1, Value::integer(0));
  if (total.is_string()) fail("sum() can't sum strings");
  const Ref<List> all = iterate(heap, input);
  for (const Value& item : all->items) {
    heap.step();
    total = operate(heap, Operator::add, total, path.get(heap, item));
  }
  return total;
}

Value sort(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  const Bound bound("sort", arguments, {"reverse", "case_sensitive", "attribute"});
  Heap& heap = interpreter.heap();
  // "a,b" sorts by two attributes.
  std::vector<AttributePath> paths;
  if (bound.has(2) && bound[2].is_string()) {
    for (const std::string_view part : split_at(bound[2].text(), ",", -1)) {
      paths.emplace_back(heap, make_text(heap, std::string(part)));
    }
  } else {
    paths.emplace_back(heap, none_or(bound, 2));
  }
  const bool case_sensitive = bound.truth(1, false);
  std::vector<Keyed> keyed;
  const Ref<List> all = iterate(heap, input);
  for (const Value& item : all->items) {
    auto keys = make_list(heap);
    for (const AttributePath& path : paths) {
      keys->push(key_of(heap, path, item, case_sensitive));
    }
    keyed.push_back({list_value(keys), item});
  }
  sort_keyed(heap, keyed, bound.truth(0, false));
  auto sorted = make_list(heap);
  for (Keyed& entry : keyed) sorted->push(std::move(entry.value));
  return list_value(sorted);
}

Value dictsort(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  const Bound bound("dictsort", arguments, {"case_sensitive", "by", "reverse"});
  Heap& heap = interpreter.heap();
  const std::string_view by = bound.text(1, "key");
  if (by != "key" && by != "value") fail("dictsort: sort by either \"key\" or \"value\"");
  require_defined(input);
  if (!input.is(Type::dict)) fail("dictsort needs a mapping, not ", type_name(input));
  const bool case_sensitive = bound.truth(0, false);
  std::vector<Keyed> keyed;
  for (const auto& entry : input.as<Dict>().entries) {
    const Value& key = by == "key" ? entry.key : entry.value;
    keyed.push_back({case_sensitive ? key : ignore_case(heap, key),
                     make_pair(heap, entry.key, entry.value)});
  }
  sort_keyed(heap, keyed, bound.truth(2, false));
  auto sorted = make_list(heap);
  for (Keyed& entry : keyed) sorted->push(std::move(entry.value));
  return list_value(sorted);
}

Value unique(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  const Bound bound("unique", arguments, {"case_sensitive", "attribute"});
  Heap& heap = interpreter.heap();
  const AttributePath path(heap, none_or(bound, 1));
  auto seen = heap.make<Dict>();
  auto kept = make_list(heap);
  const Ref<List> all = iterate(heap, input);
  for (const Value& item : all->items) {
    const Value key = key_of(heap, path, item, bound.truth(0, false));
    if (seen->find(key) != nullptr) continue;
    seen->set(key, Value::none());
    kept->push(item);
  }
  return make_iterator(heap, kept);
}

template <bool kMax>
Value extreme(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  const Bound bound(kMax ? "max" : "min", arguments, {"case_sensitive", "attribute"});
  Heap& heap = interpreter.heap();
  const AttributePath path(heap, none_or(bound, 1));
  const Ref<List> all = iterate(heap, input);
  if (all->items.empty()) return make_undefined(heap, "No aggregated item, sequence was empty.");
  Keyed best;
  bool begun = false;
  for (const Value& item : all->items) {
    const Value key = key_of(heap, path, item, bound.truth(0, false));
    const bool better = !begun || order(heap, key, best.key, kMax ? ">" : "<") ==
                                      (kMax ? Order::above : Order::below);
    if (better) best = {key, item};
    begun = true;
  }
  return best.value;
}

Value groupby(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  const Bound bound("groupby", arguments, {"attribute", "default", "case_sensitive"});
  Heap& heap = interpreter.heap();
  const AttributePath path(heap, bound.required(0));
  const Value* fallback = bound.has_value(1) ? &bound[1] : nullptr;
  const bool case_sensitive = bound.truth(2, false);
  std::vector<Keyed> keyed;
  const Ref<List> all = iterate(heap, input);
  for (const Value& item : all->items) {
    keyed.push_back({key_of(heap, path, item, case_sensitive, fallback), item});
  }
  sort_keyed(heap, keyed, false);
  auto groups = make_list(heap);
  for (size_t begin = 0, end = 0; begin < keyed.size(); begin = end) {
    auto members = make_list(heap);
    for (end = begin; end < keyed.size() && equal(heap, keyed[end].key, keyed[begin].key); ++end) {
      members->push(keyed[end].value);
    }
    if (end == begin) members->push(keyed[end++].value);  // NaN, which equals nothing
    auto group = make_list(heap);
    group->push(path.get(heap, keyed[begin].value, fallback));
    group->push(list_value(members));
    group->group = true;
    groups->push(tuple_value(group));
  }
  return list_value(groups);
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

constexpr Filter kFilters[] = {
    {"batch", batch},
    {"count", length},
    {"dictsort", dictsort},
    {"first", first},
    {"groupby", groupby},
    {"items", items},
    {"join", join},
    {"last", last},
    {"length", length},
    {"list", list},
    {"max", extreme<true>},
    {"min", extreme<false>},
    {"reverse", reverse},
    {"slice", slice},
    {"sort", sort},
    {"sum", sum},
    {"unique", unique},
};

}  // namespace

std::span<const Filter> sequence_filters() { return kFilters; }

}  // namespace awq::jinja
