// A checksum against accidents: files that were cut, overwritten or mixed up. Not against forgers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/bytes.h"

namespace awq {

/// FNV-1a's steps over words of eight bytes, the last one filled up with zeros, and over the length.
inline uint64_t checksum(const void* data, size_t size, uint64_t start = 0xcbf29ce484222325u) {
  constexpr uint64_t kPrime = 0x100000001b3u;
  const auto* bytes = static_cast<const char*>(data);
  uint64_t sum = start;
  size_t at = 0;
  for (; at + 8 <= size; at += 8) sum = (sum ^ load_le<uint64_t>(bytes + at)) * kPrime;
  char rest[8] = {};
  for (size_t i = 0; at + i < size; ++i) rest[i] = bytes[at + i];
  sum = (sum ^ load_le<uint64_t>(rest)) * kPrime;
  sum = (sum ^ size) * kPrime;
  return sum ^ sum >> 32;
}

/// Sixteen digits.
inline std::string hex_of(uint64_t value) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string text;
  for (int shift = 60; shift >= 0; shift -= 4) text.push_back(kHex[(value >> shift) & 15]);
  return text;
}

}  // namespace awq
