// Python's string functions over UTF-8. Positions and lengths are in characters.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace awq::jinja {

/// Bytes of the character that starts at `offset`.
inline size_t character_size(std::string_view text, size_t offset) {
  const auto lead = static_cast<unsigned char>(text[offset]);
  return lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
}

size_t count_characters(std::string_view text);

/// The byte where character `index` starts; the end when there are fewer.
size_t byte_offset(std::string_view text, size_t index);

/// text.find(needle, from) and text.rfind(needle), but in linear time whatever the texts: a
/// template may choose both.
size_t find_text(std::string_view text, std::string_view needle, size_t from = 0);
size_t rfind_text(std::string_view text, std::string_view needle);

bool is_space(char32_t c);      ///< str.isspace
bool is_printable(char32_t c);  ///< str.isprintable

/// Strips white space, or the characters of `*chars`.
std::string_view strip(std::string_view text, const std::string_view* chars, bool left = true,
                       bool right = true);

std::string upper(std::string_view text);
std::string lower(std::string_view text);
std::string capitalize(std::string_view text);
std::string title(std::string_view text);
std::string swapcase(std::string_view text);

/// Whether all cased characters are of that case, and there is one.
bool is_cased(std::string_view text, bool upper);
enum class CharacterClass { alpha, digit, decimal, numeric, alnum, space, printable };
/// Whether all characters are of the class, and there is one (printable: or none).
bool all_of_class(std::string_view text, CharacterClass kind);

/// str.split / rsplit: at white space without a separator; `limit` below 0 is no limit.
std::vector<std::string_view> split_space(std::string_view text, int64_t limit);
std::vector<std::string_view> rsplit_space(std::string_view text, int64_t limit);
std::vector<std::string_view> split_at(std::string_view text, std::string_view separator,
                                       int64_t limit);
std::vector<std::string_view> rsplit_at(std::string_view text, std::string_view separator,
                                        int64_t limit);
std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends);

/// repr(text)
void append_repr(std::string& out, std::string_view text);

/// The text as a JSON string, as json.dumps writes it.
void append_json_text(std::string& out, std::string_view text, bool ascii);

/// &, <, >, ' and " as markupsafe escapes them.
std::string escape_html(std::string_view text);

}  // namespace awq::jinja
