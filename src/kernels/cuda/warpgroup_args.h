// What the products of warpgroups (warpgroup_kernels.cuh) take.
#pragma once

#include <cstdint>

namespace awq::cuda {

/// Rows of a block, for so many tokens: what registers hold of sums.
constexpr int warpgroup_rows(int tokens) { return tokens == 256 ? 128 : 256; }

/// One weight of a product and where its results go.
struct WarpgroupSegment {
  const uint8_t *codes, *meta;
  const float* bias;  ///< [out] or null
  float* y;           ///< [tokens][out], rows y_stride apart
  int64_t y_stride;
  int out, strips;
  int first;       ///< its first block of rows among those of all segments
  bool y_aligned;  ///< to 16 bytes, every row
};

/// A block multiplies warpgroup_rows(columns) rows of one weight with `columns` tokens, over its
/// share of the inputs. The blocks of a cluster are input_parts shares, whose sums they add in order.
///
/// Or, with `parts`, all steps of all tiles in a row are dealt evenly to the blocks of the grid, all of
/// which are there at once. Whoever begins within a tile leaves its sums in its part; whoever has the
/// tile's beginning adds them in order.
struct WarpgroupArgs {
  static constexpr int kSegments = 3;
  WarpgroupSegment segments[kSegments];
  int count;      ///< of segments
  const void* x;  ///< halves, see store_warpgroup_inputs()
  int tokens, padded_tokens, strip_tiles;
  int input_parts;
  int token_tiles, tiles;  ///< tiles of a cluster: token_tiles times blocks of rows
  float* parts;     ///< [blocks][rows * columns], or null
  uint32_t* flags;  ///< [blocks]: 1 while a part waits to be taken; 0 before and after the kernel
};

}  // namespace awq::cuda
