#include "kernels/cuda/decode/partition.h"

#include <gtest/gtest.h>

namespace awq::cuda::fused {
namespace {

TEST(Partition, EveryChunkOnceAndEvenly) {
  struct Case {
    int64_t units, chunks;
  };
  // 7B, 8B, 13B, 70B: qkv, o, gate/up pairs, down; then SmolLM2.
  const Case cases[] = {{384, 4}, {128, 4}, {344, 4}, {128, 11}, {192, 4}, {448, 4}, {128, 14},
                        {480, 5}, {160, 5}, {432, 5}, {160, 14}, {320, 8}, {256, 8}, {896, 8},
                        {256, 28}, {30, 1}, {18, 1}, {48, 1}, {18, 2}, {1, 1}};
  for (const int64_t blocks : {1, 16, 78, 114, 132}) {
    for (const auto& [units, chunks] : cases) {
      const auto starts = partition(units, chunks, blocks);
      ASSERT_EQ(starts.size(), static_cast<size_t>(blocks) + 1);
      EXPECT_EQ(starts.front(), 0u);
      EXPECT_EQ(starts.back(), static_cast<uint32_t>(units * chunks));
      for (size_t b = 0; b + 1 < starts.size(); ++b) EXPECT_LE(starts[b], starts[b + 1]);
      if (units * chunks >= 8 * blocks) {
        EXPECT_LE(imbalance(starts), 1.13) << units << " x " << chunks << " over " << blocks;
      }
    }
  }
}

TEST(Partition, WholeUnitsWhereTheyFit) {
  const auto starts = partition(384, 4, 132);  // three strips or two
  for (const uint32_t start : starts) EXPECT_EQ(start % 4, 0u);
}

TEST(Partition, SplitsWhereABlockWouldHaveTwice) {
  EXPECT_GT(imbalance({0, 2, 3}), 1.3);
  EXPECT_LE(imbalance(partition(160, 14, 132)), 1.01);
}

}  // namespace
}  // namespace awq::cuda::fused
