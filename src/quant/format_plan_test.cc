// Bits by linear: which name counts, what is refused, and what it comes to.
#include "quant/format_plan.h"

#include <gtest/gtest.h>

#include "model/test_model.h"

namespace awq {
namespace {

const QuantFormat kBase{4, 16, false};

int bits(const FormatPlan& plan, int64_t layer, Slot slot) {
  const auto format = plan.of(layer, slot);
  return format ? format->bits : 0;
}

TEST(FormatPlan, TheFirstNameThatFitsCounts) {
  const Arch arch = test_arch({});
  const auto plan = FormatPlan::parse(arch, kBase, "0.down=8,down=4,1.*=2,lm_head=8,*=3", "0.q,v");
  ASSERT_TRUE(plan.ok()) << plan.error().message;
  EXPECT_EQ(bits(*plan, 0, Slot::down), 8);
  EXPECT_EQ(bits(*plan, 1, Slot::down), 4);
  EXPECT_EQ(bits(*plan, 1, Slot::up), 2);
  EXPECT_EQ(bits(*plan, 0, Slot::up), 3);
  EXPECT_EQ(bits(*plan, 0, Slot::q), 0);
  EXPECT_EQ(bits(*plan, 1, Slot::q), 2);
  EXPECT_EQ(bits(*plan, 1, Slot::v), 0);
  ASSERT_TRUE(plan->head());
  EXPECT_EQ(plan->head()->bits, 8);
  EXPECT_EQ(plan->head()->group, 16);
  EXPECT_FALSE(plan->uniform());
  EXPECT_EQ(plan->packed(), PackedFormat::gptq);
  EXPECT_EQ(plan->base().bits, 2);  // layer 1 has the most weights of one width
}

TEST(FormatPlan, OneWidthIsUniformAndKeepsItsLayout) {
  const Arch arch = test_arch({});
  const auto plan = FormatPlan::parse(arch, kBase, "4", "");
  ASSERT_TRUE(plan.ok());
  EXPECT_TRUE(plan->uniform());
  EXPECT_EQ(plan->packed(), PackedFormat::awq_gemm);
  EXPECT_EQ(plan->name(), "INT4-g16");
  // A scale of 16 bits and a zero of 4 for 16 weights.
  EXPECT_DOUBLE_EQ(plan->bits_per_weight(arch), 4 + 20.0 / 16);
  const auto kept = FormatPlan::parse(arch, kBase, "4", "0.up");
  ASSERT_TRUE(kept.ok());
  EXPECT_FALSE(kept->uniform());
  EXPECT_EQ(kept->packed(), PackedFormat::awq_gemm);
  EXPECT_GT(kept->bits_per_weight(arch), plan->bits_per_weight(arch));
}

TEST(FormatPlan, ExpertsAreNamedOneByOneOrAllAndRoutersStayInFloat) {
  Arch arch = test_arch({});
  MoeFfn moe;
  moe.router = {Slot::router, Axis::experts, Axis::embed, false, true};
  moe.expert = {Activation::silu,
                {Slot::expert_gate, Axis::expert_ffn, Axis::embed},
                {Slot::expert_up, Axis::expert_ffn, Axis::embed},
                {Slot::expert_down, Axis::embed, Axis::expert_ffn}};
  moe.experts = arch.sizes.experts = 12;
  moe.per_token = 2;
  arch.sizes.expert_ffn = 32;
  arch.block.ffn = moe;
  const auto plan =
      FormatPlan::parse(arch, kBase, "1.expert_up.11=2,expert_up.3=8,expert_up=3,*=4", "expert_gate.1");
  ASSERT_TRUE(plan.ok()) << plan.error().message;
  EXPECT_EQ(bits(*plan, 1, expert_slot(Slot::expert_up, 11)), 2);
  EXPECT_EQ(bits(*plan, 0, expert_slot(Slot::expert_up, 11)), 3);
  EXPECT_EQ(bits(*plan, 0, expert_slot(Slot::expert_up, 3)), 8);
  EXPECT_EQ(bits(*plan, 0, expert_slot(Slot::expert_gate, 1)), 0);
  EXPECT_EQ(bits(*plan, 0, expert_slot(Slot::expert_down, 1)), 4);
  EXPECT_FALSE(plan->of(0, Slot::router));
  EXPECT_TRUE(FormatPlan(arch, kBase).uniform());
  EXPECT_EQ(FormatPlan(arch, kBase).packed(), PackedFormat::awq_gemm);
  const auto router = FormatPlan::parse(arch, kBase, "router=4,*=3", "");
  ASSERT_FALSE(router.ok());
  EXPECT_NE(router.error().message.find("always stays in float"), std::string::npos);
  const auto none = FormatPlan::parse(arch, kBase, "expert_up.12=4,*=3", "");
  ASSERT_FALSE(none.ok());
  EXPECT_NE(none.error().message.find("no such linear"), std::string::npos);
}

TEST(FormatPlan, RefusesWhatIsNotThere) {
  const Arch arch = test_arch({});
  const auto expect = [&](std::string_view bits, std::string_view keep, std::string_view word) {
    const auto plan = FormatPlan::parse(arch, kBase, bits, keep);
    ASSERT_FALSE(plan.ok()) << bits;
    EXPECT_EQ(plan.error().kind, ErrorKind::usage);
    EXPECT_NE(plan.error().message.find(word), std::string::npos) << plan.error().message;
  };
  expect("5", "", "expected 2, 3, 4 or 8");
  expect("", "", "expected 2, 3, 4 or 8");
  expect("down=", "", "down=");
  expect("down=4", "", "end it with *=4");
  expect("nose=4,*=3", "", "no such linear; there are *, q, k");
  expect("2.down=4,*=3", "", "layers are 0 to 1");
  expect("x.down=4,*=3", "", "layers are 0 to 1");
  expect("embed=4,*=3", "", "always stays in float");
  expect("4", "nose", "--keep nose");
  expect("4", "*", "nothing to quantize");
}

}  // namespace
}  // namespace awq
