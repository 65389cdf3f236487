// The Hessian loss is exact, and no choice of the search is worse than plain rounding.
#include <gtest/gtest.h>

#include <cmath>

#include "kernels/cpu.h"
#include "model/test_model.h"
#include "quant/awq_clip.h"
#include "quant/awq_scale.h"
#include "quant/hessian_loss.h"
#include "quant/round.h"

namespace awq {
namespace {

constexpr int64_t kTokens = 96;

// Activations with a few loud channels, as real ones have.
std::vector<float> activations(int64_t width) {
  TestRandom random(17);
  std::vector<float> x = random.values(kTokens * width, 1);
  for (int64_t t = 0; t < kTokens; ++t) {
    for (int64_t i = 0; i < width; i += 13) x[static_cast<size_t>(t * width + i)] *= 20;
  }
  return x;
}

struct Fixture {
  std::unique_ptr<Device> device = make_cpu_device(2);
  Ops ops = *make_cpu_ops(*device);
  Arch arch = test_arch({.kv_heads = 2});
  FloatBlock block = test_block(arch, 3);

  InputStatistics statistics(int64_t width) {
    std::vector<float> x = activations(width);
    InputStatistics input;
    input.width = width;
    input.tokens = kTokens;
    input.gram = upload_floats(*device, std::vector<float>(static_cast<size_t>(width * width), 0));
    std::vector<double> sums(static_cast<size_t>(width), 0);
    ops.gram(*device, {x.data(), kTokens, width}, input.gram.as<float>());
    ops.abs_sum(*device, {x.data(), kTokens, width}, sums.data());
    for (const double sum : sums) input.mean_abs.push_back(static_cast<float>(sum / kTokens));
    return input;
  }
};

TEST(HessianLoss, EqualsTheSquaredErrorOfTheOutputs) {
  Fixture f;
  const InputStatistics input = f.statistics(32);
  const std::vector<float> x = activations(32);
  const FloatTensor& weight = f.block[Slot::gate].weight;
  std::vector<float> error(weight.values.size());
  const QuantFormat format{3, 16};
  for (int64_t row = 0; row < weight.shape[0]; ++row) {
    fake_round_row(weight.values.data() + row * 32, 32, format, error.data() + row * 32);
    for (int64_t i = 0; i < 32; ++i) {
      error[static_cast<size_t>(row * 32 + i)] -= weight.values[static_cast<size_t>(row * 32 + i)];
    }
  }
  double direct = 0;
  for (int64_t t = 0; t < kTokens; ++t) {
    for (int64_t row = 0; row < weight.shape[0]; ++row) {
      double y = 0;
      for (int64_t i = 0; i < 32; ++i) {
        y += double{error[static_cast<size_t>(row * 32 + i)]} * x[static_cast<size_t>(t * 32 + i)];
      }
      direct += y * y;
    }
  }
  HessianLoss loss(f.ops, input.gram, 32);
  const double by_hessian = loss.total(weight.shape[0], [&](int64_t row, float* e) {
    std::copy_n(error.data() + row * 32, 32, e);
  });
  EXPECT_NEAR(by_hessian / direct, 1, 1e-4);
}

TEST(Scale, ExponentZeroIsTheIdentity) {
  const std::vector<float> mean = {0.0f, 0.1f, 3.0f, 100.0f};
  for (const float s : scale_for_exponent(mean, 0)) EXPECT_EQ(s, 1.0f);
  const std::vector<float> scale = scale_for_exponent(mean, 0.5);
  EXPECT_NEAR(scale[0] * scale[3], 1, 1e-5);  // sqrt(max * min) is one
  for (const float s : scale) EXPECT_TRUE(std::isfinite(s) && s > 0);
}

TEST(Scale, DuoIsTheFormulaOfAutoAwq) {
  const std::vector<float> mean = {0.5f, 2.0f}, weight = {0.25f, 0.64f};
  const std::vector<float> scale = scale_for_exponent(mean, weight, 0.5);
  const double a = std::sqrt(0.5) / (0.5 + 1e-4), b = std::sqrt(2.0) / (0.8 + 1e-4);
  EXPECT_NEAR(scale[0], a / std::sqrt(a * b), 1e-6);
  EXPECT_NEAR(scale[1], b / std::sqrt(a * b), 1e-6);
  FloatBlock block;  // two groups of two: magnitudes relative to the largest of each, mean over rows
  block[Slot::o].weight = {{2, 4}, {1, -4, 0.5f, 0.25f, 2, 2, 0, 3}};
  Fixture f;
  const FoldGroup group{FoldInto::linear, Slot::v, {Slot::o}};
  const auto relative = mean_relative_weight(group, block, FormatPlan(f.arch, {4, 2}), 0);
  ASSERT_EQ(relative.size(), 4u);
  const double expected[] = {(0.25 + 1) / 2, 1, 0.5, (0.5 + 1) / 2};
  for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(relative[i], expected[i], 1e-5) << i;
}

TEST(Scale, NeverWorseThanRoundingAndBetterWithLoudChannels) {
  Fixture f;
  BlockStatistics statistics;
  statistics.emplace(Slot::q, f.statistics(32));
  statistics.emplace(Slot::o, f.statistics(32));
  statistics.emplace(Slot::gate, f.statistics(32));
  statistics.emplace(Slot::down, f.statistics(48));
  const QuantFormat format{3, 16};
  for (const FoldGroup& group : fold_groups(f.arch)) {
    const GroupLoss loss =
        hessian_group_loss(f.arch, group, f.block, statistics, FormatPlan(f.arch, format), 0, f.ops);
    const ScaleChoice choice = search_scale(f.arch, group, statistics, loss, 20);
    const ScaleChoice duo =
        search_scale(f.arch, group, statistics, loss, 20,
                     mean_relative_weight(group, f.block, FormatPlan(f.arch, format), 0));
    EXPECT_LE(duo.loss_choice, duo.loss_rounding) << group.name();
    EXPECT_EQ(duo.loss_rounding, choice.loss_rounding) << group.name();
    EXPECT_LT(choice.loss_choice, choice.loss_rounding) << group.name();
    EXPECT_EQ(static_cast<int64_t>(choice.scale.size()), fold_channels(f.arch, group));
    // The reported loss is that of the scale that is returned.
    EXPECT_DOUBLE_EQ(loss(expand_scale(f.arch, group, choice.scale)), choice.loss_choice);
  }
}

TEST(Clip, NeverWorseThanRoundingInAnyRow) {
  Fixture f;
  const InputStatistics input = f.statistics(32);
  for (const int bits : {2, 3, 4}) {
    const QuantFormat format{bits, 16};
    const FloatTensor original = f.block[Slot::gate].weight;
    FloatTensor clipped = original;
    const ClipResult result = search_clip(original, input.gram, format, f.ops);
    apply_clip(clipped, result.keep, format, f.device->pool());
    EXPECT_LE(result.loss_after, result.loss_before);
    EXPECT_GT(result.clipped_share, 0);
    HessianLoss loss(f.ops, input.gram, 32);
    const auto losses = [&](const FloatTensor& weight) {
      return loss.rows(original.shape[0], [&](int64_t row, float* e) {
        fake_round_row(weight.values.data() + row * 32, 32, format, e);
        for (int64_t i = 0; i < 32; ++i) e[i] -= original.values[static_cast<size_t>(row * 32 + i)];
      });
    };
    const auto before = losses(original), after = losses(clipped);
    for (size_t row = 0; row < before.size(); ++row) EXPECT_LE(after[row], before[row]) << row;
  }
}

}  // namespace
}  // namespace awq
