// Which kernel a product with tiled weights takes, from its shape alone.
#pragma once

#include "kernels/cuda/quant_tiles.h"

namespace awq::cuda {

enum class TilePath {
  best,        ///< whichever was measured to be fastest for the shape
  strips,      ///< up to 8 tokens
  blocks,      ///< 64 tokens at a time, mma.sync
  warpgroups,  ///< wgmma; compute capability 9.0 only
  dense,       ///< decode to halves, cuBLAS
};

/// The path for `tokens` rows of activations and a weight of that shape; `warpgroups` says whether
/// those are to be had.
TilePath choose_path(const TileShape& shape, int64_t tokens, bool warpgroups);

/// How warpgroups_kernel cuts a product (WarpgroupArgs).
struct WarpgroupPlan {
  int columns = 64;     ///< tokens of a tile: 32, 64, 128 or 256; its rows are warpgroup_rows()
  int input_parts = 1;  ///< shares of the inputs, at most 8 and at most their tiles
  bool even = false;    ///< all steps dealt evenly (WarpgroupArgs::parts); with input_parts 1

  bool operator==(const WarpgroupPlan&) const = default;
};

/// The plan with the least modelled time on a device of so many multiprocessors.
WarpgroupPlan plan_warpgroups(const TileShape& shape, int64_t tokens, int multiprocessors);

}  // namespace awq::cuda
