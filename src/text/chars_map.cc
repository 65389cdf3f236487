#include "text/chars_map.h"

#include <utf8proc.h>

#include "base/base64.h"
#include "base/format.h"
#include "text/unicode.h"

namespace awq {
namespace {

constexpr size_t kLongestGrapheme = 5;  // bytes; longer ones are mapped by characters

// A unit of the double array.
bool has_leaf(uint32_t unit) { return ((unit >> 8) & 1) != 0; }
uint32_t leaf_value(uint32_t unit) { return unit & 0x7FFFFFFFu; }
uint32_t label(uint32_t unit) { return unit & 0x800000FFu; }
uint32_t offset(uint32_t unit) { return (unit >> 10) << ((unit & 0x200u) >> 6); }

}  // namespace

Result<CharsMap> CharsMap::parse(std::string_view bytes, std::string_view where) {
  const auto unit = [&](size_t at) {
    uint32_t value = 0;
    for (size_t i = 0; i < 4; ++i) {
      value |= static_cast<uint32_t>(static_cast<uint8_t>(bytes[at + i])) << (8 * i);
    }
    return value;
  };
  if (bytes.size() < 4) return bad_input(cat(where, ": ", bytes.size(), " bytes hold no map"));
  const uint32_t size = unit(0);
  if (size % 4 != 0 || size < 4 || size > bytes.size() - 4) {
    return bad_input(cat(where, ": an array of ", size, " bytes in a map of ", bytes.size()));
  }
  CharsMap map;
  for (size_t at = 4; at < 4 + size_t{size}; at += 4) map.units_.push_back(unit(at));
  map.replacements_ = bytes.substr(4 + size_t{size});
  if (!is_utf8(map.replacements_)) {
    return bad_input(cat(where, ": the replacements are not valid UTF-8"));
  }
  return map;
}

Result<CharsMap> CharsMap::parse_base64(std::string_view text, std::string_view where) {
  AWQ_ASSIGN(const std::string bytes, decode_base64(text, where));
  return parse(bytes, where);
}

std::optional<std::string_view> CharsMap::replacement(uint32_t at) const {
  if (at > replacements_.size()) return std::nullopt;
  const std::string_view rest = std::string_view(replacements_).substr(at);
  if (!rest.empty() && (static_cast<uint8_t>(rest[0]) & 0xC0) == 0x80) return std::nullopt;
  return rest.substr(0, rest.find('\0'));
}

std::optional<CharsMap::Match> CharsMap::find(std::string_view text, bool longest) const {
  std::optional<Match> found;
  size_t node = offset(units_[0]);
  for (size_t i = 0; i < text.size() && text[i] != '\0'; ++i) {
    const auto byte = static_cast<uint8_t>(text[i]);
    node ^= byte;
    if (node >= units_.size() || label(units_[node]) != byte) break;
    const uint32_t unit = units_[node];
    node ^= offset(unit);
    if (!has_leaf(unit)) continue;
    if (node >= units_.size()) break;
    if (const auto text_there = replacement(leaf_value(units_[node]))) {
      found = Match{i + 1, *text_there};
      if (!longest) break;
    }
  }
  return found;
}

std::string CharsMap::apply_longest(std::string_view text, size_t limit,
                                    const ByteTrie& kept) const {
  std::string out;
  for (size_t i = 0; i < text.size() && out.size() <= limit;) {
    size_t keep = 0;
    kept.for_each_prefix(text.substr(i), [&](size_t length, TokenId) { keep = length; });
    if (keep > 0) {
      out.append(text.substr(i, keep));
      i += keep;
      continue;
    }
    size_t next = i;
    next_character(text, next);
    const auto match = longest(text.substr(i));
    // A key that ends inside of a character would break the text.
    const bool whole = match && (i + match->length == text.size() ||
                                 (static_cast<uint8_t>(text[i + match->length]) & 0xC0) != 0x80);
    out.append(whole ? match->replacement : text.substr(i, next - i));
    i = whole ? i + match->length : next;
  }
  return out;
}

std::string CharsMap::apply_to_graphemes(std::string_view text, size_t limit) const {
  std::string out;
  const auto put = [&](std::string_view part) {
    const auto match = shortest(part);
    if (match) out.append(match->replacement);
    return match.has_value();
  };
  for (size_t i = 0; i < text.size() && out.size() <= limit;) {
    size_t end = i;
    char32_t before = next_character(text, end);
    utf8proc_int32_t state = 0;
    while (end < text.size()) {
      size_t next = end;
      const char32_t after = next_character(text, next);
      if (utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(before),
                                           static_cast<utf8proc_int32_t>(after), &state)) {
        break;
      }
      before = after, end = next;
    }
    const std::string_view grapheme = text.substr(i, end - i);
    i = end;
    if (grapheme.size() <= kLongestGrapheme && put(grapheme)) continue;
    for (size_t at = 0; at < grapheme.size();) {
      const size_t begin = at;
      next_character(grapheme, at);
      const std::string_view part = grapheme.substr(begin, at - begin);
      if (!put(part)) out.append(part);
    }
  }
  return out;
}

}  // namespace awq
