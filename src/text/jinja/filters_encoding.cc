// Filters that write text for other readers: HTML, URLs, JSON.
#include "text/jinja/dict.h"
#include "text/jinja/filters.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/print.h"
#include "text/jinja/pytext.h"

namespace awq::jinja {
namespace {

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
  if (!kAlways && input.is_markup()) return input;
  return escaped(interpreter.heap(), to_str(interpreter.heap(), input));
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
    const Value shown = value.is_markup() ? value : escaped(heap, to_str(heap, value));
    if (!out.empty() || bound.truth(0, true)) out += ' ';
    out += cat(escape_html(key.text()), "=\"", shown.text(), "\"");
    heap.check_size(out.size());
  }
  return make_text(heap, std::move(out));
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

constexpr Filter kEncodingFilters[] = {
    {"e", escape<false>}, {"escape", escape<false>}, {"forceescape", escape<true>}, {"safe", safe},
    {"tojson", tojson},   {"urlencode", urlencode},  {"xmlattr", xmlattr},
};

}  // namespace

std::span<const Filter> encoding_filters() { return kEncodingFilters; }

}  // namespace awq::jinja
