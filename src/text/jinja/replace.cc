#include "text/jinja/replace.h"

#include "text/jinja/pytext.h"

namespace awq::jinja {

std::string replace_text(Heap& heap, std::string_view text, std::string_view from,
                         std::string_view to, int64_t count) {
  heap.step_bytes(2 * text.size());
  std::string out;
  const auto append = [&](std::string_view part) {
    heap.check_size(out.size() + part.size());
    heap.step_bytes(part.size());
    out += part;
  };
  size_t at = 0;
  for (; count != 0; --count) {
    if (from.empty()) {  // between all characters, and at both ends
      append(to);
      if (at >= text.size()) break;
      const size_t size = character_size(text, at);
      append(text.substr(at, size));
      at += size;
      continue;
    }
    const size_t found = find_text(text, from, at);
    if (found == text.npos) break;
    append(text.substr(at, found - at));
    append(to);
    at = found + from.size();
  }
  append(text.substr(at));
  return out;
}

std::string justify_text(Heap& heap, std::string_view text, int64_t width, char align,
                         std::string_view fill) {
  const auto length = static_cast<int64_t>(count_characters(text));
  if (width <= length) return std::string(text);
  const auto missing = static_cast<uint64_t>(width - length);
  const uint64_t limit = heap.limits().output_bytes;
  heap.check_size(missing > limit ? limit + 1 : missing * fill.size() + text.size());
  heap.step_bytes(missing);
  // str.center puts the odd one left when the width is odd.
  const uint64_t left = align == '<'   ? 0
                        : align == '>' ? missing
                                       : missing / 2 + (missing & static_cast<uint64_t>(width) & 1);
  std::string out;
  for (uint64_t i = 0; i < left; ++i) out += fill;
  out += text;
  for (uint64_t i = left; i < missing; ++i) out += fill;
  return out;
}

}  // namespace awq::jinja
