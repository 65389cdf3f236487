// The GPT-2 byte alphabet: each byte as one printable character, so that a vocabulary of byte
// strings can be written as text. Bytes 33-126, 161-172 and 174-255 stand for themselves, the
// other 68 are U+0100, U+0101, ... in order.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace awq {

char32_t byte_character(uint8_t byte);
int character_byte(char32_t character);  ///< -1 when outside the alphabet

/// Every byte of `bytes` as its character, in UTF-8.
void append_byte_characters(std::string& out, std::string_view bytes);

/// Back to bytes; nothing when a character is outside the alphabet. `text` is valid UTF-8.
std::optional<std::string> bytes_of_characters(std::string_view text);

/// The byte of a byte-fallback token "<0x0A>"; -1 for any other text.
int fallback_byte(std::string_view token);

/// "<0x0A>".
std::string fallback_token(uint8_t byte);

}  // namespace awq
