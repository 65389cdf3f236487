#include "kernels/cuda/product_plan.h"

#include <algorithm>

#include "kernels/cuda/warpgroup_args.h"

namespace awq::cuda {
namespace {

// Up to kStripTokens the tiles are streamed once; up to kBlockTokens mma.sync reads them once for
// every 64 tokens. Warpgroups were ahead of decoding the weight to memory once, for cuBLAS, up to 2048
// tokens, the longest chunk of a prompt. A small weight gives them too few blocks to cut.
constexpr int64_t kStripTokens = 8, kBlockTokens = 16, kBlockTokensAlone = 128,
                  kWarpgroupTokens = 2048, kSmall = int64_t{8} << 20, kBlockTokensSmall = 64;

/// Microseconds, fitted to an H100 (cuda_kernels_bench --plans): of a wave of blocks, of each of its
/// steps of 128 inputs, of adding the shares of the inputs, and of adding a part of steps dealt evenly.
struct Cost {
  int columns;
  double wave, step, sharing, part;
};
constexpr Cost kCosts[] = {{32, 3.44, 0.997, 1.6, 1.24},
                           {64, 3.84, 1.193, 2.7, 1.68},
                           {128, 5.23, 1.587, 2.8, 3.0},
                           {256, 2.45, 1.473, 5.6, 4.1}};

/// Where both are near, whole tiles were faster.
constexpr double kEvenCare = 1.04;

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// Clusters of `blocks` that run at once, with care: the multiprocessors they must share come in
/// groups of 14 to 18, which larger clusters do not fill.
int64_t clusters(int multiprocessors, int blocks) {
  const int64_t whole = multiprocessors / blocks;
  return std::max<int64_t>(1, blocks <= 2 ? whole : multiprocessors * 5 / (6 * blocks));
}

double microseconds(const Cost& c, const TileShape& shape, int64_t tokens, int parts,
                    int multiprocessors) {
  const int64_t strips = warpgroup_rows(c.columns) / kTileRows;
  const int64_t tiles = divide_up(shape.strips(), strips) * divide_up(tokens, c.columns);
  const int64_t waves = divide_up(tiles, clusters(multiprocessors, parts));
  const int64_t steps = divide_up(shape.strip_tiles(), parts);
  return static_cast<double>(waves) *
         (c.wave + static_cast<double>(steps) * c.step + (parts > 1 ? c.sharing : 0));
}

/// Of steps dealt evenly: a tile is cut among some blocks, of which one adds the others' sums.
double even_microseconds(const Cost& c, const TileShape& shape, int64_t tokens,
                         int multiprocessors) {
  const int64_t strips = warpgroup_rows(c.columns) / kTileRows;
  const int64_t tiles = divide_up(shape.strips(), strips) * divide_up(tokens, c.columns);
  const int64_t steps = divide_up(tiles * shape.strip_tiles(), multiprocessors);
  const int64_t others = divide_up(shape.strip_tiles(), steps);
  return (c.wave + static_cast<double>(steps) * c.step + static_cast<double>(others) * c.part) *
         kEvenCare;
}

}  // namespace

TilePath choose_path(const TileShape& shape, int64_t tokens, bool warpgroups) {
  if (tokens <= kStripTokens) return TilePath::strips;
  if (shape.out * shape.in <= kSmall) {
    return tokens <= kBlockTokensSmall ? TilePath::blocks : TilePath::dense;
  }
  if (tokens <= (warpgroups ? kBlockTokens : kBlockTokensAlone)) return TilePath::blocks;
  return warpgroups && tokens <= kWarpgroupTokens ? TilePath::warpgroups : TilePath::dense;
}

WarpgroupPlan plan_warpgroups(const TileShape& shape, int64_t tokens, int multiprocessors) {
  WarpgroupPlan best;
  double best_us = 1e300;
  const auto consider = [&](double us, const WarpgroupPlan& plan) {
    if (us < best_us) best_us = us, best = plan;
  };
  for (const Cost& c : kCosts) {
    for (int parts = 1; parts <= std::min<int64_t>(8, shape.strip_tiles()); ++parts) {
      consider(microseconds(c, shape, tokens, parts, multiprocessors), {c.columns, parts, false});
    }
    consider(even_microseconds(c, shape, tokens, multiprocessors), {c.columns, 1, true});
  }
  return best;
}

}  // namespace awq::cuda
