// Texts written for other readers: Python's repr, JSON, HTML.
#include "text/jinja/pytext.h"
#include "text/unicode.h"

namespace awq::jinja {
namespace {

void append_hex(std::string& out, char32_t value, int digits) {
  static constexpr char kHex[] = "0123456789abcdef";
  for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) out += kHex[(value >> shift) & 15];
}

void append_escaped(std::string& out, char32_t c) {
  out += c < 0x100 ? "\\x" : c < 0x10000 ? "\\u" : "\\U";
  append_hex(out, c, c < 0x100 ? 2 : c < 0x10000 ? 4 : 8);
}

void append_json_escape(std::string& out, char32_t c) {
  if (c >= 0x10000) {
    append_json_escape(out, 0xD800 + ((c - 0x10000) >> 10));
    c = 0xDC00 + ((c - 0x10000) & 0x3FF);
  }
  out += "\\u";
  append_hex(out, c, 4);
}

}  // namespace

void append_repr(std::string& out, std::string_view text) {
  const bool both = text.find('\'') != text.npos && text.find('"') == text.npos;
  const char quote = both ? '"' : '\'';
  out += quote;
  for (size_t i = 0; i < text.size();) {
    const char32_t c = next_character(text, i);
    if (c == '\\' || c == static_cast<char32_t>(quote)) {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (is_printable(c)) {
      append_utf8(out, c);
    } else {
      append_escaped(out, c);
    }
  }
  out += quote;
}

void append_json_text(std::string& out, std::string_view text, bool ascii) {
  out += '"';
  for (size_t i = 0; i < text.size();) {
    const size_t begin = i;
    const char32_t c = next_character(text, i);
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      case '\f': out += "\\f"; break;
      case '\b': out += "\\b"; break;
      default:
        if (c < 0x20 || (ascii && c >= 0x7F)) {
          append_json_escape(out, c);
        } else {
          out.append(text.substr(begin, i - begin));
        }
    }
  }
  out += '"';
}

std::string escape_html(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '\'': out += "&#39;"; break;
      case '"': out += "&#34;"; break;
      default: out += c;
    }
  }
  return out;
}

}  // namespace awq::jinja
