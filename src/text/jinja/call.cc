// Calls: arguments, macros, recursive loops.
#include <algorithm>

#include "text/jinja/dict.h"
#include "text/jinja/interpreter.h"

namespace awq::jinja {

const Value* Arguments::find(std::string_view name) const {
  const auto found = std::find_if(named.begin(), named.end(),
                                  [&](const auto& entry) { return entry.first == name; });
  return found == named.end() ? nullptr : &found->second;
}

Bound::Bound(const char* function, const Arguments& arguments,
             std::initializer_list<const char*> names)
    : function_(function), names_(names), values_(names.size()) {
  if (arguments.positional.size() > names_.size()) {
    fail(function, "() takes ", names_.size(), " arguments at most, ", arguments.positional.size(),
         " were given");
  }
  for (size_t i = 0; i < arguments.positional.size(); ++i) values_[i] = &arguments.positional[i];
  for (const auto& [name, value] : arguments.named) {
    const auto found = std::find(names_.begin(), names_.end(), name);
    if (found == names_.end()) {
      fail(function, "() got an unexpected keyword argument '", printable(name, 60), "'");
    }
    const Value*& slot = values_[static_cast<size_t>(found - names_.begin())];
    if (slot != nullptr) fail(function, "() got two values for argument '", name, "'");
    slot = &value;
  }
}

const Value& Bound::required(size_t i) const {
  if (!has(i)) fail(function_, "() misses its argument '", names_[i], "'");
  return *values_[i];
}

int64_t Bound::integer(size_t i, int64_t fallback) const {
  if (!has(i)) return fallback;
  require_defined(*values_[i]);
  if (!values_[i]->is_integral()) {
    fail(function_, "(): '", names_[i], "' must be an integer, not ", type_name(*values_[i]));
  }
  return values_[i]->as_integer();
}

std::string_view Bound::text(size_t i, std::string_view fallback) const {
  if (!has(i)) return fallback;
  require_defined(*values_[i]);
  if (!values_[i]->is_string()) {
    fail(function_, "(): '", names_[i], "' must be a string, not ", type_name(*values_[i]));
  }
  return values_[i]->text();
}

const Value* Scope::find(uint32_t name) const {
  const auto found = std::find_if(variables.begin(), variables.end(),
                                  [&](const auto& entry) { return entry.first == name; });
  return found == variables.end() ? nullptr : &found->second;
}

void Scope::set(uint32_t name, Value value) {
  heap().step(1 + variables.size() / 16);
  if (const Value* found = find(name)) {
    *const_cast<Value*>(found) = std::move(value);
    return;
  }
  charge(sizeof variables[0]);
  variables.emplace_back(name, std::move(value));
}

Arguments Interpreter::evaluate_arguments(const CallArguments* arguments, const Ref<Scope>& scope) {
  Arguments result;
  if (arguments == nullptr) return result;
  for (const Expr* expr : arguments->positional) {
    result.positional.push_back(evaluate(*expr, scope));
  }
  for (const auto& [name, expr] : arguments->named) {
    result.named.emplace_back(name, evaluate(*expr, scope));
  }
  if (arguments->star != nullptr) {
    const Ref<List> items = iterate(heap_, evaluate(*arguments->star, scope));
    heap_.step(items->items.size());
    heap_.check_size(items->items.size() * sizeof(Value));
    result.positional.insert(result.positional.end(), items->items.begin(), items->items.end());
  }
  if (arguments->double_star != nullptr) {
    const Value named = evaluate(*arguments->double_star, scope);
    if (!named.is(Type::dict)) fail("the argument after ** must be a mapping");
    for (const auto& entry : named.as<Dict>().entries) {
      heap_.step(1 + result.named.size() / 8);
      if (!entry.key.is_string()) fail("keywords must be strings");
      if (result.find(entry.key.text()) != nullptr) {
        fail("two values for keyword argument '", printable(entry.key.text(), 60), "'");
      }
      result.named.emplace_back(std::string(entry.key.text()), entry.value);
    }
  }
  return result;
}

Value Interpreter::call_expr(const Expr& expr, const Ref<Scope>& scope, const Value* caller) {
  const Value callee = evaluate(*expr.items[0], scope);
  Arguments arguments = evaluate_arguments(expr.arguments.get(), scope);
  if (caller != nullptr) arguments.named.emplace_back("caller", *caller);
  return call(callee, arguments);
}

Value Interpreter::call(const Value& callee, const Arguments& arguments) {
  heap_.step();
  require_defined(callee);
  switch (callee.type()) {
    case Type::function: {
      const Function& function = callee.as<Function>();
      Value result = function.native(*this, function.self, arguments);
      // Methods of Markup give Markup.
      if (result.is_string() && function.self.is_markup()) {
        return make_text(heap_, std::string(result.text()), true);
      }
      return result;
    }
    case Type::macro: return call_macro(callee, arguments);
    case Type::loop: return call_loop(callee, arguments);
    case Type::joiner: {
      Joiner& joiner = callee.as<Joiner>();
      return std::exchange(joiner.used, true) ? joiner.separator : make_text(heap_, {});
    }
    default: fail("'", type_name(callee), "' object is not callable");
  }
}

// Counts the calls that are under way; a Failure ends the render, so none is undone.
Value Interpreter::call_macro(const Value& callee, const Arguments& arguments) {
  if (calls_ >= heap_.limits().call_depth) {
    fail("call depth: macros call each other more than ", heap_.limits().call_depth, " deep");
  }
  ++calls_;
  const Macro& macro = callee.as<Macro>();
  const auto scope = inner(macro.scope);
  bind_macro(macro, arguments, scope);
  Value result = capture_body(macro.node->body, scope);
  --calls_;
  return result;
}

void Interpreter::bind_macro(const Macro& macro, const Arguments& arguments,
                             const Ref<Scope>& scope) {
  const MacroNode& node = *macro.node;
  const auto& parameters = node.parameters;
  const size_t given = arguments.positional.size();
  std::vector<bool> used(arguments.named.size());
  // The keyword arguments of a call, each of which one parameter takes.
  const auto take_named = [&](std::string_view name) -> const Value* {
    for (size_t i = 0; i < arguments.named.size(); ++i) {
      if (used[i] || arguments.named[i].first != name) continue;
      used[i] = true;
      return &arguments.named[i].second;
    }
    return nullptr;
  };
  heap_.step(1 + parameters.size() * (1 + arguments.named.size() / 8));
  const size_t first_default = parameters.size() - node.defaults.size();
  for (size_t i = 0; i < parameters.size(); ++i) {
    const std::string& name = syntax_.names[parameters[i]];
    const Value* value = i < given ? &arguments.positional[i] : take_named(name);
    if (value != nullptr) {
      scope->set(parameters[i], *value);
    } else if (i >= first_default) {
      scope->set(parameters[i], evaluate(*node.defaults[i - first_default], scope));
    } else {
      scope->set(parameters[i],
                 make_undefined(heap_, cat("parameter '", name, "' was not provided")));
    }
  }
  if (node.uses_caller && scope->find(caller_name_) == nullptr) {
    const Value* caller = take_named("caller");
    scope->set(caller_name_,
               caller != nullptr ? *caller : make_undefined(heap_, "No caller defined"));
  }
  if (node.uses_kwargs) {
    auto rest = heap_.make<Dict>();
    for (size_t i = 0; i < used.size(); ++i) {
      if (!used[i]) rest->set_text(arguments.named[i].first, arguments.named[i].second);
    }
    scope->set(kwargs_name_, Value(Type::dict, rest));
  } else if (const auto left = std::find(used.begin(), used.end(), false); left != used.end()) {
    const auto& name = arguments.named[static_cast<size_t>(left - used.begin())].first;
    fail("macro '", node.name, "' takes no keyword argument '", printable(name, 60), "'");
  }
  if (node.uses_varargs) {
    auto rest = make_list(heap_);
    for (size_t i = parameters.size(); i < given; ++i) rest->push(arguments.positional[i]);
    scope->set(varargs_name_, tuple_value(rest));
  } else if (given > parameters.size()) {
    fail("macro '", node.name, "' takes not more than ", parameters.size(), " argument(s)");
  }
}

Value Interpreter::call_loop(const Value& callee, const Arguments& arguments) {
  const Loop& loop = callee.as<Loop>();
  if (loop.recursive == nullptr) {
    fail("the loop must have the 'recursive' marker to be called recursively");
  }
  const Bound bound("loop", arguments, {"iterable"});
  if (calls_ >= heap_.limits().call_depth) {
    fail("call depth: a recursive loop is more than ", heap_.limits().call_depth, " deep");
  }
  ++calls_;
  const Ref<Scope> scope = loop.scope;
  Value result = capture_loop(*loop.recursive, scope, bound.required(0), loop.depth + 1);
  --calls_;
  return result;
}

}  // namespace awq::jinja
