// The table of filters, and what several of them share.
#include "text/jinja/filters.h"

#include <algorithm>
#include <array>

#include "text/jinja/attributes.h"
#include "text/jinja/compare.h"
#include "text/jinja/number.h"
#include "text/jinja/pytext.h"

namespace awq::jinja {

const Filter* find_filter(std::string_view name) {
  const std::array groups = {text_filters(),     encoding_filters(), number_filters(),
                             sequence_filters(), order_filters(),    selection_filters()};
  for (const std::span<const Filter> group : groups) {
    const auto found = std::find_if(group.begin(), group.end(),
                                    [&](const Filter& filter) { return filter.name == name; });
    if (found != group.end()) return &*found;
  }
  return nullptr;
}

AttributePath::AttributePath(Heap& heap, const Value& attribute) {
  if (attribute.is_none()) return;
  if (!attribute.is_string()) {
    parts_.push_back(attribute);
    return;
  }
  heap.step_bytes(attribute.text().size());
  for (const std::string_view part : split_at(attribute.text(), ".", -1)) {
    const bool digits = all_of_class(part, CharacterClass::decimal);
    const auto index = digits ? parse_integer(part) : std::nullopt;
    parts_.push_back(index ? Value::integer(*index) : make_text(heap, std::string(part)));
  }
}

Value AttributePath::get(Heap& heap, Value item, const Value* fallback) const {
  for (const Value& part : parts_) {
    item = get_item(heap, item, part);
    if (fallback != nullptr && item.is_undefined()) item = *fallback;
  }
  return item;
}

Value ignore_case(Heap& heap, const Value& value) {
  if (!value.is_string()) return value;
  heap.step_bytes(4 * value.text().size());
  return make_text(heap, lower(value.text()));
}

void sort_keyed(Heap& heap, std::vector<Keyed>& items, bool reverse) {
  const auto before = [&](const Keyed& a, const Keyed& b) {
    return order(heap, a.key, b.key) == Order::below;
  };
  std::stable_sort(items.begin(), items.end(), [&](const Keyed& a, const Keyed& b) {
    return reverse ? before(b, a) : before(a, b);
  });
}

}  // namespace awq::jinja
