// What the products of warpgroups (warpgroup_kernels.cuh) take.
#pragma once

#include <cstdint>

namespace awq::cuda {

/// A block multiplies 128 rows (four strips) with `columns` tokens, over its share of the inputs.
/// The blocks of a cluster are row_parts neighbours in rows, which fetch the activations together,
/// times input_parts shares of the inputs, whose sums they add in order.
struct WarpgroupArgs {
  const uint8_t *codes, *meta;
  const void* x;      ///< halves, see store_warpgroup_inputs()
  const float* bias;  ///< [out] or null
  float* y;           ///< [tokens][out], rows y_stride apart
  int64_t y_stride;
  int tokens, padded_tokens, out, strips, strip_tiles;
  int row_parts, input_parts;
  int token_tiles, tiles;  ///< tiles of a cluster: token_tiles times groups of row_parts * 128 rows
  bool y_aligned;          ///< to 16 bytes, every row
};

}  // namespace awq::cuda
