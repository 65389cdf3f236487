// Values that act: functions, macros, loops, cyclers; and the scopes that hold variables.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja/value.h"

namespace awq::jinja {

class Interpreter;
struct MacroNode;
struct ForNode;

/// The arguments of one call.
struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;

  const Value* find(std::string_view name) const;
  bool empty() const { return positional.empty() && named.empty(); }
};

/// Gives arguments to parameter names, as Python does; refuses what does not fit.
class Bound {
 public:
  Bound(const char* function, const Arguments& arguments, std::initializer_list<const char*> names);

  bool has(size_t i) const { return values_[i] != nullptr; }
  const Value& operator[](size_t i) const { return *values_[i]; }
  Value value(size_t i, Value fallback) const { return has(i) ? *values_[i] : fallback; }
  const Value& required(size_t i) const;
  int64_t integer(size_t i, int64_t fallback) const;
  bool truth(size_t i, bool fallback) const { return has(i) ? truthy(*values_[i]) : fallback; }
  std::string_view text(size_t i, std::string_view fallback) const;
  bool has_value(size_t i) const { return has(i) && !values_[i]->is_none(); }

 private:
  const char* function_;
  std::vector<const char*> names_;
  std::vector<const Value*> values_;
};

using Native = Value (*)(Interpreter&, const Value& self, const Arguments&);

/// A built-in function, or a method bound to `self`.
struct Function : Object {
  const char* name = "";
  Native native = nullptr;
  Value self;
  void clear() override { self = {}; }
};

struct Scope : Object {
  Ref<Scope> parent;
  std::vector<std::pair<uint32_t, Value>> variables;

  const Value* find(uint32_t name) const;
  void set(uint32_t name, Value value);
  void clear() override {
    parent = {};
    variables.clear();
  }
};

struct Macro : Object {
  const MacroNode* node = nullptr;
  Ref<Scope> scope;
  void clear() override { scope = {}; }
};

struct Loop : Object {
  Ref<List> items;
  size_t index = 0;
  int64_t depth = 0;
  const ForNode* recursive = nullptr;  ///< what calling the loop runs
  Ref<Scope> scope;
  Ref<List> last_changed;
  void clear() override {
    items = last_changed = {};
    scope = {};
  }
};

struct Cycler : Object {
  Ref<List> items;
  size_t position = 0;
  void clear() override { items = {}; }
};

struct Joiner : Object {
  Value separator;
  bool used = false;
  void clear() override { separator = {}; }
};

}  // namespace awq::jinja
