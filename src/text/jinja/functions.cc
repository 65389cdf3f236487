// The global functions: range, namespace, dict, cycler, joiner, raise_exception, strftime_now.
#include <array>
#include <chrono>
#include <cmath>
#include <ctime>

#include "text/jinja/dict.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/print.h"
#include "text/jinja/strftime.h"

namespace awq::jinja {
namespace {

// How many steps lead from start to stop; the difference of two int64 needs 65 bits.
uint64_t range_size(int64_t start, int64_t stop, int64_t step) {
  if (step > 0 ? start >= stop : start <= stop) return 0;
  const uint64_t distance = step > 0 ? static_cast<uint64_t>(stop) - static_cast<uint64_t>(start)
                                     : static_cast<uint64_t>(start) - static_cast<uint64_t>(stop);
  const uint64_t by = step > 0 ? static_cast<uint64_t>(step) : 0 - static_cast<uint64_t>(step);
  return (distance - 1) / by + 1;
}

Value range(Interpreter& interpreter, const Value&, const Arguments& arguments) {
  Heap& heap = interpreter.heap();
  const Bound bound("range", arguments, {"start", "stop", "step"});
  bound.required(0);
  auto range = heap.make<Range>();
  const bool one = !bound.has(1);
  range->start = one ? 0 : bound.integer(0, 0);
  range->stop = bound.integer(one ? 0 : 1, 0);
  range->step = bound.integer(2, 1);
  if (range->step == 0) fail("range() arg 3 must not be zero");
  const uint64_t size = range_size(range->start, range->stop, range->step);
  const int64_t limit = heap.limits().range;
  if (limit < 0 || size > static_cast<uint64_t>(limit)) {
    fail("range too big: the limit is ", limit, " items");
  }
  range->size = static_cast<int64_t>(size);
  return Value(Type::range, range);
}

// dict(mapping or pairs, **named), also for namespace().
Ref<Dict> build_dict(Heap& heap, const char* function, const Arguments& arguments) {
  auto dict = heap.make<Dict>();
  if (arguments.positional.size() > 1) fail(function, "() takes 1 positional argument at most");
  if (!arguments.positional.empty()) {
    const Value& source = arguments.positional[0];
    if (source.is(Type::dict)) {
      for (const auto& entry : source.as<Dict>().entries) dict->set(entry.key, entry.value);
    } else {
      const Ref<List> pairs = iterate(heap, source);
      for (const Value& pair : pairs->items) {
        const Ref<List> parts = iterate(heap, pair);
        if (parts->items.size() != 2) fail(function, "() needs pairs of key and value");
        dict->set(parts->items[0], parts->items[1]);
      }
    }
  }
  for (const auto& [name, value] : arguments.named) dict->set_text(name, value);
  return dict;
}

Value make_dict(Interpreter& interpreter, const Value&, const Arguments& arguments) {
  return Value(Type::dict, build_dict(interpreter.heap(), "dict", arguments));
}

Value make_namespace(Interpreter& interpreter, const Value&, const Arguments& arguments) {
  auto result = interpreter.heap().make<Namespace>();
  result->attributes = build_dict(interpreter.heap(), "namespace", arguments);
  for (const auto& entry : result->attributes->entries) {
    if (entry.key.is_string() && !entry.key.text().empty() && entry.key.text()[0] == '_') {
      fail("attributes of a namespace must not begin with an underscore");
    }
  }
  return Value(Type::name_space, result);
}

Value make_cycler(Interpreter& interpreter, const Value&, const Arguments& arguments) {
  if (arguments.positional.empty()) fail("at least one item has to be provided");
  auto cycler = interpreter.heap().make<Cycler>();
  cycler->items = make_list(interpreter.heap());
  for (const Value& item : arguments.positional) cycler->items->push(item);
  return Value(Type::cycler, cycler);
}

Value make_joiner(Interpreter& interpreter, const Value&, const Arguments& arguments) {
  const Bound bound("joiner", arguments, {"sep"});
  auto joiner = interpreter.heap().make<Joiner>();
  joiner->separator = bound.value(0, make_text(interpreter.heap(), ", "));
  return Value(Type::joiner, joiner);
}

Value raise_exception(Interpreter& interpreter, const Value&, const Arguments& arguments) {
  const Bound bound("raise_exception", arguments, {"message"});
  Failure failure{to_str(interpreter.heap(), bound.required(0))};
  failure.raised = true;
  throw failure;
}

Value strftime_now(Interpreter& interpreter, const Value&, const Arguments& arguments) {
  const Bound bound("strftime_now", arguments, {"format"});
  bound.required(0);
  std::tm time{};
  if (const Value& given = interpreter.time(); given.is_number()) {
    const double seconds = given.as_real();
    if (!(std::fabs(seconds) < 1e11)) fail("strftime_now: the time is out of range");
    const auto whole = static_cast<std::time_t>(std::floor(seconds));
    gmtime_r(&whole, &time);
  } else {
    const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
    localtime_r(&now, &time);
  }
  return make_text(interpreter.heap(), format_time(interpreter.heap(), bound.text(0, ""), time));
}

struct Global {
  const char* name;
  Native native;
};
constexpr std::array<Global, 7> kGlobals = {{{"range", range},
                                             {"dict", make_dict},
                                             {"namespace", make_namespace},
                                             {"cycler", make_cycler},
                                             {"joiner", make_joiner},
                                             {"raise_exception", raise_exception},
                                             {"strftime_now", strftime_now}}};

}  // namespace

Native find_global(std::string_view name, const char** stable_name) {
  for (const Global& global : kGlobals) {
    if (name != global.name) continue;
    *stable_name = global.name;
    return global.native;
  }
  return nullptr;
}

}  // namespace awq::jinja
