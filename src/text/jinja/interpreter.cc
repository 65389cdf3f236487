#include "text/jinja/interpreter.h"

#include "text/jinja/attributes.h"
#include "text/jinja/dict.h"
#include "text/jinja/print.h"

namespace awq::jinja {
namespace {

constexpr uint32_t kNoName = UINT32_MAX;
constexpr int kMaxDepth = 1200;

uint32_t find_name(const Syntax& syntax, std::string_view name) {
  const auto found = syntax.name_ids.find(std::string(name));
  return found == syntax.name_ids.end() ? kNoName : found->second;
}

}  // namespace

Interpreter::Interpreter(const Syntax& syntax, const TemplateLimits& limits)
    : syntax_(syntax),
      heap_(limits),
      loop_name_(find_name(syntax, "loop")),
      caller_name_(find_name(syntax, "caller")),
      varargs_name_(find_name(syntax, "varargs")),
      kwargs_name_(find_name(syntax, "kwargs")) {}

std::string Interpreter::render(const Json& context) {
  heap_.charge(syntax_.constants.size() * sizeof(Value));
  constants_.resize(syntax_.constants.size());
  auto globals = heap_.make<Scope>();
  for (uint32_t id = 0; id < syntax_.names.size(); ++id) {
    const char* name = nullptr;
    if (const Native native = find_global(syntax_.names[id], &name)) {
      globals->variables.emplace_back(id, make_function(heap_, name, native));
    }
  }
  // What the template never names need not become values.
  auto given = inner(globals);
  if (context.is_object()) {
    for (const auto& [key, value] : context.items()) {
      if (key == "strftime_now") {
        time_ = from_json(heap_, value);
      } else if (const uint32_t id = find_name(syntax_, key); id != kNoName) {
        given->set(id, from_json(heap_, value));
      }
    }
  }
  run(syntax_.body, inner(given));
  return std::move(output_);
}

Interpreter::Level::Level(Interpreter& interpreter) : interpreter_(interpreter) {
  if (interpreter_.depth_ >= kMaxDepth) fail("nesting: evaluation is deeper than ", kMaxDepth);
  ++interpreter_.depth_;
}

Ref<Scope> Interpreter::inner(const Ref<Scope>& scope) {
  auto result = heap_.make<Scope>();
  result->parent = scope;
  return result;
}

void Interpreter::emit(std::string_view text) {
  heap_.step_bytes(text.size());
  const size_t limit = heap_.limits().output_bytes;
  if (text.size() > limit - buffered_) fail("output/memory budget of ", limit, " bytes is used up");
  buffered_ += text.size();
  out_->append(text);
}

void Interpreter::emit_value(const Value& value) {
  if (value.is_string()) {
    emit(value.text());
  } else if (!value.is_undefined()) {
    emit(to_str(heap_, value));
  }
}

// A Failure leaves out_ as it is: nothing is rendered after one.
template <class Action>
Value Interpreter::capture(Action action) {
  std::string buffer;
  std::string* outer = std::exchange(out_, &buffer);
  action();
  out_ = outer;
  buffered_ -= buffer.size();
  return make_text(heap_, std::move(buffer));
}

Value Interpreter::capture_body(const Body& body, const Ref<Scope>& scope) {
  return capture([&] { run(body, scope); });
}

Value Interpreter::capture_loop(const ForNode& node, const Ref<Scope>& scope, const Value& iterable,
                                int64_t depth) {
  return capture([&] { run_for(node, scope, iterable, depth); });
}

Interpreter::Flow Interpreter::run(const Body& body, const Ref<Scope>& scope) {
  for (const Statement* statement : body) {
    if (const Flow flow = run(*statement, scope); flow != Flow::next) return flow;
  }
  return Flow::next;
}

Interpreter::Flow Interpreter::run(const Statement& statement, const Ref<Scope>& scope) {
  Level level(*this);
  heap_.step();
  switch (statement.kind) {
    case StatementKind::text: emit(static_cast<const TextNode&>(statement).text); break;
    case StatementKind::print:
      for (const Expr* value : static_cast<const PrintNode&>(statement).values) {
        emit_value(evaluate(*value, scope));
      }
      break;
    case StatementKind::branch: return run_branch(static_cast<const BranchNode&>(statement), scope);
    case StatementKind::loop: {
      const auto& node = static_cast<const ForNode&>(statement);
      return run_for(node, scope, evaluate(*node.iterable, scope), 0);
    }
    case StatementKind::assign: {
      const auto& node = static_cast<const AssignNode&>(statement);
      assign(*node.target, evaluate(*node.value, scope), scope);
      break;
    }
    case StatementKind::assign_block:
    case StatementKind::filter_block:
      return run_capture(static_cast<const CaptureNode&>(statement), scope);
    case StatementKind::macro: {
      const auto& node = static_cast<const MacroNode&>(statement);
      scope->set(node.id, make_macro(node, scope));
      break;
    }
    case StatementKind::call_block:
      run_call_block(static_cast<const MacroNode&>(statement), scope);
      break;
    case StatementKind::scope:
      return run(static_cast<const ScopeNode&>(statement).body, inner(scope));
    case StatementKind::with: return run_with(static_cast<const WithNode&>(statement), scope);
    case StatementKind::break_loop: return Flow::break_loop;
    case StatementKind::continue_loop: return Flow::continue_loop;
  }
  return Flow::next;
}

Interpreter::Flow Interpreter::run_branch(const BranchNode& node, const Ref<Scope>& scope) {
  for (const auto& [condition, body] : node.branches) {
    if (truthy(evaluate(*condition, scope))) return run(body, scope);
  }
  return run(node.otherwise, scope);
}

Ref<List> Interpreter::filter_items(const ForNode& node, const Ref<Scope>& scope,
                                    const Ref<List>& items) {
  auto kept = make_list(heap_);
  for (const Value& item : items->items) {
    const auto trial = inner(scope);
    assign(*node.target, item, trial);
    if (truthy(evaluate(*node.condition, trial))) kept->push(item);
  }
  return kept;
}

Interpreter::Flow Interpreter::run_for(const ForNode& node, const Ref<Scope>& scope,
                                       const Value& iterable, int64_t depth) {
  Ref<List> items;
  try {
    items = iterate(heap_, iterable);
  } catch (Failure& failure) {
    if (failure.offset == kNoOffset) failure.offset = node.iterable->offset;
    throw;
  }
  if (node.condition != nullptr) items = filter_items(node, scope, items);
  auto loop = heap_.make<Loop>();
  loop->items = items;
  loop->depth = depth;
  if (node.recursive) {
    loop->recursive = &node;
    loop->scope = scope;
  }
  const Value loop_object(Type::loop, loop);
  Ref<Scope> body = inner(scope);
  bool completed = false;
  for (size_t i = 0; i < items->items.size(); ++i) {
    heap_.step();
    loop->index = i;
    if (i > 0) {
      // A macro made in the last round may still look at its scope.
      if (body->shared()) {
        body = inner(scope);
      } else {
        body->variables.clear();
      }
    }
    if (loop_name_ != kNoName) body->set(loop_name_, loop_object);
    assign(*node.target, items->items[i], body);
    const Flow flow = run(node.body, body);
    if (flow == Flow::break_loop) break;
    if (flow == Flow::next) completed = true;
  }
  // As jinja2 has it: the else also runs when break or continue cut every round short.
  return completed ? Flow::next : run(node.otherwise, inner(scope));
}

Interpreter::Flow Interpreter::run_capture(const CaptureNode& node, const Ref<Scope>& scope) {
  Flow flow = Flow::next;
  const auto body = inner(scope);
  Value text = capture([&] { flow = run(node.body, body); });
  if (flow != Flow::next) return flow;
  if (node.filter != nullptr) text = apply_block_filter(*node.filter, text, body);
  if (node.target != nullptr) {
    assign(*node.target, text, scope);
  } else if (text.is_string()) {
    emit(text.text());
  } else {
    fail_at(node.filter->offset, "the filter of a block must give text, not ", type_name(text));
  }
  return flow;
}

Interpreter::Flow Interpreter::run_with(const WithNode& node, const Ref<Scope>& scope) {
  const auto body = inner(scope);
  for (const auto& [target, value] : node.variables) {
    assign(*target, evaluate(*value, scope), body);
  }
  return run(node.body, body);
}

void Interpreter::run_call_block(const MacroNode& node, const Ref<Scope>& scope) {
  const Value caller = make_macro(node, scope);
  emit_value(call_expr(*node.call, scope, &caller));
}

Value Interpreter::make_macro(const MacroNode& node, const Ref<Scope>& scope) {
  auto macro = heap_.make<Macro>();
  macro->node = &node;
  macro->scope = scope;
  return Value(Type::macro, macro);
}

void Interpreter::assign(const Expr& target, const Value& value, const Ref<Scope>& scope) {
  heap_.step();
  if (target.kind == ExprKind::name) {
    scope->set(target.id, value);
    return;
  }
  if (target.kind == ExprKind::namespace_target) {
    const Value object = lookup(target.id, scope);
    if (!object.is(Type::name_space)) {
      fail_at(target.offset, "cannot assign attribute on non-namespace object");
    }
    const std::string& name = syntax_.names[target.attribute];
    if (name[0] == '_') {
      fail_at(target.offset, "cannot store '", printable(name, 60),
              "': attributes of a namespace must not begin with an underscore");
    }
    object.as<Namespace>().attributes->set_text(name, value);
    return;
  }
  Ref<List> parts;
  try {
    parts = iterate(heap_, value);
  } catch (Failure& failure) {
    fail_at(target.offset, "cannot unpack: ", failure.message);
  }
  if (parts->items.size() != target.items.size()) {
    fail_at(target.offset, "cannot unpack ", parts->items.size(), " values to ",
            target.items.size(), " names");
  }
  for (size_t i = 0; i < parts->items.size(); ++i) {
    assign(*target.items[i], parts->items[i], scope);
  }
}

}  // namespace awq::jinja
