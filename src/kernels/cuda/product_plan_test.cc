// The choice of kernels for products, checked on the host.
#include "kernels/cuda/product_plan.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace awq::cuda {
namespace {

constexpr QuantFormat kInt4 = {4, 128, false};

TEST(ProductPlan, PathsFollowTheTokensAndTheSize) {
  const TileShape square(kInt4, 4096, 4096), small(kInt4, 1024, 4096);
  for (const bool warpgroups : {false, true}) {
    for (const TileShape& shape : {square, small}) {
      EXPECT_EQ(choose_path(shape, 1, warpgroups), TilePath::strips);
      EXPECT_EQ(choose_path(shape, 8, warpgroups), TilePath::strips);
      EXPECT_EQ(choose_path(shape, 9, warpgroups), TilePath::blocks);
      EXPECT_EQ(choose_path(shape, int64_t{1} << 40, warpgroups), TilePath::dense);
    }
    EXPECT_EQ(choose_path(small, 64, warpgroups), TilePath::blocks);
    EXPECT_EQ(choose_path(small, 128, warpgroups), TilePath::dense);
  }
  for (const int64_t tokens : {17, 64, 128, 1024}) {
    EXPECT_EQ(choose_path(square, tokens, true), TilePath::warpgroups);
  }
  EXPECT_EQ(choose_path(square, 4096, true), TilePath::dense);
  EXPECT_EQ(choose_path(square, 128, false), TilePath::blocks);
  EXPECT_EQ(choose_path(square, 512, false), TilePath::dense);
}

TEST(ProductPlan, EveryPlanCanBeLaunched) {
  for (const int64_t out : {1, 100, 4096, 57344}) {
    for (const int64_t in : {1, 129, 4096, 28672}) {
      const TileShape shape(kInt4, out, in);
      for (const int64_t tokens : {1, 33, 64, 128, 500, 2048}) {
        for (const int processors : {1, 16, 114, 132}) {
          const WarpgroupPlan p = plan_warpgroups(shape, tokens, processors);
          EXPECT_TRUE(p.columns == 32 || p.columns == 64 || p.columns == 128 || p.columns == 256);
          EXPECT_GE(p.input_parts, 1);
          EXPECT_LE(p.input_parts, std::min<int64_t>(8, shape.strip_tiles()));
        }
      }
    }
  }
}

TEST(ProductPlan, SharesOfTheInputsFillTheDevice) {
  // 16 blocks of rows on 132 multiprocessors: the inputs are shared; 224: they are not.
  EXPECT_GT(plan_warpgroups(TileShape(kInt4, 4096, 11008), 128, 132).input_parts, 1);
  EXPECT_EQ(plan_warpgroups(TileShape(kInt4, 28672, 4096), 256, 132).input_parts, 1);
  // 86 blocks leave a third of them idle: the steps are dealt evenly.
  EXPECT_TRUE(plan_warpgroups(TileShape(kInt4, 22016, 4096), 64, 132).even);
  // Few tokens take narrow tiles, many wide ones.
  EXPECT_EQ(plan_warpgroups(TileShape(kInt4, 4096, 4096), 64, 132).columns, 64);
  EXPECT_EQ(plan_warpgroups(TileShape(kInt4, 4096, 4096), 20, 132).columns, 32);
  EXPECT_EQ(plan_warpgroups(TileShape(kInt4, 22016, 4096), 2048, 132).columns, 256);
}

}  // namespace
}  // namespace awq::cuda
