// Filters that make text.
#include "text/jinja/dict.h"
#include "text/jinja/filters.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/print.h"
#include "text/jinja/pytext.h"
#include "text/jinja/replace.h"
#include "text/unicode.h"

namespace awq::jinja {
namespace {

template <std::string (*Function)(std::string_view)>
Value mapped(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  const Bound bound("the filter", arguments, {});
  Heap& heap = interpreter.heap();
  const Value text = str_value(heap, input);
  heap.step_bytes(4 * text.text().size());
  return make_text(heap, Function(text.text()), text.is_markup());
}

// Unlike str.title, only white space, '-' and opening brackets begin a word.
std::string title_words(std::string_view text) {
  static constexpr std::string_view kBreaks = "-({[<";
  const auto breaks = [&](size_t at) {
    size_t next = at;
    return kBreaks.find(text[at]) != kBreaks.npos || is_space(next_character(text, next));
  };
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    if (breaks(at)) {
      at += character_size(text, at);
      out += text.substr(begin, at - begin);
      continue;
    }
    while (at < text.size() && !breaks(at)) at += character_size(text, at);
    const std::string_view word = text.substr(begin, at - begin);
    const size_t first = character_size(word, 0);
    out += upper(word.substr(0, first));
    out += lower(word.substr(first));
  }
  return out;
}

Value title_filter(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  const Bound bound("title", arguments, {});
  Heap& heap = interpreter.heap();
  const Value text = str_value(heap, input);
  heap.step_bytes(4 * text.text().size());
  return make_text(heap, title_words(text.text()));
}

Value trim(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  const Bound bound("trim", arguments, {"chars"});
  Heap& heap = interpreter.heap();
  const Value text = str_value(heap, input);
  const bool given = bound.has_value(0);
  const std::string_view chars = given ? bound.text(0, "") : "";
  heap.step_bytes(text.text().size() * (1 + chars.size() / 16));
  return make_text(heap, std::string(strip(text.text(), given ? &chars : nullptr)),
                   text.is_markup());
}

Value center(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  const Bound bound("center", arguments, {"width"});
  Heap& heap = interpreter.heap();
  const Value text = str_value(heap, input);
  return make_text(heap, justify_text(heap, text.text(), bound.integer(0, 80), '^', " "),
                   text.is_markup());
}

Value replace(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  const Bound bound("replace", arguments, {"old", "new", "count"});
  Heap& heap = interpreter.heap();
  const Value text = str_value(heap, input);
  const Value from = str_value(heap, bound.required(0)), to = str_value(heap, bound.required(1));
  const int64_t count = bound.has_value(2) ? bound.integer(2, -1) : -1;
  return make_text(heap, replace_text(heap, text.text(), from.text(), to.text(), count));
}

Value string(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  const Bound bound("string", arguments, {});
  return str_value(interpreter.heap(), input);
}

Value indent(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  const Bound bound("indent", arguments, {"width", "first", "blank"});
  Heap& heap = interpreter.heap();
  require_defined(input);
  if (!input.is_string()) fail("indent needs a string, not ", type_name(input));
  std::string indention;
  if (bound.has(0) && bound[0].is_string()) {
    indention = bound[0].text();
  } else if (const int64_t width = bound.integer(0, 4); width > 0) {
    heap.check_size(static_cast<uint64_t>(width));
    indention.assign(static_cast<size_t>(width), ' ');
  }
  const bool blank = bound.truth(2, false);
  // The line end that is appended makes a last, empty line of a text that ends with one.
  heap.check_size(input.text().size() + 1);
  const std::string text = cat(input.text(), "\n");
  heap.step_bytes(2 * text.size());
  std::string out = bound.truth(1, false) ? indention : "";
  bool first = true;
  for (const std::string_view line : split_lines(text, false)) {
    if (!std::exchange(first, false)) {
      out += '\n';
      if (blank || !line.empty()) out += indention;
    }
    out += line;
    heap.step_bytes(indention.size() + line.size());
    heap.check_size(out.size());
  }
  return make_text(heap, std::move(out), input.is_markup());
}

Value truncate(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  const Bound bound("truncate", arguments, {"length", "killwords", "end", "leeway"});
  Heap& heap = interpreter.heap();
  const std::string_view end = bound.text(2, "...");
  const int64_t length = bound.integer(0, 255);
  const int64_t leeway = bound.has_value(3) ? bound.integer(3, 5) : 5;
  const auto end_length = static_cast<int64_t>(count_characters(end));
  if (length < end_length) fail("truncate: expected length >= ", end_length, ", got ", length);
  if (leeway < 0) fail("truncate: expected leeway >= 0, got ", leeway);
  if (length_of(input) - leeway <= length) return input;
  if (!input.is_string()) fail("truncate needs a string, not ", type_name(input));
  const std::string_view text = input.text();
  heap.step_bytes(2 * text.size());
  std::string_view kept =
      text.substr(0, byte_offset(text, static_cast<size_t>(length - end_length)));
  if (!bound.truth(1, false)) kept = kept.substr(0, kept.rfind(' '));
  return make_text(heap, cat(kept, end), input.is_markup());
}

Value wordcount(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  const Bound bound("wordcount", arguments, {});
  const Value value = str_value(interpreter.heap(), input);
  const std::string_view text = value.text();
  interpreter.heap().step_bytes(2 * text.size());
  int64_t words = 0;
  bool inside = false;
  for (size_t at = 0; at < text.size();) {
    const char32_t c = next_character(text, at);
    const bool word = c == '_' || is_letter(c) || is_numeric(c);
    if (word && !inside) ++words;
    inside = word;
  }
  return Value::integer(words);
}

Value format(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  Heap& heap = interpreter.heap();
  if (!arguments.positional.empty() && !arguments.named.empty()) {
    fail("format can't handle positional and keyword arguments at the same time");
  }
  const Value text = str_value(heap, input);
  if (!arguments.named.empty()) {
    auto values = heap.make<Dict>();
    for (const auto& [name, value] : arguments.named) values->set_text(name, value);
    return format_percent(heap, text.text(), Value(Type::dict, values));
  }
  auto values = make_list(heap);
  for (const Value& value : arguments.positional) values->push(value);
  return format_percent(heap, text.text(), tuple_value(values));
}

constexpr Filter kTextFilters[] = {
    {"capitalize", mapped<capitalize>},
    {"center", center},
    {"format", format},
    {"indent", indent},
    {"lower", mapped<lower>},
    {"replace", replace},
    {"string", string},
    {"title", title_filter},
    {"trim", trim},
    {"truncate", truncate},
    {"upper", mapped<upper>},
    {"wordcount", wordcount},
};

}  // namespace

std::span<const Filter> text_filters() { return kTextFilters; }

}  // namespace awq::jinja
