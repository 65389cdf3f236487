// Filters that compare items: sort, unique, min, max, groupby.
#include "text/jinja/compare.h"
#include "text/jinja/dict.h"
#include "text/jinja/filters.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/pytext.h"

namespace awq::jinja {
namespace {

// What an item is sorted and compared by.
Value key_of(Heap& heap, const AttributePath& path, const Value& item, bool case_sensitive,
             const Value* fallback = nullptr) {
  Value key = path.get(heap, item, fallback);
  return case_sensitive ? key : ignore_case(heap, key);
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
    paths.emplace_back(heap, bound.value(2, Value::none()));
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
    keyed.push_back(
        {case_sensitive ? key : ignore_case(heap, key), make_pair(heap, entry.key, entry.value)});
  }
  sort_keyed(heap, keyed, bound.truth(2, false));
  auto sorted = make_list(heap);
  for (Keyed& entry : keyed) sorted->push(std::move(entry.value));
  return list_value(sorted);
}

Value unique(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  const Bound bound("unique", arguments, {"case_sensitive", "attribute"});
  Heap& heap = interpreter.heap();
  const AttributePath path(heap, bound.value(1, Value::none()));
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
  const AttributePath path(heap, bound.value(1, Value::none()));
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

constexpr Filter kOrderFilters[] = {
    {"dictsort", dictsort},  {"groupby", groupby}, {"max", extreme<true>},
    {"min", extreme<false>}, {"sort", sort},       {"unique", unique},
};

}  // namespace

std::span<const Filter> order_filters() { return kOrderFilters; }

}  // namespace awq::jinja
