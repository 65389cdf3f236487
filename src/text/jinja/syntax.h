// The parsed template. Nodes live in Syntax::nodes and point at each other, so that no chain of
// them, however long, is destroyed recursively.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "text/jinja/number.h"

namespace awq::jinja {

struct Filter;
struct Test;

struct Node {
  explicit Node(uint32_t position) : offset(position) {}
  virtual ~Node() = default;
  uint32_t offset;  ///< byte of the source
};

enum class ExprKind : uint8_t {
  constant,
  name,
  attribute,
  item,
  slice,
  list,
  tuple,
  dict,
  call,
  filter,
  test,
  negation,
  negative,
  positive,
  arithmetic,
  comparison,
  conjunction,
  disjunction,
  concatenation,
  conditional,
  namespace_target,
};

enum class Comparison : uint8_t { equal, not_equal, below, at_most, above, at_least, in, not_in };

struct Expr;

/// What stands in the parentheses of a call.
struct CallArguments {
  std::vector<const Expr*> positional;
  std::vector<std::pair<std::string, const Expr*>> named;
  const Expr *star = nullptr, *double_star = nullptr;
};

/// One struct for all expressions: `items` are the operands in source order; a null stands for
/// what is left out (a slice's bounds, the else of an inline if, the input of a block's filter).
struct Expr : Node {
  Expr(ExprKind of, uint32_t position) : Node(position), kind(of) {}
  ExprKind kind;
  Operator op = Operator::add;
  uint16_t height = 1;     ///< of the tree below
  uint32_t id = 0;         ///< constant, or interned name
  uint32_t attribute = 0;  ///< interned, of `namespace_target`
  std::vector<const Expr*> items;
  std::vector<Comparison> comparisons;
  std::unique_ptr<CallArguments> arguments;
  const Filter* filter = nullptr;
  const Test* test = nullptr;
};

enum class StatementKind : uint8_t {
  text,
  print,
  branch,
  loop,
  assign,
  assign_block,
  macro,
  call_block,
  filter_block,
  scope,
  with,
  break_loop,
  continue_loop,
};

struct Statement : Node {
  Statement(StatementKind of, uint32_t position) : Node(position), kind(of) {}
  StatementKind kind;
};
using Body = std::vector<const Statement*>;

struct TextNode : Statement {
  using Statement::Statement;
  std::string text;
};

struct PrintNode : Statement {
  using Statement::Statement;
  std::vector<const Expr*> values;
};

struct BranchNode : Statement {
  using Statement::Statement;
  std::vector<std::pair<const Expr*, Body>> branches;
  Body otherwise;
};

struct ForNode : Statement {
  using Statement::Statement;
  const Expr *target = nullptr, *iterable = nullptr, *condition = nullptr;
  bool recursive = false;
  Body body, otherwise;
};

struct AssignNode : Statement {
  using Statement::Statement;
  const Expr *target = nullptr, *value = nullptr;
};

/// {% set x | filter %}...{% endset %}; also {% filter f %}, without a target.
struct CaptureNode : Statement {
  using Statement::Statement;
  const Expr *target = nullptr, *filter = nullptr;
  Body body;
};

struct MacroNode : Statement {
  using Statement::Statement;
  std::string name;  ///< empty for the body of a call block
  uint32_t id = 0;
  std::vector<uint32_t> parameters;
  std::vector<const Expr*> defaults;  ///< of the last parameters
  bool uses_varargs = false, uses_kwargs = false, uses_caller = false;
  const Expr* call = nullptr;  ///< of a call block
  Body body;
};

/// {% generation %}, {% block %}: a scope of its own.
struct ScopeNode : Statement {
  using Statement::Statement;
  Body body;
};

struct WithNode : Statement {
  using Statement::Statement;
  std::vector<std::pair<const Expr*, const Expr*>> variables;
  Body body;
};

using Constant = std::variant<std::monostate, bool, int64_t, double, std::string>;

struct Syntax {
  std::string source;  ///< as lexed: line ends are "\n"
  std::vector<std::unique_ptr<Node>> nodes;
  std::vector<Constant> constants;
  std::vector<std::string> names;  ///< by id
  std::unordered_map<std::string, uint32_t> name_ids;
  Body body;

  uint32_t intern(std::string_view name);
};

/// "line:column" of a byte of the source, both from 1; columns count characters.
std::string position_text(std::string_view source, uint32_t offset);

/// Throws Failure.
Syntax parse_template(std::string source, const TemplateLimits& limits);

}  // namespace awq::jinja
