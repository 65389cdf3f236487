// What the products of warpgroups (warpgroup_kernels.cuh) take.
#pragma once

#include <cstdint>

namespace awq::cuda {

/// Rows of a block, for so many tokens: what registers hold of sums.
constexpr int warpgroup_rows(int tokens) { return tokens == 256 ? 128 : 256; }

/// A block multiplies warpgroup_rows(columns) rows with `columns` tokens, over its share of the
/// inputs. The blocks of a cluster are input_parts shares, whose sums they add in order.
struct WarpgroupArgs {
  const uint8_t *codes, *meta;
  const void* x;      ///< halves, see store_warpgroup_inputs()
  const float* bias;  ///< [out] or null
  float* y;           ///< [tokens][out], rows y_stride apart
  int64_t y_stride;
  int tokens, padded_tokens, out, strips, strip_tiles;
  int input_parts;
  int token_tiles, tiles;  ///< tiles of a cluster: token_tiles times blocks of rows
  bool y_aligned;          ///< to 16 bytes, every row
};

}  // namespace awq::cuda
