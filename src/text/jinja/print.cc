#include "text/jinja/print.h"

#include <algorithm>

#include "text/jinja/compare.h"
#include "text/jinja/dict.h"
#include "text/jinja/number.h"
#include "text/jinja/objects.h"
#include "text/jinja/pytext.h"
#include "text/jinja/syntax.h"

namespace awq::jinja {
namespace {

void append_sequence(Heap& heap, std::string& out, const std::vector<Value>& items) {
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out += ", ";
    append_value_repr(heap, out, items[i]);
  }
}

void append_dict(Heap& heap, std::string& out, const Dict& dict) {
  out += '{';
  for (size_t i = 0; i < dict.entries.size(); ++i) {
    if (i > 0) out += ", ";
    append_value_repr(heap, out, dict.entries[i].key);
    out += ": ";
    append_value_repr(heap, out, dict.entries[i].value);
  }
  out += '}';
}

void append_range(std::string& out, const Range& range) {
  append_text(out, cat("range(", range.start, ", ", range.stop));
  if (range.step != 1) append_text(out, cat(", ", range.step));
  out += ')';
}

void append_object(Heap& heap, std::string& out, const Value& value) {
  switch (value.type()) {
    case Type::view:
      out += value.as<View>().name;
      out += "([";
      append_sequence(heap, out, value.as<View>().list->items);
      out += "])";
      break;
    case Type::range: append_range(out, value.as<Range>()); break;
    case Type::name_space:
      out += "<Namespace ";
      append_dict(heap, out, *value.as<Namespace>().attributes);
      out += '>';
      break;
    case Type::macro: {
      const std::string& name = value.as<Macro>().node->name;
      out += "<Macro ";
      if (name.empty()) {
        out += "anonymous";
      } else {
        append_repr(out, name);
      }
      out += '>';
      break;
    }
    case Type::loop: {
      const Loop& loop = value.as<Loop>();
      append_text(out, cat("<LoopContext ", loop.index + 1, "/", loop.items->items.size(), ">"));
      break;
    }
    // Python prints addresses here; a kind is all that can be said.
    default: append_text(out, cat("<", type_name(value), ">"));
  }
}

}  // namespace

void append_value_repr(Heap& heap, std::string& out, const Value& value) {
  heap.step();
  heap.check_size(out.size());
  Nesting nesting(heap);
  switch (value.type()) {
    case Type::undefined: out += "Undefined"; break;
    case Type::none: out += "None"; break;
    case Type::boolean: out += value.as_integer() != 0 ? "True" : "False"; break;
    case Type::integer: append_text(out, value.as_integer()); break;
    case Type::real: append_float(out, value.as_real()); break;
    case Type::string:
      heap.step_bytes(value.text().size());
      if (value.as<String>().markup) out += "Markup(";
      append_repr(out, value.text());
      if (value.as<String>().markup) out += ')';
      break;
    case Type::list:
      out += '[';
      append_sequence(heap, out, value.items());
      out += ']';
      break;
    case Type::tuple:
      out += '(';
      append_sequence(heap, out, value.items());
      out += value.items().size() == 1 ? ",)" : ")";
      break;
    case Type::dict: append_dict(heap, out, value.as<Dict>()); break;
    default: append_object(heap, out, value);
  }
}

void append_str(Heap& heap, std::string& out, const Value& value) {
  if (value.is_string()) {
    heap.step_bytes(value.text().size());
    heap.check_size(out.size() + value.text().size());
    out += value.text();
  } else if (!value.is_undefined()) {
    append_value_repr(heap, out, value);
  }
}

std::string to_str(Heap& heap, const Value& value) {
  std::string out;
  append_str(heap, out, value);
  return out;
}

Value str_value(Heap& heap, const Value& value) {
  return value.is_string() ? value : make_text(heap, to_str(heap, value));
}

namespace {

class JsonWriter {
 public:
  JsonWriter(Heap& heap, const JsonStyle& style) : heap_(heap), style_(style) {}

  std::string write(const Value& value) {
    append(value);
    return std::move(out_);
  }

 private:
  void append(const Value& value) {
    heap_.step();
    heap_.check_size(out_.size());
    Nesting nesting(heap_);
    switch (value.type()) {
      case Type::none: out_ += "null"; break;
      case Type::boolean: out_ += value.as_integer() != 0 ? "true" : "false"; break;
      case Type::integer: append_text(out_, value.as_integer()); break;
      case Type::real: append_real(value.as_real()); break;
      case Type::string: append_string(value.text()); break;
      case Type::list:
      case Type::tuple: append_list(value.items()); break;
      case Type::dict: append_dict(value.as<Dict>()); break;
      default: fail("Object of type ", type_name(value), " is not JSON serializable");
    }
  }

  void append_string(std::string_view text) {
    heap_.step_bytes(text.size());
    append_json_text(out_, text, style_.ascii);
  }

  void append_real(double value) {
    if (value != value) {
      out_ += "NaN";
    } else if (value - value != 0) {
      out_ += value > 0 ? "Infinity" : "-Infinity";
    } else {
      append_float(out_, value);
    }
  }

  void append_list(const std::vector<Value>& items) {
    out_ += '[';
    ++level_;
    for (size_t i = 0; i < items.size(); ++i) {
      begin_item(i == 0);
      append(items[i]);
    }
    end_items(']', items.empty());
  }

  void append_dict(const Dict& dict) {
    std::vector<const Dict::Entry*> entries;
    for (const auto& entry : dict.entries) entries.push_back(&entry);
    if (style_.sort_keys) {
      std::stable_sort(entries.begin(), entries.end(), [&](const auto* a, const auto* b) {
        return order(heap_, a->key, b->key) == Order::below;
      });
    }
    out_ += '{';
    ++level_;
    for (size_t i = 0; i < entries.size(); ++i) {
      begin_item(i == 0);
      append_key(entries[i]->key);
      out_ += style_.key_separator;
      append(entries[i]->value);
    }
    end_items('}', entries.empty());
  }

  void append_key(const Value& key) {
    if (key.is_string()) return append_string(key.text());
    if (!key.is_number() && !key.is_none()) {
      fail("keys must be str, int, float, bool or None, not ", type_name(key));
    }
    out_ += '"';
    append(key);
    out_ += '"';
  }

  void begin_item(bool first) {
    if (!first) out_ += style_.item_separator;
    new_line();
  }

  void end_items(char bracket, bool empty) {
    --level_;
    if (!empty) new_line();
    out_ += bracket;
  }

  void new_line() {
    if (!style_.lines) return;
    heap_.check_size(out_.size() + level_ * style_.indent.size());
    heap_.step_bytes(level_ * style_.indent.size());
    out_ += '\n';
    for (size_t i = 0; i < level_; ++i) out_ += style_.indent;
  }

  Heap& heap_;
  const JsonStyle& style_;
  std::string out_;
  size_t level_ = 0;
};

}  // namespace

std::string to_json(Heap& heap, const Value& value, const JsonStyle& style) {
  return JsonWriter(heap, style).write(value);
}

}  // namespace awq::jinja
