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

/// The path for `tokens` rows of activations; `warpgroups` says whether those are to be had.
TilePath choose_path(int64_t tokens, bool warpgroups);

/// How warpgroups_kernel cuts a product (WarpgroupArgs).
struct WarpgroupPlan {
  int columns = 64;   ///< tokens of a tile: 64, 128 or 256
  int row_parts = 1;  ///< blocks of 128 rows that fetch the activations together
  int input_parts =
      1;  ///< shares of the inputs, at most their tiles; the product of both is at most 8

  bool operator==(const WarpgroupPlan&) const = default;
};

/// The plan with the least modelled time on a device of so many multiprocessors.
WarpgroupPlan plan_warpgroups(const TileShape& shape, int64_t tokens, int multiprocessors);

}  // namespace awq::cuda
