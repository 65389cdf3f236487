// The knapsack keeps to its target, spends it where it gains, and beats one width for all.
#include "quant/bit_allocation.h"

#include <gtest/gtest.h>

#include <cmath>

#include "model/test_model.h"

namespace awq {
namespace {

// Losses that fall by four for every bit, some items louder.
struct Fixture {
  Arch arch = test_arch({});
  std::vector<BitItem> items;

  Fixture() {
    arch.sizes.ffn = 64;
    TestRandom random(3);
    for (int64_t layer = 0; layer < arch.sizes.layers; ++layer) {
      for (const std::vector<Slot>& slots : {std::vector<Slot>{Slot::q, Slot::k, Slot::v},
                                             {Slot::o}, {Slot::gate, Slot::up}, {Slot::down}}) {
        const double loud = std::exp(3.0 * random.next());
        items.push_back({layer, slots, {loud, loud / 4, loud / 16, loud / 4096}});
      }
    }
  }
};

TEST(BitAllocation, KeepsToItsTargetAndNeverLosesToOneWidth) {
  Fixture f;
  for (const int bits : {2, 3, 4, 8}) {
    const FormatPlan uniform(f.arch, {bits, 16, false});
    const double target = uniform.bits_per_weight(f.arch);
    const auto plan = allocate_bits(f.arch, uniform, f.items, target);
    ASSERT_TRUE(plan.ok()) << plan.error().message;
    EXPECT_LE(plan->bits_per_weight(f.arch), target + 1e-6);
    EXPECT_LE(total_loss(*plan, f.items), total_loss(uniform, f.items)) << bits;
    for (const BitItem& item : f.items) {
      for (const Slot slot : item.slots) {
        EXPECT_EQ(plan->of(item.layer, slot)->bits, plan->of(item.layer, item.slots[0])->bits);
      }
    }
  }
}

TEST(BitAllocation, SpendsRoomWhereItGains) {
  Fixture f;
  const FormatPlan uniform(f.arch, {3, 16, false});
  const auto plan = allocate_bits(f.arch, uniform, f.items, uniform.bits_per_weight(f.arch));
  ASSERT_TRUE(plan.ok()) << plan.error().message;
  EXPECT_LT(total_loss(*plan, f.items), 0.8 * total_loss(uniform, f.items));
}

TEST(BitAllocation, LeavesFloatLinearsAloneAndNamesAnImpossibleTarget) {
  Fixture f;
  const auto kept = FormatPlan::parse(f.arch, {4, 16, false}, "4", "o");
  ASSERT_TRUE(kept.ok());
  std::erase_if(f.items, [](const BitItem& item) { return item.slots[0] == Slot::o; });
  const auto plan = allocate_bits(f.arch, *kept, f.items, 7);
  ASSERT_TRUE(plan.ok()) << plan.error().message;
  EXPECT_FALSE(plan->of(0, Slot::o).has_value());
  EXPECT_LE(plan->bits_per_weight(f.arch), 7);
  const auto none = allocate_bits(f.arch, *kept, f.items, 2);
  ASSERT_FALSE(none.ok());
  EXPECT_NE(none.error().message.find("narrowest widths take"), std::string::npos);
}

}  // namespace
}  // namespace awq
