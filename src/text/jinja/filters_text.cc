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

bool is_markup(const Value& value) { return value.is_string() && value.as<String>().markup; }

template <std::string (*Function)(std::string_view)>
Value mapped(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  const Bound bound("the filter", arguments, {});
  Heap& heap = interpreter.heap();
  const Value text = str_value(heap, input);
  heap.step_bytes(4 * text.text().size());
  return make_text(heap, Function(text.text()), is_markup(text));
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
                   is_markup(text));
}

Value center(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  const Bound bound("center", arguments, {"width"});
  Heap& heap = interpreter.heap();
  const Value text = str_value(heap, input);
  return make_text(heap, justify_text(heap, text.text(), bound.integer(0, 80), '^', " "),
                   is_markup(text));
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

Value safe(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  const Bound bound("safe", arguments, {});
  return make_text(interpreter.heap(), to_str(interpreter.heap(), input), true);
}

Value escaped(Heap& heap, std::string_view text) {
  heap.step_bytes(4 * text.size());
  return make_text(heap, escape_html(text), true);
}

template <bool kAlways>
Value escape(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  const Bound bound("escape", arguments, {});
  if (!kAlways && is_markup(input)) return input;
  return escaped(interpreter.heap(), to_str(interpreter.heap(), input));
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
  return make_text(heap, std::move(out), is_markup(input));
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
  if (input.is_undefined()) return input;
  if (!input.is_string()) fail("truncate needs a string, not ", type_name(input));
  const std::string_view text = input.text();
  if (length_of(input) - leeway <= length) return input;
  heap.step_bytes(2 * text.size());
  std::string_view kept = text.substr(0, byte_offset(text, static_cast<size_t>(length - end_length)));
  if (!bound.truth(1, false)) kept = kept.substr(0, kept.rfind(' '));
  return make_text(heap, cat(kept, end), is_markup(input));
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

void append_quoted(std::string& out, std::string_view text, bool query) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool alnum = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
    if (alnum || c == '_' || c == '.' || c == '-' || c == '~' || (c == '/' && !query)) {
      out += c;
    } else if (c == ' ' && query) {
      out += '+';
    } else {
      out += '%';
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
}

Value urlencode(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  const Bound bound("urlencode", arguments, {});
  Heap& heap = interpreter.heap();
  std::string out;
  const auto quote = [&](const Value& value, bool query) {
    const Value text = str_value(heap, value);
    heap.step_bytes(4 * text.text().size());
    append_quoted(out, text.text(), query);
    heap.check_size(out.size());
  };
  const auto pair = [&](const Value& key, const Value& value) {
    if (!out.empty()) out += '&';
    quote(key, true);
    out += '=';
    quote(value, true);
  };
  if (input.is_string() || !is_iterable(input)) {
    quote(input, false);
  } else if (input.is(Type::dict)) {
    for (const auto& entry : input.as<Dict>().entries) pair(entry.key, entry.value);
  } else {
    const Ref<List> items = iterate(heap, input);
    for (const Value& item : items->items) {
      const Ref<List> parts = iterate(heap, item);
      if (parts->items.size() != 2) fail("urlencode needs pairs of key and value");
      pair(parts->items[0], parts->items[1]);
    }
  }
  return make_text(heap, std::move(out));
}

Value xmlattr(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  const Bound bound("xmlattr", arguments, {"autospace"});
  Heap& heap = interpreter.heap();
  require_defined(input);
  if (!input.is(Type::dict)) fail("xmlattr needs a mapping, not ", type_name(input));
  std::string out;
  for (const auto& [key, value, hash] : input.as<Dict>().entries) {
    if (value.is_none() || value.is_undefined()) continue;
    if (!key.is_string()) fail("xmlattr: a key is no string");
    if (key.text().find_first_of(" \t\n\r\f\v/>=") != std::string_view::npos) {
      fail("invalid character in attribute name: '", printable(key.text(), 60), "'");
    }
    const Value shown = is_markup(value) ? value : escaped(heap, to_str(heap, value));
    if (!out.empty() || bound.truth(0, true)) out += ' ';
    out += cat(escape_html(key.text()), "=\"", shown.text(), "\"");
    heap.check_size(out.size());
  }
  return make_text(heap, std::move(out));
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

// transformers' tojson: json.dumps without the escapes for HTML that jinja2's own makes.
Value tojson(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  const Bound bound("tojson", arguments, {"ensure_ascii", "indent", "separators", "sort_keys"});
  Heap& heap = interpreter.heap();
  JsonStyle style;
  style.ascii = bound.truth(0, false);
  style.sort_keys = bound.truth(3, false);
  if (bound.has_value(1)) {
    style.lines = true;
    style.item_separator.assign(1, ',');
    if (bound[1].is_string()) {
      style.indent = bound[1].text();
    } else if (const int64_t width = bound.integer(1, 0); width > 0) {
      heap.check_size(static_cast<uint64_t>(width));
      style.indent.assign(static_cast<size_t>(width), ' ');
    }
  }
  if (bound.has_value(2)) {
    const Ref<List> separators = iterate(heap, bound[2]);
    const auto& items = separators->items;
    if (items.size() != 2 || !items[0].is_string() || !items[1].is_string()) {
      fail("tojson: separators must be two strings");
    }
    style.item_separator = items[0].text();
    style.key_separator = items[1].text();
  }
  return make_text(heap, to_json(heap, input, style));
}

constexpr Filter kFilters[] = {
    {"capitalize", mapped<capitalize>},
    {"center", center},
    {"e", escape<false>},
    {"escape", escape<false>},
    {"forceescape", escape<true>},
    {"format", format},
    {"indent", indent},
    {"lower", mapped<lower>},
    {"replace", replace},
    {"safe", safe},
    {"string", string},
    {"title", title_filter},
    {"tojson", tojson},
    {"trim", trim},
    {"truncate", truncate},
    {"upper", mapped<upper>},
    {"urlencode", urlencode},
    {"wordcount", wordcount},
    {"xmlattr", xmlattr},
};

}  // namespace

std::span<const Filter> text_filters() { return kFilters; }

}  // namespace awq::jinja
