// Vectors of 16 bytes whose elements are interleaved, for transposing small blocks while weights are packed.
// Any x86-64 and ARM64 processor has these instructions; compilers know them by this notation.
#pragma once

#include <cstdint>
#include <cstring>

namespace awq::cpu {

typedef uint8_t Bytes16 __attribute__((vector_size(16)));
typedef uint16_t Shorts8 __attribute__((vector_size(16)));
typedef uint32_t Words4 __attribute__((vector_size(16)));

template <class V>
V load_vector(const void* from) {
  V v;
  std::memcpy(&v, from, sizeof v);
  return v;
}

/// a[0], b[0], a[1], b[1], ..: the lower halves; then the upper ones.
inline Bytes16 zip_low(Bytes16 a, Bytes16 b) {
  return __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}
inline Bytes16 zip_high(Bytes16 a, Bytes16 b) {
  return __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
}
inline Shorts8 zip_low(Shorts8 a, Shorts8 b) {
  return __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
}
inline Shorts8 zip_high(Shorts8 a, Shorts8 b) {
  return __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
}
inline Words4 zip_low(Words4 a, Words4 b) { return __builtin_shufflevector(a, b, 0, 4, 1, 5); }
inline Words4 zip_high(Words4 a, Words4 b) { return __builtin_shufflevector(a, b, 2, 6, 3, 7); }

/// A square of as many vectors as one has elements: rows become columns.
template <int kSize, class V>
void transpose_square(V (&v)[kSize]) {
  static_assert(sizeof(V) / sizeof(v[0][0]) == kSize);
  for (int size = 1; size < kSize; size *= 2) {
    V zipped[kSize];
    for (int i = 0; i < kSize / 2; ++i) {
      zipped[2 * i] = zip_low(v[i], v[i + kSize / 2]);
      zipped[2 * i + 1] = zip_high(v[i], v[i + kSize / 2]);
    }
    for (int i = 0; i < kSize; ++i) v[i] = zipped[i];
  }
}

}  // namespace awq::cpu
