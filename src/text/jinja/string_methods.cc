// The methods of strings.
#include <algorithm>

#include "text/jinja/attributes.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/print.h"
#include "text/jinja/pytext.h"
#include "text/jinja/replace.h"

namespace awq::jinja {
namespace {

using Texts = std::vector<std::string_view>;

template <std::string (*Function)(std::string_view)>
Value mapped(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  const Bound bound("the string method", arguments, {});
  interpreter.heap().step_bytes(4 * self.text().size());
  return make_text(interpreter.heap(), Function(self.text()));
}

template <bool kLeft, bool kRight>
Value stripped(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  const Bound bound("strip", arguments, {"chars"});
  const std::string_view chars = bound.has_value(0) ? bound.text(0, "") : "";
  // Every character of the text may be searched among `chars`.
  interpreter.heap().step_bytes(self.text().size() * (1 + chars.size() / 16));
  return make_text(
      interpreter.heap(),
      std::string(strip(self.text(), bound.has_value(0) ? &chars : nullptr, kLeft, kRight)));
}

Value text_list(Heap& heap, const Texts& parts) {
  auto list = make_list(heap);
  for (const std::string_view part : parts) list->push(make_text(heap, std::string(part)));
  return list_value(list);
}

template <bool kFromRight>
Value split(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  Heap& heap = interpreter.heap();
  const Bound bound("split", arguments, {"sep", "maxsplit"});
  const int64_t limit = bound.integer(1, -1);
  const std::string_view text = self.text();
  heap.step_bytes(2 * text.size());
  if (!bound.has_value(0)) {
    return text_list(heap, kFromRight ? rsplit_space(text, limit) : split_space(text, limit));
  }
  const std::string_view separator = bound.text(0, "");
  if (separator.empty()) fail("empty separator");
  return text_list(
      heap, kFromRight ? rsplit_at(text, separator, limit) : split_at(text, separator, limit));
}

Value splitlines(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  const Bound bound("splitlines", arguments, {"keepends"});
  interpreter.heap().step_bytes(self.text().size());
  return text_list(interpreter.heap(), split_lines(self.text(), bound.truth(0, false)));
}

template <bool kFromRight>
Value partition(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  Heap& heap = interpreter.heap();
  const Bound bound("partition", arguments, {"sep"});
  const std::string_view text = self.text(), separator = bound.text(0, "");
  if (separator.empty()) fail("empty separator");
  heap.step_bytes(text.size());
  const size_t found = kFromRight ? rfind_text(text, separator) : find_text(text, separator);
  Texts parts = {text, "", ""};
  if (found != text.npos) {
    parts = {text.substr(0, found), separator, text.substr(found + separator.size())};
  } else if (kFromRight) {
    parts = {"", "", text};
  }
  return Value(Type::tuple, Ref<List>(&text_list(heap, parts).as<List>()));
}

// The part of the text that start and end of find(), startswith()... select, as bytes.
struct Part {
  size_t begin = 0, end = 0;
  bool valid = true;
};
Part select_part(Heap& heap, const Value& self, const Bound& bound, size_t start, size_t stop) {
  const std::string_view text = self.text();
  if (!bound.has_value(start) && !bound.has_value(stop)) return {0, text.size()};
  const int64_t length = length_of(self);
  const auto clamp = [&](int64_t at) { return at < 0 ? std::max(at + length, int64_t{0}) : at; };
  const int64_t first = bound.has_value(start) ? clamp(bound.integer(start, 0)) : 0;
  const int64_t last =
      bound.has_value(stop) ? std::min(clamp(bound.integer(stop, 0)), length) : length;
  if (first > last) return {0, 0, false};
  heap.step_bytes(text.size());
  return {byte_offset(text, static_cast<size_t>(first)),
          byte_offset(text, static_cast<size_t>(last))};
}

template <bool kEnd>
Value starts_or_ends(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  const char* name = kEnd ? "endswith" : "startswith";
  const Bound bound(name, arguments, {"prefix", "start", "end"});
  const Part part = select_part(interpreter.heap(), self, bound, 1, 2);
  const std::string_view text = self.text().substr(part.begin, part.end - part.begin);
  const auto matches = [&](const Value& affix) {
    require_defined(affix);
    if (!affix.is_string()) {
      fail(name, " first arg must be str or a tuple of str, not ", type_name(affix));
    }
    const std::string_view fix = affix.text();
    interpreter.heap().step_bytes(fix.size());
    if (!part.valid || fix.size() > text.size()) return false;
    return (kEnd ? text.substr(text.size() - fix.size()) : text.substr(0, fix.size())) == fix;
  };
  const Value& affix = bound.required(0);
  if (!affix.is(Type::tuple)) return Value::boolean(matches(affix));
  return Value::boolean(std::any_of(affix.items().begin(), affix.items().end(), matches));
}

template <bool kFromRight, bool kMustExist>
Value find(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  Heap& heap = interpreter.heap();
  const Bound bound(kMustExist ? "index" : "find", arguments, {"sub", "start", "end"});
  bound.required(0);
  const Part part = select_part(heap, self, bound, 1, 2);
  const std::string_view text = self.text().substr(part.begin, part.end - part.begin);
  const std::string_view needle = bound.text(0, "");
  heap.step_bytes(2 * text.size());
  const size_t found = !part.valid  ? text.npos
                       : kFromRight ? rfind_text(text, needle)
                                    : find_text(text, needle);
  if (found != text.npos) {
    return Value::integer(
        static_cast<int64_t>(count_characters(self.text().substr(0, part.begin + found))));
  }
  if (kMustExist) fail("substring not found");
  return Value::integer(-1);
}

Value count(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  Heap& heap = interpreter.heap();
  const Bound bound("count", arguments, {"sub", "start", "end"});
  bound.required(0);
  const Part part = select_part(heap, self, bound, 1, 2);
  const std::string_view text = self.text().substr(part.begin, part.end - part.begin);
  const std::string_view needle = bound.text(0, "");
  heap.step_bytes(2 * text.size());
  if (!part.valid) return Value::integer(0);
  if (needle.empty()) return Value::integer(static_cast<int64_t>(count_characters(text)) + 1);
  int64_t total = 0;
  for (size_t at = find_text(text, needle); at != text.npos;
       at = find_text(text, needle, at + needle.size())) {
    ++total;
  }
  return Value::integer(total);
}

Value replace(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  const Bound bound("replace", arguments, {"old", "new", "count"});
  bound.required(0), bound.required(1);
  return make_text(interpreter.heap(),
                   replace_text(interpreter.heap(), self.text(), bound.text(0, ""),
                                bound.text(1, ""), bound.integer(2, -1)));
}

Value join(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  Heap& heap = interpreter.heap();
  const Bound bound("join", arguments, {"iterable"});
  const Ref<List> items = iterate(heap, bound.required(0));
  std::string out;
  for (size_t i = 0; i < items->items.size(); ++i) {
    const Value& item = items->items[i];
    if (!item.is_string()) {
      fail("sequence item ", i, ": expected str instance, ", type_name(item), " found");
    }
    if (i > 0) append_str(heap, out, self);
    append_str(heap, out, item);
  }
  return make_text(heap, std::move(out));
}

template <bool kEnd>
Value remove_affix(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  const Bound bound(kEnd ? "removesuffix" : "removeprefix", arguments, {"affix"});
  bound.required(0);
  const std::string_view affix = bound.text(0, "");
  std::string_view text = self.text();
  if (affix.size() <= text.size()) {
    if (kEnd && text.substr(text.size() - affix.size()) == affix) {
      text.remove_suffix(affix.size());
    } else if (!kEnd && text.substr(0, affix.size()) == affix) {
      text.remove_prefix(affix.size());
    }
  }
  return make_text(interpreter.heap(), std::string(text));
}

template <CharacterClass kClass>
Value is_class(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  const Bound bound("the string method", arguments, {});
  interpreter.heap().step_bytes(2 * self.text().size());
  return Value::boolean(all_of_class(self.text(), kClass));
}

template <bool kUpper>
Value is_case(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  const Bound bound("the string method", arguments, {});
  interpreter.heap().step_bytes(self.text().size());
  return Value::boolean(is_cased(self.text(), kUpper));
}

template <char kAlign>
Value justify(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  const Bound bound("the string method", arguments, {"width", "fillchar"});
  bound.required(0);
  const std::string_view fill = bound.text(1, " ");
  if (count_characters(fill) != 1) fail("the fill character must be exactly one character long");
  return make_text(interpreter.heap(), justify_text(interpreter.heap(), self.text(),
                                                    bound.integer(0, 0), kAlign, fill));
}

Value zfill(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  const Bound bound("zfill", arguments, {"width"});
  bound.required(0);
  std::string_view text = self.text();
  const bool sign = !text.empty() && (text[0] == '-' || text[0] == '+');
  int64_t width = bound.integer(0, 0);
  if (sign && width > INT64_MIN) --width;
  std::string digits = justify_text(interpreter.heap(), text.substr(sign ? 1 : 0), width, '>', "0");
  if (sign) digits.insert(digits.begin(), text[0]);
  return make_text(interpreter.heap(), std::move(digits));
}

Value format(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  return format_braces(interpreter.heap(), self.text(), arguments);
}

constexpr NamedNative kMethods[] = {
    {"strip", stripped<true, true>},
    {"lstrip", stripped<true, false>},
    {"rstrip", stripped<false, true>},
    {"split", split<false>},
    {"rsplit", split<true>},
    {"splitlines", splitlines},
    {"startswith", starts_or_ends<false>},
    {"endswith", starts_or_ends<true>},
    {"replace", replace},
    {"join", join},
    {"upper", mapped<upper>},
    {"lower", mapped<lower>},
    {"casefold", mapped<lower>},
    {"capitalize", mapped<capitalize>},
    {"title", mapped<title>},
    {"swapcase", mapped<swapcase>},
    {"find", find<false, false>},
    {"rfind", find<true, false>},
    {"index", find<false, true>},
    {"rindex", find<true, true>},
    {"count", count},
    {"format", format},
    {"partition", partition<false>},
    {"rpartition", partition<true>},
    {"removeprefix", remove_affix<false>},
    {"removesuffix", remove_affix<true>},
    {"isalpha", is_class<CharacterClass::alpha>},
    {"isdigit", is_class<CharacterClass::digit>},
    {"isdecimal", is_class<CharacterClass::decimal>},
    {"isnumeric", is_class<CharacterClass::numeric>},
    {"isalnum", is_class<CharacterClass::alnum>},
    {"isspace", is_class<CharacterClass::space>},
    {"isprintable", is_class<CharacterClass::printable>},
    {"isupper", is_case<true>},
    {"islower", is_case<false>},
    {"ljust", justify<'<'>},
    {"rjust", justify<'>'>},
    {"center", justify<'^'>},
    {"zfill", zfill},
};

}  // namespace

std::span<const NamedNative> string_methods() { return kMethods; }

}  // namespace awq::jinja
