#include "text/jinja/value.h"

#include "text/jinja/dict.h"
#include "text/jinja/objects.h"
#include "text/jinja/pytext.h"

namespace awq::jinja {

std::string_view Value::text() const { return as<String>().text; }
bool Value::is_markup() const { return is_string() && as<String>().markup; }
const std::vector<Value>& Value::items() const { return as<List>().items; }

void List::push(Value value) {
  heap().step();
  heap().check_size(items.size() + 1);
  charge(sizeof(Value));
  items.push_back(std::move(value));
}

Value make_text(Heap& heap, std::string text, bool markup) {
  heap.check_size(text.size());
  heap.step_bytes(text.size());
  auto string = heap.make<String>();
  string->charge(text.size());
  string->length = count_characters(text);
  string->text = std::move(text);
  string->markup = markup;
  return Value(Type::string, string);
}

Value make_undefined(Heap& heap, std::string reason) {
  auto string = heap.make<String>();
  string->charge(reason.size());
  string->text = std::move(reason);
  return Value(Type::undefined, string);
}

Value make_iterator(Heap& heap, Ref<List> list) {
  auto iterator = heap.make<Iterator>();
  iterator->list = std::move(list);
  return Value(Type::iterator, iterator);
}

Value make_pair(Heap& heap, Value first, Value second) {
  auto pair = make_list(heap);
  pair->items.reserve(2);
  pair->push(std::move(first));
  pair->push(std::move(second));
  return tuple_value(pair);
}

const char* type_name(const Value& value) {
  switch (value.type()) {
    case Type::undefined: return "Undefined";
    case Type::none: return "NoneType";
    case Type::boolean: return "bool";
    case Type::integer: return "int";
    case Type::real: return "float";
    case Type::string: return "str";
    case Type::list: return "list";
    case Type::tuple: return "tuple";
    case Type::dict: return "dict";
    case Type::view: return value.as<View>().name;
    case Type::iterator: return "generator";
    case Type::range: return "range";
    case Type::name_space: return "Namespace";
    case Type::function: return "function";
    case Type::macro: return "Macro";
    case Type::loop: return "LoopContext";
    case Type::cycler: return "Cycler";
    case Type::joiner: return "Joiner";
  }
  return "object";
}

void require_defined(const Value& value) {
  if (!value.is_undefined()) return;
  if (value.object() == nullptr) fail("the value is undefined");
  throw Failure{value.as<String>().text};
}

bool truthy(const Value& value) {
  switch (value.type()) {
    case Type::undefined:
    case Type::none: return false;
    case Type::boolean:
    case Type::integer: return value.as_integer() != 0;
    case Type::real: return value.as_real() != 0;
    case Type::string: return !value.text().empty();
    case Type::list:
    case Type::tuple: return !value.items().empty();
    case Type::dict: return !value.as<Dict>().entries.empty();
    case Type::view: return !value.as<View>().list->items.empty();
    case Type::range: return value.as<Range>().size != 0;
    default: return true;
  }
}

static Ref<List> characters(Heap& heap, const Value& value) {
  auto list = make_list(heap);
  const std::string_view text = value.text();
  for (size_t i = 0; i < text.size();) {
    const size_t size = character_size(text, i);
    list->push(make_text(heap, std::string(text.substr(i, size))));
    i += size;
  }
  return list;
}

Ref<List> iterate(Heap& heap, const Value& value) {
  switch (value.type()) {
    case Type::undefined: return make_list(heap);
    case Type::string: return characters(heap, value);
    case Type::list:
    case Type::tuple: return Ref<List>(&value.as<List>());
    case Type::view: return value.as<View>().list;
    case Type::dict: {
      auto list = make_list(heap);
      for (const auto& entry : value.as<Dict>().entries) list->push(entry.key);
      return list;
    }
    case Type::range: {
      auto list = make_list(heap);
      const Range& range = value.as<Range>();
      for (int64_t i = 0; i < range.size; ++i) list->push(Value::integer(range.at(i)));
      return list;
    }
    case Type::iterator: {
      Iterator& iterator = value.as<Iterator>();
      const size_t first = std::exchange(iterator.next, iterator.list->items.size());
      if (first == 0) return iterator.list;
      auto rest = make_list(heap);
      for (size_t i = first; i < iterator.list->items.size(); ++i) {
        rest->push(iterator.list->items[i]);
      }
      return rest;
    }
    default: fail("'", type_name(value), "' object is not iterable");
  }
}

bool is_iterable(const Value& value) {
  return value.is_undefined() || value.is(Type::loop) ||
         (value.type() >= Type::string && value.type() <= Type::range);
}

int64_t length_of(const Value& value) {
  switch (value.type()) {
    case Type::undefined: return 0;
    case Type::string: return static_cast<int64_t>(value.as<String>().length);
    case Type::list:
    case Type::tuple: return static_cast<int64_t>(value.items().size());
    case Type::dict: return static_cast<int64_t>(value.as<Dict>().entries.size());
    case Type::view: return static_cast<int64_t>(value.as<View>().list->items.size());
    case Type::range: return value.as<Range>().size;
    case Type::loop: return static_cast<int64_t>(value.as<Loop>().items->items.size());
    default: fail("object of type '", type_name(value), "' has no len()");
  }
}

}  // namespace awq::jinja
