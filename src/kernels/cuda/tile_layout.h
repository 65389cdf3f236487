// Where the parts of a tile lie (quant_tiles.h says it in words): for the host's packing, which is
// the oracle, and for the kernel that packs on the device.
#pragma once

#ifdef __CUDACC__
#define AWQ_HOST_DEVICE __host__ __device__
#else
#define AWQ_HOST_DEVICE
#endif

namespace awq::cuda {

struct CodePlace {
  int word;  ///< of 32 bits, among the 4-bit codes of a tile
  int bit;   ///< of that word
};

/// Of (row, input) of a tile among 4-bit codes.
AWQ_HOST_DEVICE inline CodePlace code_place(int row, int input) {
  const int h = row / 16, r8 = row / 8 % 2, g = row % 8;
  const int u = input / 64, run = input % 64 / 32, j = input % 32 / 8, rest = input % 8;
  const int s = 2 * run + rest / 4, hi = rest % 4 / 2, el = rest % 2;
  return {((2 * h + u) * 32 + 4 * g + j) * 4 + s, el * 16 + hi * 8 + r8 * 4};
}

/// A part of a code: `width` bits from bit `shift` on lie at `bit` of 32-bit word `word`.
struct CodeField {
  int word, bit, width, shift;
};
struct CodeFields {
  CodeField field[2];
  int count;
};
AWQ_HOST_DEVICE inline CodeFields code_fields(int bits, int row, int input) {
  constexpr int kWords = 32 * 128 / 8;  // of 4-bit codes in a tile
  const CodePlace place = code_place(row, input);
  const int two = place.word * 16 + place.bit / 2, one = place.word * 8 + place.bit / 4;
  switch (bits) {
    case 2: return {{{two / 32, two % 32, 2, 0}}, 1};
    case 3: return {{{two / 32, two % 32, 2, 0}, {kWords / 2 + one / 32, one % 32, 1, 2}}, 2};
    case 4: return {{{place.word, place.bit, 4, 0}}, 1};
    default:
      return {{{place.word, place.bit, 4, 0}, {kWords + place.word, place.bit, 4, 4}}, 2};
  }
}

/// Index of a row's scale among the 32 of a group.
AWQ_HOST_DEVICE inline int scale_index(int row) { return row % 8 * 4 + row / 8; }

/// Byte of a group's meta with a row's zero, and the bit it begins at.
struct ZeroPlace {
  int byte, shift;
};
AWQ_HOST_DEVICE inline ZeroPlace zero_place(int bits, int row) {
  if (bits == 8) return {64 + scale_index(row), 0};
  return {64 + row % 8 * 2 + row / 16, row / 8 % 2 * 4};
}

}  // namespace awq::cuda
