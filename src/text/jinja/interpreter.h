// Runs a parsed template once.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "text/jinja/objects.h"
#include "text/jinja/syntax.h"

namespace awq::jinja {

class Interpreter {
 public:
  Interpreter(const Syntax& syntax, const TemplateLimits& limits);

  /// Throws Failure.
  std::string render(const Json& context);

  Heap& heap() { return heap_; }

  /// Calls a function, macro, loop or joiner.
  Value call(const Value& callee, const Arguments& arguments);

  /// The time that strftime_now tells: Unix seconds, or none for the clock.
  const Value& time() const { return time_; }

 private:
  enum class Flow : uint8_t { next, break_loop, continue_loop };

  /// One level of evaluation: attackers choose the depth, so it is capped.
  class Level {
   public:
    explicit Level(Interpreter& interpreter);
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;
    ~Level() { --interpreter_.depth_; }

   private:
    Interpreter& interpreter_;
  };

  // Statements (interpreter.cc).
  Flow run(const Body& body, const Ref<Scope>& scope);
  Flow run(const Statement& statement, const Ref<Scope>& scope);
  Flow run_branch(const BranchNode& node, const Ref<Scope>& scope);
  Flow run_for(const ForNode& node, const Ref<Scope>& scope, const Value& iterable, int64_t depth);
  Ref<List> filter_items(const ForNode& node, const Ref<Scope>& scope, const Ref<List>& items);
  Flow run_capture(const CaptureNode& node, const Ref<Scope>& scope);
  Flow run_with(const WithNode& node, const Ref<Scope>& scope);
  void run_call_block(const MacroNode& node, const Ref<Scope>& scope);
  void assign(const Expr& target, const Value& value, const Ref<Scope>& scope);
  void emit(std::string_view text);
  void emit_value(const Value& value);
  /// What `action` writes, as a string.
  template <class Action>
  Value capture(Action action);
  Value capture_body(const Body& body, const Ref<Scope>& scope);
  Value capture_loop(const ForNode& node, const Ref<Scope>& scope, const Value& iterable,
                     int64_t depth);
  Ref<Scope> inner(const Ref<Scope>& scope);
  Value make_macro(const MacroNode& node, const Ref<Scope>& scope);

  // Calls (call.cc).
  Value call_macro(const Value& macro, const Arguments& arguments);
  Value call_loop(const Value& loop, const Arguments& arguments);
  Arguments evaluate_arguments(const CallArguments* arguments, const Ref<Scope>& scope);
  Value call_expr(const Expr& expr, const Ref<Scope>& scope, const Value* caller = nullptr);
  void bind_macro(const Macro& macro, const Arguments& arguments, const Ref<Scope>& scope);

  // Expressions (evaluate.cc).
  Value evaluate(const Expr& expr, const Ref<Scope>& scope);
  Value evaluate_inner(const Expr& expr, const Ref<Scope>& scope);
  Value constant(uint32_t id);
  Value lookup(uint32_t name, const Ref<Scope>& scope);
  Value item(const Expr& expr, const Ref<Scope>& scope);
  Value collection(const Expr& expr, const Ref<Scope>& scope);
  Value dictionary(const Expr& expr, const Ref<Scope>& scope);
  Value concatenate(const Expr& expr, const Ref<Scope>& scope);
  Value conditional(const Expr& expr, const Ref<Scope>& scope);
  Value compare(const Expr& expr, const Ref<Scope>& scope);
  Value apply_filter(const Expr& expr, Value input, const Ref<Scope>& scope);
  Value apply_block_filter(const Expr& expr, const Value& input, const Ref<Scope>& scope);
  Value apply_test(const Expr& expr, const Ref<Scope>& scope);

  const Syntax& syntax_;
  Heap heap_;  // before all values: they go first
  std::vector<Value> constants_;
  std::string output_;
  std::string* out_ = &output_;
  size_t buffered_ = 0;  ///< bytes in all outputs that are being written
  int depth_ = 0, calls_ = 0;
  uint32_t loop_name_, caller_name_, varargs_name_, kwargs_name_;
  Value time_ = Value::none();
};

/// The value of a JSON document.
Value from_json(Heap& heap, const Json& json, int depth = 0);

/// range, namespace, raise_exception...; null when there is none of that name.
Native find_global(std::string_view name, const char** stable_name);

/// a op b, with Python's meanings for strings and lists.
Value operate(Heap& heap, Operator op, const Value& a, const Value& b);

/// text % values
Value format_percent(Heap& heap, std::string_view text, const Value& values);
/// text.format(...)
Value format_braces(Heap& heap, std::string_view text, const Arguments& arguments);

}  // namespace awq::jinja
