#include "quant/round.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/float16.h"
#include "model/test_model.h"

namespace awq {
namespace {

QuantWeight rounded(const std::vector<float>& row, const QuantFormat& format,
                    Arithmetic arithmetic = Arithmetic::f32) {
  ThreadPool pool(1);
  return round_weight({{1, static_cast<int64_t>(row.size())}, row}, format, pool, arithmetic);
}

float value(const QuantWeight& weight, int64_t i) {
  const auto group = static_cast<size_t>(i / weight.format.group_size(weight.in));
  const int code = weight.codes[static_cast<size_t>(i)], zero = weight.zeros[group];
  return static_cast<float>(code - zero) * half_to_float(weight.scales[group]);
}

TEST(Round, ErrorIsAtMostHalfAStep) {
  TestRandom random(3);
  for (const int bits : {2, 3, 4, 8}) {
    const std::vector<float> row = random.values(128, 1);
    const QuantWeight weight = rounded(row, {bits, 32, false});
    int inside = 0;
    for (int64_t i = 0; i < 128; ++i) {
      const float step = half_to_float(weight.scales[static_cast<size_t>(i / 32)]);
      const int code = weight.codes[static_cast<size_t>(i)];
      const bool saturated = code == 0 || code == weight.format.max_code();  // the zero is rounded
      inside += saturated ? 0 : 1;
      EXPECT_LE(std::fabs(value(weight, i) - row[static_cast<size_t>(i)]),
                step * (saturated ? 1.01f : 0.501f))
          << bits << " bits, weight " << i;
    }
    EXPECT_GT(inside, 32);
  }
}

TEST(Round, ZeroIsNotForcedIntoTheRange) {
  // All positive: zero clamps to 0 and the top of the group saturates, as in the reference.
  const QuantWeight weight = rounded({1.0f, 1.5f, 2.0f, 4.0f}, {4, 4, false});
  EXPECT_EQ(weight.zeros[0], 0);
  EXPECT_EQ(half_to_float(weight.scales[0]), half_to_float(float_to_half(3.0f / 15)));
  EXPECT_EQ(weight.codes[3], 15);
}

TEST(Round, SymmetricHasTheZeroInTheMiddle) {
  const QuantWeight weight = rounded({-0.7f, 0.35f, 0.0f, 0.7f}, {4, 4, true});
  EXPECT_EQ(weight.zeros[0], 8);
  EXPECT_EQ(weight.codes[2], 8);
  EXPECT_EQ(weight.codes[3], 15);
  EXPECT_EQ(weight.codes[0], 1);
}

TEST(Round, DegenerateGroupsStayFinite) {
  for (const int bits : {2, 3, 4, 8}) {
    for (const bool symmetric : {false, true}) {
      for (const float x : {0.0f, 1e-30f, 6e4f, -6e4f, 3e38f, 1.0f}) {
        const QuantWeight weight = rounded({x, x, x, x}, {bits, 4, symmetric});
        const float scale = half_to_float(weight.scales[0]);
        EXPECT_TRUE(std::isfinite(scale) && scale > 0) << x;
        EXPECT_LE(weight.codes[0], weight.format.max_code());
      }
    }
  }
}

TEST(Round, FakeRoundingIsWhatThePackedWeightIsWorth) {
  TestRandom random(5);
  for (const bool symmetric : {false, true}) {
    for (const int64_t group : {int64_t{16}, int64_t{32}, int64_t{0}}) {
      const QuantFormat format{3, group, symmetric};
      const std::vector<float> row = random.values(72, 1);  // a tail group
      std::vector<float> fake(row.size());
      fake_round_row(row.data(), 72, format, fake.data());
      const QuantWeight weight = rounded(row, format);
      for (int64_t i = 0; i < 72; ++i) {
        EXPECT_EQ(fake[static_cast<size_t>(i)], value(weight, i)) << i;
      }
    }
  }
}

TEST(Round, SameForAnyNumberOfThreads) {
  TestRandom random(8);
  const FloatTensor weight{{37, 64}, random.values(37 * 64, 1)};
  ThreadPool one(1), three(3);
  EXPECT_EQ(round_weight(weight, {4, 32}, one).codes, round_weight(weight, {4, 32}, three).codes);
}

}  // namespace
}  // namespace awq
