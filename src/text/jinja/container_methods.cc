// Methods of dicts, lists, tuples, loops and cyclers.
#include <array>

#include "text/jinja/attributes.h"
#include "text/jinja/compare.h"
#include "text/jinja/dict.h"
#include "text/jinja/interpreter.h"

namespace awq::jinja {
namespace {

Value make_view(Heap& heap, const char* name, Ref<List> list) {
  auto view = heap.make<View>();
  view->name = name;
  view->list = std::move(list);
  return Value(Type::view, view);
}

Value dict_keys(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  const Bound bound("keys", arguments, {});
  return make_view(interpreter.heap(), "dict_keys", iterate(interpreter.heap(), self));
}

Value dict_values(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  const Bound bound("values", arguments, {});
  Heap& heap = interpreter.heap();
  auto list = make_list(heap);
  for (const auto& entry : self.as<Dict>().entries) list->push(entry.value);
  return make_view(heap, "dict_values", list);
}

Value dict_items(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  const Bound bound("items", arguments, {});
  Heap& heap = interpreter.heap();
  auto list = make_list(heap);
  for (const auto& entry : self.as<Dict>().entries) {
    list->push(make_pair(heap, entry.key, entry.value));
  }
  return make_view(heap, "dict_items", list);
}

Value dict_get(Interpreter&, const Value& self, const Arguments& arguments) {
  const Bound bound("get", arguments, {"key", "default"});
  const Value* found = self.as<Dict>().find(bound.required(0));
  return found != nullptr ? *found : bound.value(1, Value::none());
}

Value copy(Interpreter&, const Value& self, const Arguments& arguments) {
  const Bound bound("copy", arguments, {});
  return self;  // nothing can change either of them
}

Value sequence_index(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  const Bound bound("index", arguments, {"value", "start", "stop"});
  const Ref<List> list = iterate(interpreter.heap(), self);
  const auto& items = list->items;
  const auto size = static_cast<int64_t>(items.size());
  const auto clamp = [&](int64_t at) { return at < 0 ? std::max(at + size, int64_t{0}) : at; };
  const int64_t first = clamp(bound.integer(1, 0));
  const int64_t last = std::min(clamp(bound.integer(2, size)), size);
  for (int64_t i = first; i < last; ++i) {
    if (equal(interpreter.heap(), items[static_cast<size_t>(i)], bound.required(0))) {
      return Value::integer(i);
    }
  }
  fail("the value is not in the ", type_name(self));
}

Value sequence_count(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  const Bound bound("count", arguments, {"value"});
  int64_t count = 0;
  const Ref<List> list = iterate(interpreter.heap(), self);
  for (const Value& item : list->items) {
    if (equal(interpreter.heap(), item, bound.required(0))) ++count;
  }
  return Value::integer(count);
}

Value cycler_next(Interpreter&, const Value& self, const Arguments& arguments) {
  const Bound bound("next", arguments, {});
  Cycler& cycler = self.as<Cycler>();
  const Value item = cycler.items->items[cycler.position];
  cycler.position = (cycler.position + 1) % cycler.items->items.size();
  return item;
}

Value cycler_reset(Interpreter&, const Value& self, const Arguments& arguments) {
  const Bound bound("reset", arguments, {});
  self.as<Cycler>().position = 0;
  return Value::none();
}

Value loop_changed(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  Heap& heap = interpreter.heap();
  Loop& loop = self.as<Loop>();
  auto now = make_list(heap);
  for (const Value& value : arguments.positional) now->push(value);
  const bool same =
      loop.last_changed && equal(heap, tuple_value(loop.last_changed), tuple_value(now));
  loop.last_changed = now;
  return Value::boolean(!same);
}

constexpr std::array<NamedNative, 5> kDict = {{{"get", dict_get},
                                               {"items", dict_items},
                                               {"keys", dict_keys},
                                               {"values", dict_values},
                                               {"copy", copy}}};
constexpr std::array<NamedNative, 3> kList = {
    {{"index", sequence_index}, {"count", sequence_count}, {"copy", copy}}};
constexpr std::array<NamedNative, 2> kCycler = {{{"next", cycler_next}, {"reset", cycler_reset}}};
constexpr std::array<NamedNative, 1> kLoop = {{{"changed", loop_changed}}};

}  // namespace

std::span<const NamedNative> container_methods(Type type) {
  switch (type) {
    case Type::dict: return kDict;
    case Type::list: return kList;
    case Type::tuple:
    case Type::range: return std::span(kList).first(2);
    case Type::cycler: return kCycler;
    case Type::loop: return kLoop;
    default: return {};
  }
}

}  // namespace awq::jinja
