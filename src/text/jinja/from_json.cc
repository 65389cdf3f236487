// The context of a render as values.
#include "text/jinja/dict.h"
#include "text/jinja/interpreter.h"
#include "text/unicode.h"

namespace awq::jinja {

static constexpr int kMaxContextDepth = 128;

Value from_json(Heap& heap, const Json& json, int depth) {
  if (depth > kMaxContextDepth) fail("the context is nested deeper than 128 levels");
  switch (json.type()) {
    case Json::value_t::null: return Value::none();
    case Json::value_t::boolean: return Value::boolean(json.get<bool>());
    case Json::value_t::number_integer: return Value::integer(json.get<int64_t>());
    case Json::value_t::number_unsigned:
      if (json.get<uint64_t>() > INT64_MAX) fail("the context has an integer above 64 bits");
      return Value::integer(json.get<int64_t>());
    case Json::value_t::number_float: return Value::real(json.get<double>());
    case Json::value_t::string: {
      const auto& text = json.get_ref<const std::string&>();
      return make_text(heap, is_utf8(text) ? text : utf8_lossy(text));
    }
    case Json::value_t::array: {
      auto list = make_list(heap);
      for (const Json& item : json) list->push(from_json(heap, item, depth + 1));
      return list_value(list);
    }
    case Json::value_t::object: {
      auto dict = heap.make<Dict>();
      for (const auto& [key, value] : json.items()) {
        dict->set_text(is_utf8(key) ? key : utf8_lossy(key), from_json(heap, value, depth + 1));
      }
      return Value(Type::dict, dict);
    }
    default: fail("the context has a value that is no JSON");
  }
}

}  // namespace awq::jinja
