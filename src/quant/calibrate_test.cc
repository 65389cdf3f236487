#include "quant/calibrate.h"

#include <gtest/gtest.h>

#include <cmath>

#include "kernels/cpu.h"
#include "model/test_model.h"
#include "quant/awq_scale.h"

namespace awq {
namespace {

struct Fixture {
  std::unique_ptr<Device> device = make_cpu_device(2);
  Ops ops = *make_cpu_ops(*device);
  Arch arch = test_arch({.kv_heads = 2});
  Model model = test_model(arch, ops);
  std::vector<int32_t> tokens;

  Fixture() {
    for (int32_t i = 0; i < 150; ++i) tokens.push_back((i * 37 + 5) % 64);
  }
};

TEST(Calibration, DropsTheRemainderAndCountsTokens) {
  Fixture f;
  Calibration calibration(f.model, f.tokens, 16);
  EXPECT_EQ(calibration.sequences(), 9);
  const auto statistics = calibration.run(pack_block(f.arch, test_block(f.arch, 1), f.ops), 0);
  ASSERT_TRUE(statistics.ok());
  ASSERT_EQ(statistics->size(), 4u);  // q, o, gate, down
  EXPECT_EQ(statistics->at(Slot::q).tokens, 144);
  EXPECT_EQ(statistics->at(Slot::down).width, 48);
}

// What the Gram matrices hold is what an observer of the same sequences sees.
TEST(Calibration, GramIsTheSumOverTheInputs) {
  Fixture f;
  struct Watch final : Observer {
    std::vector<double> gram = std::vector<double>(32 * 32, 0.0), abs = std::vector<double>(32, 0);
    int64_t layer_wanted = 1;
    void on_linear_input(int64_t layer, Slot slot, const Matrix& x) override {
      if (slot != Slot::q || layer != layer_wanted) return;
      for (int64_t t = 0; t < x.rows; ++t) {
        for (size_t i = 0; i < 32; ++i) {
          abs[i] += std::fabs(x.row(t)[i]);
          for (size_t j = 0; j < 32; ++j) gram[i * 32 + j] += double{x.row(t)[i]} * x.row(t)[j];
        }
      }
    }
  } watch;
  constexpr int64_t kLength = 16, kSequences = 9;
  for (int64_t s = 0; s < kSequences; ++s) {
    std::vector<float> x(kLength * 32), kv(2 * 2 * kLength * 8);
    std::vector<int32_t> positions(kLength);
    for (size_t i = 0; i < positions.size(); ++i) positions[i] = static_cast<int32_t>(i);
    const Matrix rows(x.data(), kLength, 32);
    Workspace workspace(*f.device);
    embed_tokens(f.model, std::span(f.tokens).subspan(static_cast<size_t>(s * kLength), kLength),
                 positions, rows, workspace);
    const Segment segment{0, kLength, 0, {kv.data(), kv.data() + 2 * kLength * 8, DType::f32,
                                          kLength * 8}};
    for (int64_t layer = 0; layer < 2; ++layer) {
      forward_block(f.model, f.model.blocks[static_cast<size_t>(layer)], layer, rows,
                    {positions, {&segment, 1}}, workspace, &watch);
    }
  }
  Calibration calibration(f.model, f.tokens, kLength);
  ASSERT_TRUE(calibration.run(f.model.blocks[0], 0).ok());
  const auto statistics = calibration.run(f.model.blocks[1], 1);
  ASSERT_TRUE(statistics.ok());
  const InputStatistics& input = statistics->at(Slot::q);
  for (size_t i = 0; i < watch.gram.size(); ++i) {
    EXPECT_NEAR(input.gram.as<float>()[i], watch.gram[i], 1e-2 + 1e-3 * std::fabs(watch.gram[i])) << i;
  }
  for (size_t i = 0; i < 32; ++i) EXPECT_NEAR(input.mean_abs[i], watch.abs[i] / 144, 1e-4);
}

TEST(Calibration, NamesTheLayerOfANonFiniteActivation) {
  Fixture f;
  FloatBlock block = test_block(f.arch, 1);
  for (float& w : block[Slot::v].weight.values) w = 1e38f;
  Calibration calibration(f.model, f.tokens, 16);
  const auto statistics = calibration.run(pack_block(f.arch, block, f.ops), 5);
  ASSERT_FALSE(statistics.ok());
  EXPECT_NE(statistics.error().message.find("layer 5"), std::string::npos);
}

TEST(ModuleLoss, IsZeroWithoutRoundingErrorAndFallsWithBits) {
  Fixture f;
  const FloatBlock block = test_block(f.arch, 1);
  Calibration calibration(f.model, f.tokens, 16);
  const auto inputs =
      calibration.capture_module_inputs(pack_block(f.arch, block, f.ops), 0, 4);
  EXPECT_EQ(inputs.tokens, 64);
  for (const FoldGroup& group : fold_groups(f.arch)) {
    if (!inspects_module(group)) continue;
    double last = INFINITY;
    for (const int bits : {2, 3, 4, 8}) {
      const GroupLoss loss = module_group_loss(f.arch, group, block, 0, calibration, inputs,
                                               FormatPlan(f.arch, {bits, 16}), f.ops);
      const double value = loss(std::vector<float>(32, 1.0f));
      EXPECT_LT(value, last) << group.name() << " " << bits;
      last = value;
    }
    EXPECT_LT(last, 1e-3);
  }
}

}  // namespace
}  // namespace awq
