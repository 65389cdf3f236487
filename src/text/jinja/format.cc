// "%s" % values and "{}".format(values).
#include "text/jinja/attributes.h"
#include "text/jinja/dict.h"
#include "text/jinja/format_text.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/print.h"
#include "text/jinja/pytext.h"

namespace awq::jinja {
namespace {

class PercentFormatter {
 public:
  PercentFormatter(Heap& heap, std::string_view text, const Value& values)
      : heap_(heap), text_(text), values_(values) {}

  std::string format() {
    while (at_ < text_.size()) {
      if (text_[at_] != '%') {
        const size_t next = std::min(text_.find('%', at_), text_.size());
        append(text_.substr(at_, next - at_));
        at_ = next;
      } else if (++at_ >= text_.size()) {
        fail("incomplete format");
      } else {
        conversion();
      }
    }
    if (used_ < must_use()) fail("not all arguments converted during string formatting");
    return std::move(out_);
  }

 private:
  // How many values may not be left over. What has items could be meant for "%(key)s", so that
  // Python lets it pass.
  size_t must_use() const {
    switch (values_.type()) {
      case Type::tuple: return values_.items().size();
      case Type::list:
      case Type::dict:
      case Type::range:
      case Type::undefined: return 0;
      default: return 1;
    }
  }

  void append(std::string_view text) {
    heap_.check_size(out_.size() + text.size());
    heap_.step_bytes(text.size());
    out_ += text;
  }

  Value next_value() {
    if (!values_.is(Type::tuple)) {
      if (used_++ > 0) fail("not enough arguments for format string");
      return values_;
    }
    if (used_ >= values_.items().size()) fail("not enough arguments for format string");
    return values_.items()[used_++];
  }

  void conversion() {
    FieldFormat field;
    Value value;
    bool have_value = false;
    if (text_[at_] == '(') {
      const size_t close = text_.find(')', at_);
      if (close == text_.npos || !values_.is(Type::dict)) fail("format requires a mapping");
      const auto key = text_.substr(at_ + 1, close - at_ - 1);
      const Value* found = values_.as<Dict>().find_text(key);
      if (found == nullptr) fail("key '", printable(key, 60), "' is missing");
      value = *found;
      have_value = true;
      at_ = close + 1;
    }
    bool zero = false;
    for (; at_ < text_.size(); ++at_) {
      const char flag = text_[at_];
      if (flag == '-')
        field.align = '<';
      else if (flag == '0')
        zero = true;
      else if (flag == '+' || (flag == ' ' && field.sign == 0))
        field.sign = flag;
      else if (flag == '#')
        field.alternate = true;
      else
        break;
    }
    field.width = parse_count(text_, at_);
    if (at_ < text_.size() && text_[at_] == '.') field.precision = parse_count(text_, ++at_);
    if (at_ >= text_.size()) fail("incomplete format");
    field.type = text_[at_++];
    if (field.type == '%') return append("%");
    if (!have_value) value = next_value();
    if (field.type == 's' || field.type == 'r' || field.type == 'a')
      return text_field(field, value);
    static constexpr std::string_view kNumeric = "diuxXofFeEgG";
    if (kNumeric.find(field.type) == kNumeric.npos) {
      fail("unsupported format character '", printable({&field.type, 1}), "'");
    }
    if (zero && field.align == 0) {
      field.align = '=';
      field.fill.assign(1, '0');
    }
    append(format_number(value, field));
  }

  void text_field(const FieldFormat& field, const Value& value) {
    std::string shown;
    if (field.type == 's') {
      append_str(heap_, shown, value);
    } else {
      append_value_repr(heap_, shown, value);
    }
    if (field.precision >= 0) {
      shown.resize(byte_offset(shown, static_cast<size_t>(field.precision)));
    }
    append(pad_field(std::move(shown), field, '>'));
  }

  Heap& heap_;
  std::string_view text_;
  const Value& values_;
  std::string out_;
  size_t at_ = 0, used_ = 0;
};

FieldFormat parse_spec(std::string_view spec) {
  FieldFormat field;
  size_t at = 0;
  const auto is_align = [](char c) { return c == '<' || c == '>' || c == '^' || c == '='; };
  if (!spec.empty()) {
    const size_t first = character_size(spec, 0);
    if (first < spec.size() && is_align(spec[first])) {
      field.fill = spec.substr(0, first);
      field.align = spec[first];
      at = first + 1;
    } else if (is_align(spec[0])) {
      field.align = spec[0];
      at = 1;
    }
  }
  const auto skip = [&](char c) { return at < spec.size() && spec[at] == c && ++at > 0; };
  if (skip('+'))
    field.sign = '+';
  else if (skip(' '))
    field.sign = ' ';
  else
    skip('-');
  field.alternate = skip('#');
  if (skip('0') && field.align == 0) {
    field.align = '=';
    field.fill.assign(1, '0');
  }
  field.width = parse_count(spec, at);
  field.comma = skip(',');
  if (skip('.')) field.precision = parse_count(spec, at);
  if (at < spec.size()) field.type = spec[at++];
  if (at != spec.size()) fail("invalid format specifier '", printable(spec, 40), "'");
  return field;
}

std::string format_field(Heap& heap, const Value& value, std::string_view spec) {
  if (spec.empty()) return to_str(heap, value);
  FieldFormat field = parse_spec(spec);
  static constexpr std::string_view kNumeric = "dxXobfFeEgG%";
  const bool number = field.type != 0 && kNumeric.find(field.type) != kNumeric.npos;
  const bool plain_number = field.type == 0 && value.is_number() && !value.is(Type::boolean);
  if (number || plain_number) {
    if (field.type == 0) field.type = value.is_integral() ? 'd' : field.precision < 0 ? 0 : 'g';
    return format_number(value, field);
  }
  const bool as_text = field.type == 0 || (field.type == 's' && value.is_string());
  if (!as_text) fail("unknown format code for an object of type '", type_name(value), "'");
  std::string shown = to_str(heap, value);
  if (field.precision >= 0) {
    shown.resize(byte_offset(shown, static_cast<size_t>(field.precision)));
  }
  return pad_field(std::move(shown), field, '<');
}

// "name", "0", "" before the attributes and keys of a field.
Value field_value(Heap& heap, std::string_view name, const Arguments& arguments,
                  size_t& automatic) {
  const size_t path = std::min(name.find_first_of(".["), name.size());
  const std::string_view first = name.substr(0, path);
  Value value;
  if (first.empty() || first.find_first_not_of("0123456789") == first.npos) {
    size_t at = 0;
    const size_t index = first.empty() ? automatic++ : static_cast<size_t>(parse_count(first, at));
    if (index >= arguments.positional.size()) {
      fail("replacement index ", index, " out of range for positional args tuple");
    }
    value = arguments.positional[index];
  } else {
    const Value* found = arguments.find(first);
    if (found == nullptr) fail("format misses the key '", printable(first, 60), "'");
    value = *found;
  }
  for (size_t at = path; at < name.size();) {
    if (name[at] == '.') {
      const size_t end = std::min(name.find_first_of(".[", at + 1), name.size());
      value = get_attribute(heap, value, name.substr(at + 1, end - at - 1));
      at = end;
      continue;
    }
    const size_t close = name.find(']', at);
    if (name[at] != '[' || close == name.npos) fail("bad field in a format string");
    const std::string_view key = name.substr(at + 1, close - at - 1);
    const auto index = parse_integer(key);
    value =
        get_item(heap, value, index ? Value::integer(*index) : make_text(heap, std::string(key)));
    at = close + 1;
  }
  return value;
}

}  // namespace

Value format_percent(Heap& heap, std::string_view text, const Value& values) {
  return make_text(heap, PercentFormatter(heap, text, values).format());
}

Value format_braces(Heap& heap, std::string_view text, const Arguments& arguments) {
  std::string out;
  size_t automatic = 0;
  for (size_t at = 0; at < text.size();) {
    heap.step();
    heap.check_size(out.size());
    const char c = text[at];
    if (c != '{' && c != '}') {
      const size_t next = std::min(text.find_first_of("{}", at), text.size());
      out += text.substr(at, next - at);
      at = next;
    } else if (at + 1 < text.size() && text[at + 1] == c) {
      out += c;
      at += 2;
    } else if (c == '}') {
      fail("single '}' encountered in format string");
    } else {
      const size_t close = text.find('}', at);
      if (close == text.npos) fail("single '{' encountered in format string");
      std::string_view field = text.substr(at + 1, close - at - 1);
      if (field.find('{') != field.npos) fail("nested fields in a format are not supported");
      const size_t colon = std::min(field.find(':'), field.size());
      const std::string_view spec = colon < field.size() ? field.substr(colon + 1) : "";
      std::string_view name = field.substr(0, colon);
      const size_t bang = name.find('!');
      const std::string_view conversion = bang == name.npos ? "" : name.substr(bang);
      Value value = field_value(heap, name.substr(0, bang), arguments, automatic);
      if (conversion == "!r") {
        std::string shown;
        append_value_repr(heap, shown, value);
        value = make_text(heap, std::move(shown));
      } else if (conversion == "!s") {
        value = str_value(heap, value);
      } else if (!conversion.empty()) {
        fail("unknown conversion in a format string");
      }
      out += format_field(heap, value, spec);
      at = close + 1;
    }
  }
  return make_text(heap, std::move(out));
}

}  // namespace awq::jinja
