#include "kernels/cuda/quant_tiles.h"

#include <algorithm>
#include <cstring>

#include "base/float16.h"
#include "kernels/cuda/tile_layout.h"

namespace awq::cuda {
namespace {

// f(row of the weight, tile, row of the tile)
template <class F>
void for_tile_rows(const TileShape& shape, F&& f) {
  for (int64_t row = 0; row < shape.out; ++row) {
    for (int64_t t = 0; t < shape.strip_tiles(); ++t) {
      f(row, row / kTileRows * shape.strip_tiles() + t, static_cast<int>(row % kTileRows),
        t * kTileInputs);
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
  for_tile_rows(shape, [&](int64_t row, int64_t tile, int r, int64_t first) {
    auto* words = reinterpret_cast<uint32_t*>(tiles.codes.data() + tile * shape.code_bytes());
    for (int64_t i = first; i < std::min(first + kTileInputs, weight.in); ++i) {
      const uint32_t code = weight.codes[static_cast<size_t>(row * weight.in + i)];
      const CodeFields fields = code_fields(shape.bits, r, static_cast<int>(i - first));
      for (int f = 0; f < fields.count; ++f) {
        const auto [word, bit, width, shift] = fields.field[f];
        words[word] |= (code >> shift & ((1u << width) - 1)) << bit;
      }
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
  for_tile_rows(shape, [&](int64_t row, int64_t tile, int r, int64_t first) {
    const auto* words =
        reinterpret_cast<const uint32_t*>(tiles.codes.data() + tile * shape.code_bytes());
    for (int64_t i = first; i < std::min(first + kTileInputs, shape.in); ++i) {
      uint32_t code = 0;
      const CodeFields fields = code_fields(shape.bits, r, static_cast<int>(i - first));
      for (int f = 0; f < fields.count; ++f) {
        const auto [word, bit, width, shift] = fields.field[f];
        code |= (words[word] >> bit & ((1u << width) - 1)) << shift;
      }
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
