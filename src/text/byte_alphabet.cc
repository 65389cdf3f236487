#include "text/byte_alphabet.h"

#include <array>
#include <charconv>

#include "text/unicode.h"

namespace awq {
namespace {

constexpr int kCharacters = 0x100 + 68;

struct Alphabet {
  std::array<char32_t, 256> characters{};
  std::array<int16_t, kCharacters> bytes{};
  std::array<std::string, 256> utf8;

  Alphabet() {
    bytes.fill(-1);
    char32_t next = 0x100;
    for (int byte = 0; byte < 256; ++byte) {
      const bool itself = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) ||
                          byte >= 174;
      const char32_t c = itself ? static_cast<char32_t>(byte) : next++;
      characters[byte] = c;
      bytes[c] = static_cast<int16_t>(byte);
      append_utf8(utf8[byte], c);
    }
  }
};

const Alphabet& alphabet() {
  static const Alphabet instance;
  return instance;
}

}  // namespace

char32_t byte_character(uint8_t byte) { return alphabet().characters[byte]; }

int character_byte(char32_t c) { return c < kCharacters ? alphabet().bytes[c] : -1; }

void append_byte_characters(std::string& out, std::string_view bytes) {
  const Alphabet& table = alphabet();
  for (const char byte : bytes) out.append(table.utf8[static_cast<uint8_t>(byte)]);
}

std::optional<std::string> bytes_of_characters(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const int byte = character_byte(next_character(text, i));
    if (byte < 0) return std::nullopt;
    out.push_back(static_cast<char>(byte));
  }
  return out;
}

int fallback_byte(std::string_view token) {
  if (token.size() != 6 || token.substr(0, 3) != "<0x" || token[5] != '>') return -1;
  unsigned value = 0;
  const auto [end, error] = std::from_chars(token.data() + 3, token.data() + 5, value, 16);
  return error == std::errc() && end == token.data() + 5 ? static_cast<int>(value) : -1;
}

std::string fallback_token(uint8_t byte) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  return {'<', '0', 'x', digits[byte >> 4], digits[byte & 15], '>'};
}

}  // namespace awq
