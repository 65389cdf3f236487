#include "kernels/cuda/product_plan.h"

#include <algorithm>

namespace awq::cuda {
namespace {

// Up to kStripTokens the tiles are streamed once; up to kBlockTokens mma.sync reads them once for
// every 64 tokens. Beyond kWarpgroupTokens, decoding the weight to memory once costs cuBLAS little.
constexpr int64_t kStripTokens = 8, kBlockTokens = 32, kBlockTokensAlone = 128,
                  kWarpgroupTokens = 2048;

/// Microseconds, fitted to an H200: of a wave of blocks, of each of its steps of 128 inputs, and of
/// adding the shares of the inputs.
struct Cost {
  int columns, resident;
  double wave, step, sharing;
};
constexpr Cost kCosts[] = {
    {64, 2, 4.0, 1.28, 0.7}, {128, 1, 2.9, 1.04, 2.9}, {256, 1, 8.4, 1.30, 2.5}};

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// Clusters of `blocks` that run at once: larger ones do not fill the processors they must share.
int64_t clusters(int multiprocessors, int blocks) {
  const int64_t whole = multiprocessors / blocks;
  return std::max<int64_t>(1, blocks <= 2 ? whole : multiprocessors * 7 / (8 * blocks));
}

double microseconds(const Cost& c, const TileShape& shape, int64_t tokens, int parts,
                    int multiprocessors) {
  const int64_t tiles = divide_up(shape.strips(), 4) * divide_up(tokens, c.columns);
  const int64_t waves = divide_up(tiles, c.resident * clusters(multiprocessors, parts));
  const int64_t steps = divide_up(shape.strip_tiles(), parts);
  return static_cast<double>(waves) *
         (c.wave + static_cast<double>(steps) * c.step + (parts > 1 ? c.sharing : 0));
}

}  // namespace

TilePath choose_path(int64_t tokens, bool warpgroups) {
  if (tokens <= kStripTokens) return TilePath::strips;
  if (tokens <= (warpgroups ? kBlockTokens : kBlockTokensAlone)) return TilePath::blocks;
  return warpgroups && tokens <= kWarpgroupTokens ? TilePath::warpgroups : TilePath::dense;
}

WarpgroupPlan plan_warpgroups(const TileShape& shape, int64_t tokens, int multiprocessors) {
  WarpgroupPlan best;
  double best_us = 1e300;
  for (const Cost& c : kCosts) {
    for (int parts = 1; parts <= std::min<int64_t>(8, shape.strip_tiles()); ++parts) {
      const double us = microseconds(c, shape, tokens, parts, multiprocessors);
      if (us < best_us) best_us = us, best = {c.columns, 1, parts};
    }
  }
  // Pairs that fetch the activations once gain where these are most of what passes through L2.
  if (best.columns == 256 && best.input_parts == 1 && tokens >= 1024) best.row_parts = 2;
  return best;
}

}  // namespace awq::cuda
