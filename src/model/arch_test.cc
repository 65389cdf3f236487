#include "model/arch.h"

#include <gtest/gtest.h>

#include <cmath>

#include "model/test_model.h"

namespace awq {
namespace {

TEST(Arch, ShapesComeFromTheAxes) {
  const Arch arch = test_arch({.kv_heads = 2});
  EXPECT_EQ(linear_shape(arch, arch.block.attention.k).text(), "[16, 32]");
  EXPECT_EQ(linear_shape(arch, *find_linear(arch.block, Slot::down)).text(), "[32, 48]");
  EXPECT_FALSE(find_linear(test_arch({.plain_ffn = true}).block, Slot::gate).has_value());
}

TEST(Arch, OneTapForEachDistinctInput) {
  const Arch llama = test_arch({});
  EXPECT_EQ(input_slot(llama.block, Slot::v), Slot::q);
  EXPECT_EQ(input_slot(llama.block, Slot::up), Slot::gate);
  EXPECT_EQ(input_slot(llama.block, Slot::o), Slot::o);
  const Arch parallel = test_arch({.residual = Residual::parallel_one_norm});
  EXPECT_EQ(input_slot(parallel.block, Slot::up), Slot::q);
  EXPECT_EQ(input_slot(test_arch({.plain_ffn = true}).block, Slot::up), Slot::up);
}

TEST(Arch, CountsParameters) {
  // Embedding 64*32, final norm 32; a block: q, o 32*32, k, v 32*32, 3 * 48*32, two norms of 32.
  EXPECT_EQ(parameter_count(test_arch({})), 64 * 32 + 32 + 2 * (4 * 1024 + 3 * 1536 + 64));
}

TEST(Rope, PlainAndLinear) {
  Rope rope;
  rope.rotary_dim = 4;
  EXPECT_FLOAT_EQ(inverse_frequencies(rope)[1], 0.01f);
  rope.scaling = {RopeScaling::Kind::linear, 4};
  EXPECT_FLOAT_EQ(inverse_frequencies(rope)[0], 0.25f);
}

TEST(Rope, Llama3KeepsHighAndStretchesLowFrequencies) {
  Rope rope;
  rope.theta = 500000;
  rope.rotary_dim = 64;
  const std::vector<float> plain = inverse_frequencies(rope);
  rope.scaling = {RopeScaling::Kind::llama3, 8, 1, 4, 8192};
  const std::vector<float> scaled = inverse_frequencies(rope);
  EXPECT_EQ(scaled.front(), plain.front());
  EXPECT_FLOAT_EQ(scaled.back(), plain.back() / 8);
  for (size_t i = 1; i < scaled.size(); ++i) EXPECT_LT(scaled[i], scaled[i - 1]);
}

}  // namespace
}  // namespace awq
