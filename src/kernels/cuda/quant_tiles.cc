#include "kernels/cuda/quant_tiles.h"

#include <algorithm>
#include <cstring>

#include "base/float16.h"

namespace awq::cuda {
namespace {

struct Position {
  int64_t lane_word;  ///< 32-bit word of 4-bit codes within the tile
  int bit;            ///< of that word
};

// Where the code of (row, input) of a tile lies among 4-bit codes.
Position position(int64_t row, int64_t input) {
  const int64_t h = row / 16, r8 = row / 8 % 2, g = row % 8;
  const int64_t u = input / 64, run = input % 64 / 32, j = input % 32 / 8, rest = input % 8;
  const int64_t s = 2 * run + rest / 4, hi = rest % 4 / 2, el = rest % 2;
  return {((2 * h + u) * 32 + 4 * g + j) * 4 + s, static_cast<int>(el * 16 + hi * 8 + r8 * 4)};
}

// Calls f(word, bit, width, shift): `width` bits of the code from `shift` on lie at that bit of
// that 32-bit word.
template <class F>
void for_fields(int bits, int64_t row, int64_t input, F&& f) {
  const auto [word, bit] = position(row, input);
  constexpr int64_t kWords = kTileRows * kTileInputs / 8;  // of 4-bit codes in a tile
  const auto narrow = [&](int64_t base, int width, int shift) {
    const int64_t at = word * 32 * width / 4 + bit / 4 * width;
    f(base + at / 32, static_cast<int>(at % 32), width, shift);
  };
  switch (bits) {
    case 2: return narrow(0, 2, 0);
    case 3:
      narrow(0, 2, 0);
      return narrow(kWords / 2, 1, 2);
    case 4: return f(word, bit, 4, 0);
    default:
      f(word, bit, 4, 0);
      return f(kWords + word, bit, 4, 4);
  }
}

size_t scale_index(int64_t row) { return static_cast<size_t>(row % 8 * 4 + row / 8); }

struct ZeroPlace {
  size_t byte;
  int shift;
};
ZeroPlace zero_place(int bits, int64_t row) {
  if (bits == 8) return {64 + scale_index(row), 0};
  return {static_cast<size_t>(64 + row % 8 * 2 + row / 16), static_cast<int>(row / 8 % 2 * 4)};
}

// f(row of the weight, tile, row of the tile)
template <class F>
void for_tile_rows(const TileShape& shape, F&& f) {
  for (int64_t row = 0; row < shape.out; ++row) {
    for (int64_t t = 0; t < shape.strip_tiles(); ++t) {
      f(row, row / kTileRows * shape.strip_tiles() + t, row % kTileRows, t * kTileInputs);
    }
  }
}

}  // namespace

TileShape::TileShape(const QuantFormat& format, int64_t out_, int64_t in_)
    : out(out_), in(in_), bits(format.bits),
      groups(format.group > 0 && format.group < kTileInputs
                 ? static_cast<int>(kTileInputs / format.group) : 1) {}

bool tileable(const QuantFormat& format) {
  return format.group == 0 || format.group == 32 || format.group == 64 ||
         format.group % kTileInputs == 0;
}

bool fits_halves(const QuantWeight& weight) {
  uint16_t most = 0;  // without signs, halves are ordered like their bits
  for (const uint16_t scale : weight.scales) {
    most = std::max(most, static_cast<uint16_t>(scale & 0x7fff));
  }
  return half_to_float(most) * static_cast<float>(weight.format.max_code()) <= 65504.f;
}

Tiles pack_tiles(const QuantWeight& weight) {
  AWQ_CHECK(tileable(weight.format), weight.format.group);
  Tiles tiles{TileShape(weight.format, weight.out, weight.in), {}, {}};
  const TileShape& shape = tiles.shape;
  tiles.codes.resize(static_cast<size_t>(shape.tiles() * shape.code_bytes()));
  tiles.meta.resize(static_cast<size_t>(shape.tiles() * shape.meta_bytes()));
  const int64_t step = kTileInputs / shape.groups, size = weight.format.group_size(weight.in);
  for_tile_rows(shape, [&](int64_t row, int64_t tile, int64_t r, int64_t first) {
    auto* words = reinterpret_cast<uint32_t*>(tiles.codes.data() + tile * shape.code_bytes());
    for (int64_t i = first; i < std::min(first + kTileInputs, weight.in); ++i) {
      const uint32_t code = weight.codes[static_cast<size_t>(row * weight.in + i)];
      for_fields(shape.bits, r, i - first, [&](int64_t word, int bit, int width, int shift) {
        words[word] |= (code >> shift & ((1u << width) - 1)) << bit;
      });
    }
    for (int64_t g = 0; g < shape.groups; ++g) {
      const int64_t input = first + g * step;
      if (input >= weight.in) continue;
      const auto at = static_cast<size_t>(row * weight.groups() + input / size);
      uint8_t* meta = tiles.meta.data() + tile * shape.meta_bytes() + g * shape.group_meta_bytes();
      std::memcpy(meta + 2 * scale_index(r), &weight.scales[at], 2);
      const auto [byte, shift] = zero_place(shape.bits, r);
      meta[byte] = static_cast<uint8_t>(meta[byte] | weight.zeros[at] << shift);
    }
  });
  return tiles;
}

QuantWeight unpack_tiles(const Tiles& tiles, const QuantFormat& format) {
  const TileShape& shape = tiles.shape;
  QuantWeight weight;
  weight.format = format;
  weight.out = shape.out;
  weight.in = shape.in;
  weight.codes.resize(static_cast<size_t>(shape.out * shape.in));
  weight.scales.resize(static_cast<size_t>(shape.out * weight.groups()));
  weight.zeros.resize(weight.scales.size());
  const int64_t step = kTileInputs / shape.groups, size = format.group_size(shape.in);
  for_tile_rows(shape, [&](int64_t row, int64_t tile, int64_t r, int64_t first) {
    const auto* words =
        reinterpret_cast<const uint32_t*>(tiles.codes.data() + tile * shape.code_bytes());
    for (int64_t i = first; i < std::min(first + kTileInputs, shape.in); ++i) {
      uint32_t code = 0;
      for_fields(shape.bits, r, i - first, [&](int64_t word, int bit, int width, int shift) {
        code |= (words[word] >> bit & ((1u << width) - 1)) << shift;
      });
      weight.codes[static_cast<size_t>(row * shape.in + i)] = static_cast<uint8_t>(code);
    }
    for (int64_t g = 0; g < shape.groups; ++g) {
      const int64_t input = first + g * step;
      if (input >= shape.in) continue;
      const auto at = static_cast<size_t>(row * weight.groups() + input / size);
      const uint8_t* meta =
          tiles.meta.data() + tile * shape.meta_bytes() + g * shape.group_meta_bytes();
      std::memcpy(&weight.scales[at], meta + 2 * scale_index(r), 2);
      const auto [byte, shift] = zero_place(shape.bits, r);
      weight.zeros[at] =
          static_cast<uint8_t>(meta[byte] >> shift & (shape.bits == 8 ? 0xff : 0x0f));
    }
  });
  return weight;
}

}  // namespace awq::cuda
