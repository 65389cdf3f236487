// Every table against the scalar oracle, over weight formats and shapes.
#include <gtest/gtest.h>

#include "kernels/op_test_data.h"

namespace awq {
namespace {

TEST(ScalarMatmul, EqualsDequantizeThenMultiply) {
  const auto device = make_cpu_device(1);
  const Ops ops = make_cpu_ops(*device, "scalar").value();
  TestData data(7);
  const QuantWeight weight = data.quant_weight(5, 37, {4, 16, false});
  const auto packed = ops.pack_quant(*device, weight);
  std::vector<float> x = data.normal(2 * 37), y(2 * 5);
  ops.matmul(*device, {x.data(), 2, 37}, *packed, nullptr, {y.data(), 2, 5});
  const std::vector<float> dense = dequantize(weight);
  for (size_t t = 0; t < 2; ++t) {
    for (size_t o = 0; o < 5; ++o) {
      double sum = 0;
      for (size_t i = 0; i < 37; ++i) sum += double{x[t * 37 + i]} * dense[o * 37 + i];
      EXPECT_NEAR(y[t * 5 + o], sum, 1e-5);
    }
  }
}

}  // namespace
}  // namespace awq
