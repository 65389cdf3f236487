// a.b, a[b] and a[b:c] as the sandboxed environment of jinja2 resolves them.
#pragma once

#include <span>
#include <string_view>

#include "text/jinja/objects.h"

namespace awq::jinja {

/// a.name: an attribute or method, else the item of that name, else undefined. Fails for
/// undefined values.
Value get_attribute(Heap& heap, const Value& object, std::string_view name);

/// The attribute or method, without a look at the items; false when there is none. What the
/// sandbox hides is not found.
bool find_attribute(Heap& heap, const Value& object, std::string_view name, Value& result);

/// a[key]: the item, else the attribute when the key is a string, else undefined.
Value get_item(Heap& heap, const Value& object, const Value& key);

/// a[start:stop:step], each none or an integer.
Value get_slice(Heap& heap, const Value& object, const Value& start, const Value& stop,
                const Value& step);

struct NamedNative {
  std::string_view name;
  Native native;
};
std::span<const NamedNative> string_methods();
std::span<const NamedNative> container_methods(Type type);

Value make_function(Heap& heap, const char* name, Native native, Value self = {});

}  // namespace awq::jinja
