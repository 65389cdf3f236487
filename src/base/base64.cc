#include "base/base64.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include "base/format.h"

namespace awq {
namespace {

constexpr std::string_view kBase64Digits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

}  // namespace

std::string encode_base64(std::string_view bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t bits = 0;
    for (size_t k = 0; k < 3; ++k) {
      bits = (bits << 8) | (i + k < bytes.size() ? static_cast<uint8_t>(bytes[i + k]) : 0u);
    }
    const size_t digits = std::min<size_t>(bytes.size() - i, 3) + 1;
    for (size_t k = 0; k < 4; ++k) {
      out.push_back(k < digits ? kBase64Digits[(bits >> (18 - 6 * k)) & 63] : '=');
    }
  }
  return out;
}

Result<std::string> decode_base64(std::string_view text, std::string_view where) {
  static const std::array<int8_t, 256> values = [] {
    std::array<int8_t, 256> table{};
    table.fill(-1);
    for (size_t i = 0; i < kBase64Digits.size(); ++i) {
      table[static_cast<uint8_t>(kBase64Digits[i])] = static_cast<int8_t>(i);
    }
    return table;
  }();
  const size_t length = text.size();
  while (!text.empty() && text.back() == '=') text.remove_suffix(1);
  if (length % 4 != 0 || length - text.size() > 2) {
    return bad_input(cat(where, ": not base64 of whole groups"));
  }
  std::string out;
  out.reserve(length / 4 * 3);
  uint32_t bits = 0;
  int have = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const int8_t value = values[static_cast<uint8_t>(text[i])];
    if (value < 0) return bad_input(cat(where, ": not base64 at character ", i));
    bits = (bits << 6) | static_cast<uint32_t>(value);
    have += 6;
    if (have < 8) continue;
    have -= 8;
    out.push_back(static_cast<char>((bits >> have) & 0xFF));
  }
  return out;
}

}  // namespace awq
