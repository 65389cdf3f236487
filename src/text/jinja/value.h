// The values of a template, with Python's types: what prints, compares and fails like them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja/heap.h"

namespace awq::jinja {

enum class Type : uint8_t {
  undefined,
  none,
  boolean,
  integer,
  real,
  string,
  list,
  tuple,
  dict,
  view,
  iterator,
  range,
  name_space,
  function,
  macro,
  loop,
  cycler,
  joiner,
};

struct String;
struct List;
struct Dict;

/// Sixteen bytes: a scalar, or a reference to an object of the heap. Objects other than
/// namespaces, iterators and cyclers do not change once a template can see them.
class Value {
 public:
  Value() = default;  ///< undefined, without a reason
  static Value none() { return Value(Type::none); }
  static Value boolean(bool value) {
    Value result(Type::boolean);
    result.bits_.integer = value;
    return result;
  }
  static Value integer(int64_t value) {
    Value result(Type::integer);
    result.bits_.integer = value;
    return result;
  }
  static Value real(double value) {
    Value result(Type::real);
    result.bits_.real = value;
    return result;
  }
  /// For `undefined` the object is a String that says why.
  template <class T>
  Value(Type type, const Ref<T>& object) : type_(type) {
    bits_.object = object.get();
    add_reference();
  }

  Value(const Value& other) : type_(other.type_), bits_(other.bits_) { add_reference(); }
  Value(Value&& other) noexcept : type_(other.type_), bits_(other.bits_) { other.forget(); }
  Value& operator=(Value other) noexcept {
    std::swap(type_, other.type_);
    std::swap(bits_, other.bits_);
    return *this;
  }
  ~Value() {
    if (has_object()) bits_.object->drop_reference();
  }

  Type type() const { return type_; }
  bool is(Type type) const { return type_ == type; }
  bool is_undefined() const { return type_ == Type::undefined; }
  bool is_none() const { return type_ == Type::none; }
  bool is_string() const { return type_ == Type::string; }
  bool is_markup() const;
  bool is_list_or_tuple() const { return type_ == Type::list || type_ == Type::tuple; }
  /// int and bool, which Python counts among the integers.
  bool is_integral() const { return type_ == Type::integer || type_ == Type::boolean; }
  bool is_number() const { return is_integral() || type_ == Type::real; }

  int64_t as_integer() const { return bits_.integer; }
  double as_real() const {
    return type_ == Type::real ? bits_.real : static_cast<double>(bits_.integer);
  }
  Object* object() const { return has_object() ? bits_.object : nullptr; }
  template <class T>
  T& as() const {
    return *static_cast<T*>(bits_.object);
  }
  std::string_view text() const;
  const std::vector<Value>& items() const;

 private:
  explicit Value(Type type) : type_(type) {}
  bool has_object() const {
    return (type_ == Type::undefined || type_ >= Type::string) && bits_.object != nullptr;
  }
  void add_reference() {
    if (has_object()) bits_.object->add_reference();
  }
  void forget() {
    type_ = Type::undefined;
    bits_.object = nullptr;
  }

  Type type_ = Type::undefined;
  union Bits {
    int64_t integer;
    double real;
    Object* object = nullptr;
  } bits_;
};

/// Always valid UTF-8. `markup` is what `safe` and `escape` give: "+" escapes the other side.
struct String : Object {
  std::string text;
  size_t length = 0;  ///< characters
  bool markup = false;
  bool ascii() const { return length == text.size(); }
};

struct List : Object {
  std::vector<Value> items;
  bool group = false;  ///< a pair made by groupby: has the attributes grouper and list

  void push(Value value);  ///< one step
  void clear() override { items.clear(); }
};

/// dict.keys(), .values(), .items().
struct View : Object {
  const char* name = "";
  Ref<List> list;
  void clear() override { list = {}; }
};

/// A generator: its items can be taken once.
struct Iterator : Object {
  Ref<List> list;
  size_t next = 0;
  void clear() override { list = {}; }
};

struct Range : Object {
  int64_t start = 0, stop = 0, step = 1;
  int64_t size = 0;
  int64_t at(int64_t index) const {  // never wraps: the size was computed without overflow
    return static_cast<int64_t>(static_cast<uint64_t>(start) +
                                static_cast<uint64_t>(index) * static_cast<uint64_t>(step));
  }
};

Value make_text(Heap& heap, std::string text, bool markup = false);
Value make_undefined(Heap& heap, std::string reason);
inline Ref<List> make_list(Heap& heap) { return heap.make<List>(); }
inline Value list_value(const Ref<List>& list) { return Value(Type::list, list); }
inline Value tuple_value(const Ref<List>& list) { return Value(Type::tuple, list); }
Value make_iterator(Heap& heap, Ref<List> list);
Value make_pair(Heap& heap, Value first, Value second);

/// What Python calls the type ("str", "NoneType"), for messages.
const char* type_name(const Value& value);

/// Fails with the reason when the value is undefined.
void require_defined(const Value& value);

bool truthy(const Value& value);

/// The items that a for loop would see (taken, when it is an iterator). A list is not copied.
Ref<List> iterate(Heap& heap, const Value& value);
bool is_iterable(const Value& value);

/// len(value)
int64_t length_of(const Value& value);

}  // namespace awq::jinja
