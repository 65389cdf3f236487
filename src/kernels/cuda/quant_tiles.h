// The one layout of quantized weights on CUDA devices. A tile is 32 rows x 128 inputs; a strip is the
// tiles of 32 rows, inputs ascending; strips follow each other. Rows and inputs are padded to whole
// tiles; padding has code 0 and scale 0. Two arrays, both aligned to 128 bytes:
//
//   codes  [strips][tiles of a strip][32 * 128 * bits / 8 bytes]
//   meta   [strips][tiles of a strip][groups of a tile][80 bytes]
//
// A tile has 128 / group groups for groups of 32 and 64, and one for all larger groups and
// per-channel, whose scales are then repeated in every tile (groups must divide 128 or be multiples
// of it; other shapes have no tiles, see tileable()).
//
// Meta of a group: 32 scales (half), then 16 bytes of zeros.
//   scale of row r at half index  e = (r % 8) * 4 + r / 8
//   zero byte b = (r % 8) * 2 + (r / 16): low nibble row with (r / 8) % 2 == 0, high nibble the other
//   (bits <= 4). For 8 bits meta is 96 bytes: 32 scales, then 32 zero bytes in order e.
//
// Codes, 4 bits: 16-byte word w = (2 h + u) * 32 + lane, h = 16-row half, u = 64-input half. Lane
// 4 g + j owns rows g and g + 8 of the half. Its four 32-bit words s = 0..3 are the A registers of
// mma.m16n8k16 for the k16 steps of inputs k0 = u * 64 + (s / 2) * 32 + 8 j + (s % 2) * 4: the code
// of (row g + 8 r8, input k0 + 2 hi + el) lies at bit el * 16 + hi * 8 + r8 * 4. So (word & 0x000f000f),
// (word & 0x00f000f0) and the same of word >> 8 are a0..a3, and a lane needs the activations
// 8 j .. 8 j + 7 of each run of 32: one 16-byte load of halves for two mma steps.
//
// Codes of 2, 3 and 8 bits: per 16-byte-word index as above, plane by plane:
//   2 bits: words of 2 bits at the same (row, input) order, bit position / 2 (8 bytes a lane and word w)
//   3 bits: the 2-bit plane (codes & 3) of the whole tile, then the 1-bit plane (codes >> 2),
//           4 bytes a lane and word w, bit position / 4
//   8 bits: the low nibbles of the whole tile as 4 bits, then the high nibbles
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "tensor/quant_format.h"

namespace awq::cuda {

constexpr int64_t kTileRows = 32, kTileInputs = 128;

/// Where the tiles of a weight [out, in] lie.
struct TileShape {
  int64_t out = 0, in = 0;
  int bits = 4;
  int groups = 1;  ///< of a tile

  TileShape() = default;
  TileShape(const QuantFormat& format, int64_t out, int64_t in);
  int64_t strips() const { return (out + kTileRows - 1) / kTileRows; }
  int64_t strip_tiles() const { return (in + kTileInputs - 1) / kTileInputs; }
  int64_t tiles() const { return strips() * strip_tiles(); }
  int64_t code_bytes() const { return kTileRows * kTileInputs * bits / 8; }  ///< of a tile
  int64_t group_meta_bytes() const { return bits == 8 ? 96 : 80; }
  int64_t meta_bytes() const { return groups * group_meta_bytes(); }         ///< of a tile
};

/// Whether a format has tiles: the group is 32, 64, a multiple of 128, or the whole row.
bool tileable(const QuantFormat& format);

/// Whether scale times (code - zero) is within the range of half, whatever the codes.
bool fits_halves(const QuantWeight& weight);

/// The two arrays of a canonical weight, on the host.
struct Tiles {
  TileShape shape;
  std::vector<uint8_t> codes, meta;
};
Tiles pack_tiles(const QuantWeight& weight);

/// The inverse, for tests and for reading weights back: exact.
QuantWeight unpack_tiles(const Tiles& tiles, const QuantFormat& format);

}  // namespace awq::cuda
