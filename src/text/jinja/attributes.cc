#include "text/jinja/attributes.h"

#include <algorithm>

#include "text/jinja/dict.h"
#include "text/jinja/print.h"
#include "text/jinja/pytext.h"
#include "text/jinja/syntax.h"

namespace awq::jinja {
namespace {

constexpr std::string_view kListMutators[] = {"append", "clear",  "pop",  "reverse",
                                              "insert", "remove", "sort", "extend"};
constexpr std::string_view kDictMutators[] = {"clear", "pop", "popitem", "setdefault", "update"};

bool is_mutator(const Value& object, std::string_view name) {
  const auto in = [&](const auto& names) {
    return std::find(std::begin(names), std::end(names), name) != std::end(names);
  };
  return object.is(Type::list) ? in(kListMutators) : object.is(Type::dict) && in(kDictMutators);
}

Value unsafe(Heap& heap, const Value& object, std::string_view name) {
  return make_undefined(heap, cat("access to attribute '", printable(name, 60), "' of '",
                                  type_name(object), "' object is unsafe."));
}

Value missing(Heap& heap, const Value& object, const Value& key) {
  const char* type = object.is_none() ? "None" : type_name(object);
  const std::string kind = object.is_none() ? "'None'" : cat("'", type, " object'");
  if (key.is_string()) {
    return make_undefined(heap, cat(kind, " has no attribute '", printable(key.text(), 60), "'"));
  }
  // Only scalars are shown: the text of a large key would cost more than the error is worth.
  std::string shown;
  if (key.is_number()) append_str(heap, shown, key);
  return make_undefined(heap, cat(kind, " has no element ", shown));
}

bool find_method(Heap& heap, std::span<const NamedNative> methods, const Value& object,
                 std::string_view name, Value& result) {
  const auto found = std::find_if(methods.begin(), methods.end(),
                                  [&](const NamedNative& entry) { return entry.name == name; });
  if (found == methods.end()) return false;
  result = make_function(heap, found->name.data(), found->native, object);
  return true;
}

Value loop_cycle(Interpreter&, const Value& self, const Arguments& arguments) {
  if (arguments.positional.empty()) fail("no items for cycling given");
  return arguments.positional[self.as<Loop>().index % arguments.positional.size()];
}

bool find_loop_attribute(Heap& heap, const Value& object, std::string_view name, Value& result) {
  const Loop& loop = object.as<Loop>();
  const auto& items = loop.items->items;
  const auto index = static_cast<int64_t>(loop.index), size = static_cast<int64_t>(items.size());
  if (name == "index")
    result = Value::integer(index + 1);
  else if (name == "index0")
    result = Value::integer(index);
  else if (name == "first")
    result = Value::boolean(index == 0);
  else if (name == "last")
    result = Value::boolean(index + 1 == size);
  else if (name == "length")
    result = Value::integer(size);
  else if (name == "revindex")
    result = Value::integer(size - index);
  else if (name == "revindex0")
    result = Value::integer(size - index - 1);
  else if (name == "depth")
    result = Value::integer(loop.depth + 1);
  else if (name == "depth0")
    result = Value::integer(loop.depth);
  else if (name == "previtem") {
    result = index > 0 ? items[loop.index - 1] : make_undefined(heap, "there is no previous item");
  } else if (name == "nextitem") {
    result =
        index + 1 < size ? items[loop.index + 1] : make_undefined(heap, "there is no next item");
  } else {
    return find_method(heap, container_methods(Type::loop), object, name, result);
  }
  return true;
}

// Where Python's list index or slice bound points, -1 when outside.
int64_t resolve_index(int64_t index, int64_t size) {
  if (index < 0) index += size;
  return index >= 0 && index < size ? index : -1;
}

// The item of a list, string or dict; false when there is none (or no such kind of access).
bool find_item(Heap& heap, const Value& object, const Value& key, Value& result) {
  if (object.is(Type::dict)) {
    if (!is_hashable(heap, key)) return false;
    const Value* found = object.as<Dict>().find(key);
    if (found != nullptr) result = *found;
    return found != nullptr;
  }
  if (!key.is_integral()) return false;
  const bool sequence = object.is_list_or_tuple() || object.is_string() || object.is(Type::range);
  if (!sequence) return false;
  const int64_t index = resolve_index(key.as_integer(), length_of(object));
  if (index < 0) return false;
  const auto at = static_cast<size_t>(index);
  if (object.is(Type::range)) {
    result = Value::integer(object.as<Range>().at(index));
  } else if (object.is_string()) {
    const std::string_view text = object.text();
    size_t offset = at;
    if (!object.as<String>().ascii()) {
      heap.step_bytes(text.size());
      offset = byte_offset(text, at);
    }
    result = make_text(heap, std::string(text.substr(offset, character_size(text, offset))));
  } else {
    result = object.items()[at];
  }
  return true;
}

struct Bounds {
  int64_t start, end, count, step;
};

// PySlice_AdjustIndices
Bounds slice_bounds(const Value& start, const Value& stop, const Value& step, int64_t size) {
  const auto number = [](const Value& value, int64_t fallback) {
    if (value.is_none()) return fallback;
    require_defined(value);
    if (!value.is_integral()) fail("slice indices must be integers or None");
    return value.as_integer();
  };
  const int64_t by = number(step, 1);
  if (by == 0) fail("slice step cannot be zero");
  const auto clamp = [&](int64_t at) {
    if (at < 0) at = std::max(at, -size - 1) + size;
    return std::clamp(at, by < 0 ? int64_t{-1} : int64_t{0}, by < 0 ? size - 1 : size);
  };
  const int64_t first = start.is_none() ? (by < 0 ? size - 1 : 0) : clamp(number(start, 0));
  const int64_t end = stop.is_none() ? (by < 0 ? -1 : size) : clamp(number(stop, 0));
  int64_t count = 0;
  if (by > 0 && first < end) count = (end - first - 1) / by + 1;
  // -by would overflow for INT64_MIN; such a step takes one item at most.
  if (by < 0 && first > end) count = by == INT64_MIN ? 1 : (first - end - 1) / -by + 1;
  return {first, end, count, by};
}

Value slice_text(Heap& heap, const Value& object, const Bounds& bounds) {
  const std::string_view text = object.text();
  const String& string = object.as<String>();
  if (bounds.count <= 0) return make_text(heap, {}, string.markup);
  heap.step_bytes(text.size());
  if (bounds.step == 1) {
    const auto first = static_cast<size_t>(bounds.start);
    const auto count = static_cast<size_t>(bounds.count);
    const size_t begin = string.ascii() ? first : byte_offset(text, first);
    const std::string_view rest = text.substr(begin);
    const size_t bytes = string.ascii() ? count : byte_offset(rest, count);
    return make_text(heap, std::string(rest.substr(0, bytes)), string.markup);
  }
  std::vector<uint32_t> offsets;
  if (!string.ascii()) {
    for (size_t i = 0; i < text.size(); i += character_size(text, i)) {
      offsets.push_back(static_cast<uint32_t>(i));
    }
  }
  std::string out;
  int64_t at = bounds.start;
  for (int64_t i = 0; i < bounds.count; ++i) {
    const size_t offset =
        string.ascii() ? static_cast<size_t>(at) : offsets[static_cast<size_t>(at)];
    out += text.substr(offset, character_size(text, offset));
    if (i + 1 < bounds.count) at += bounds.step;
  }
  return make_text(heap, std::move(out), string.markup);
}

}  // namespace

Value make_function(Heap& heap, const char* name, Native native, Value self) {
  auto function = heap.make<Function>();
  function->name = name;
  function->native = native;
  function->self = std::move(self);
  return Value(Type::function, function);
}

bool find_attribute(Heap& heap, const Value& object, std::string_view name, Value& result) {
  switch (object.type()) {
    case Type::name_space: {
      const Value* found = object.as<Namespace>().attributes->find_text(name);
      if (found != nullptr) result = *found;
      return found != nullptr;
    }
    case Type::loop:
      if (name == "cycle") {
        result = make_function(heap, "cycle", loop_cycle, object);
        return true;
      }
      return find_loop_attribute(heap, object, name, result);
    case Type::string: return find_method(heap, string_methods(), object, name, result);
    case Type::macro:
      if (name == "name") result = make_text(heap, object.as<Macro>().node->name);
      return name == "name";
    case Type::cycler: {
      const Cycler& cycler = object.as<Cycler>();
      if (name == "current") {
        result = cycler.items->items[cycler.position];
        return true;
      }
      return find_method(heap, container_methods(Type::cycler), object, name, result);
    }
    case Type::tuple:
      if (object.as<List>().group && (name == "grouper" || name == "list")) {
        result = object.items()[name == "list" ? 1 : 0];
        return true;
      }
      return find_method(heap, container_methods(Type::tuple), object, name, result);
    default: return find_method(heap, container_methods(object.type()), object, name, result);
  }
}

Value get_attribute(Heap& heap, const Value& object, std::string_view name) {
  heap.step_bytes(name.size());
  require_defined(object);
  // Whatever begins with an underscore is Python's own. Only a dict may have such an item, and
  // only when Python's object has no attribute of the name, which is so for single underscores.
  Value result;
  if (name.substr(0, 2) == "__" || is_mutator(object, name)) return unsafe(heap, object, name);
  if (find_attribute(heap, object, name, result)) return result;
  if (object.is(Type::dict)) {
    if (const Value* found = object.as<Dict>().find_text(name)) return *found;
  }
  return missing(heap, object, make_text(heap, std::string(name)));
}

Value get_item(Heap& heap, const Value& object, const Value& key) {
  heap.step();
  require_defined(object);
  Value result;
  if (find_item(heap, object, key, result)) return result;
  if (key.is_string()) {
    if (key.text().substr(0, 2) == "__" || is_mutator(object, key.text())) {
      return unsafe(heap, object, key.text());
    }
    if (find_attribute(heap, object, key.text(), result)) return result;
  }
  return missing(heap, object, key);
}

Value get_slice(Heap& heap, const Value& object, const Value& start, const Value& stop,
                const Value& step) {
  require_defined(object);
  const bool sliceable = object.is_list_or_tuple() || object.is_string() || object.is(Type::range);
  if (!sliceable) fail("'", type_name(object), "' object cannot be sliced");
  const Bounds bounds = slice_bounds(start, stop, step, length_of(object));
  if (object.is_string()) return slice_text(heap, object, bounds);
  if (object.is(Type::range)) {
    const Range& range = object.as<Range>();
    auto part = heap.make<Range>();
    // What has more than one item stays inside the range, so that only a step that is never taken
    // can wrap.
    part->start = range.at(bounds.start);
    part->stop = range.at(bounds.end);
    part->size = std::max<int64_t>(bounds.count, 0);
    part->step = static_cast<int64_t>(static_cast<uint64_t>(range.step) *
                                      static_cast<uint64_t>(bounds.step));
    return Value(Type::range, part);
  }
  auto list = make_list(heap);
  int64_t at = bounds.start;
  for (int64_t i = 0; i < bounds.count; ++i) {
    list->push(object.items()[static_cast<size_t>(at)]);
    if (i + 1 < bounds.count) at += bounds.step;
  }
  return Value(object.type(), list);
}

}  // namespace awq::jinja
