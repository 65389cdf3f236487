#include <gtest/gtest.h>

#include <random>

#include "base/float16.h"
#include "quant/round.h"

namespace awq {
namespace {

// What the guards judge is what is written: in both arithmetics, for every kind of format.
TEST(FakeRounding, IsWhatTheCodesOfItsArithmeticAreWorth) {
  ThreadPool pool(1);
  std::mt19937 random(7);
  std::normal_distribution<float> values(0.01f, 0.3f);
  FloatTensor weight;
  weight.shape = {40, 96};
  for (int i = 0; i < 40 * 96; ++i) weight.values.push_back(values(random));
  for (const Arithmetic arithmetic : {Arithmetic::f32, Arithmetic::f16}) {
    for (const int bits : {2, 3, 4, 8}) {
      for (const bool symmetric : {false, true}) {
        QuantFormat format;
        format.bits = bits;
        format.group = 32;
        format.symmetric = symmetric;
        const QuantWeight packed = round_weight(weight, format, pool, arithmetic);
        for (int64_t row = 0; row < 40; ++row) {
          float worth[96];
          fake_round_row(weight.values.data() + row * 96, 96, format, worth, arithmetic);
          for (int64_t i = 0; i < 96; ++i) {
            const auto group = static_cast<size_t>(row * 3 + i / 32);
            const int code = packed.codes[static_cast<size_t>(row * 96 + i)];
            EXPECT_EQ(worth[i], static_cast<float>(code - packed.zeros[group]) *
                                    half_to_float(packed.scales[group]))
                << bits << " bits, row " << row << ", input " << i;
          }
        }
      }
    }
  }
}

TEST(FakeRounding, ArithmeticsDiffer) {
  std::mt19937 random(11);
  std::normal_distribution<float> values(0.0f, 0.3f);
  QuantFormat format;
  format.bits = 8;
  format.group = 128;
  int different = 0;
  for (int row = 0; row < 200; ++row) {
    float w[128], single[128], half[128];
    for (float& value : w) value = values(random);
    fake_round_row(w, 128, format, single, Arithmetic::f32);
    fake_round_row(w, 128, format, half, Arithmetic::f16);
    for (int i = 0; i < 128; ++i) different += single[i] != half[i];
  }
  EXPECT_GT(different, 0);
}

}  // namespace
}  // namespace awq
