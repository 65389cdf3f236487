#include "model/fold.h"

#include <gtest/gtest.h>

#include <cmath>

#include "kernels/cpu.h"
#include "model/forward.h"
#include "model/test_model.h"

namespace awq {
namespace {

std::vector<std::string> names(const Arch& arch, FoldOptions options = {}) {
  std::vector<std::string> out;
  for (const FoldGroup& group : fold_groups(arch, options)) out.push_back(group.name());
  return out;
}

using Names = std::vector<std::string>;

TEST(Fold, LlamaGroups) {
  EXPECT_EQ(names(test_arch({})), (Names{"attn_norm -> q, k, v", "v -> o", "ffn_norm -> gate, up",
                                         "up -> down"}));
}

TEST(Fold, ReferenceGroupsSkipValueUnderGroupedQueryAttention) {
  EXPECT_EQ(names(test_arch({.kv_heads = 2}), {.reference_groups = true}),
            (Names{"attn_norm -> q, k, v", "ffn_norm -> gate, up", "up -> down"}));
  EXPECT_EQ(names(test_arch({.kv_heads = 2})).size(), 4u);
}

TEST(Fold, ParallelBlockSharesItsNorm) {
  const Arch arch = test_arch({.residual = Residual::parallel_one_norm});
  EXPECT_EQ(names(arch).front(), "attn_norm -> q, k, v, gate, up");
}

TEST(Fold, PlainFeedForwardFoldsThroughReluOrKeepsTheScale) {
  EXPECT_EQ(names(test_arch({.plain_ffn = true, .activation = Activation::relu})).back(),
            "up -> down");
  EXPECT_EQ(names(test_arch({.plain_ffn = true, .activation = Activation::gelu})).back(),
            "act -> down");
}

// Folding any positive scale leaves the block's function alone, for every wiring there is.
class FoldInvariance : public testing::TestWithParam<TestOptions> {};

TEST_P(FoldInvariance, KeepsTheOutput) {
  const auto device = make_cpu_device(1);
  for (const std::string_view backend : cpu_backends()) {
    const Ops ops = *make_cpu_ops(*device, backend);
    const Arch arch = test_arch(GetParam());
    Model model = test_model(arch, ops);
    FloatBlock block = test_block(arch, 7);
    const std::vector<float> before = run_test_block(model, pack_block(arch, block, ops));
    TestRandom random(11);
    for (const FoldGroup& group : fold_groups(arch)) {
      std::vector<float> scale(static_cast<size_t>(fold_channels(arch, group)));
      for (float& s : scale) s = std::exp(2.0f * random.next());
      apply_fold(arch, group, scale, block);
    }
    const std::vector<float> after = run_test_block(model, pack_block(arch, block, ops));
    double error = 0, size = 0;
    for (size_t i = 0; i < before.size(); ++i) {
      error = std::max(error, static_cast<double>(std::fabs(before[i] - after[i])));
      size = std::max(size, static_cast<double>(std::fabs(before[i])));
    }
    EXPECT_LT(error, 1e-4 * size) << backend;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Wirings, FoldInvariance,
    testing::Values(TestOptions{}, TestOptions{.kv_heads = 2}, TestOptions{.kv_heads = 1},
                    TestOptions{.bias = true}, TestOptions{.norm = NormKind::layer, .bias = true},
                    TestOptions{.weight_offset = 1},
                    TestOptions{.residual = Residual::parallel_one_norm},
                    TestOptions{.residual = Residual::parallel_two_norms, .bias = true},
                    TestOptions{.plain_ffn = true, .activation = Activation::relu},
                    TestOptions{.plain_ffn = true, .activation = Activation::gelu}));

TEST(Fold, ReduceThenExpandSharesPerKvHead) {
  const Arch arch = test_arch({.kv_heads = 2});  // 4 heads of 8
  const FoldGroup group = fold_groups(arch)[1];
  ASSERT_EQ(group.name(), "v -> o");
  std::vector<float> columns(32);
  for (size_t i = 0; i < columns.size(); ++i) columns[i] = static_cast<float>(i);
  const std::vector<float> reduced = reduce_columns(arch, group, columns);
  ASSERT_EQ(reduced.size(), 16u);
  EXPECT_EQ(reduced[0], (0 + 8) / 2.0f);    // heads 0 and 1 share kv head 0
  EXPECT_EQ(reduced[8], (16 + 24) / 2.0f);  // heads 2 and 3 share kv head 1
  const std::vector<float> expanded = expand_scale(arch, group, reduced);
  EXPECT_EQ(expanded[3], expanded[11]);
  EXPECT_EQ(expanded[19], expanded[27]);
}

}  // namespace
}  // namespace awq
