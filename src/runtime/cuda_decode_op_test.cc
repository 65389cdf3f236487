// The planned decode step of the CUDA backend against the walk over the ops; skipped without a device.
#include <gtest/gtest.h>

#include <cmath>

#include "kernels/cpu.h"
#include "kernels/cuda_test.h"
#include "model/synthetic.h"
#include "model/test_model.h"
#include "runtime/engine.h"

namespace awq {
namespace {

class CudaDecode : public CudaTest {
 protected:
  static std::vector<float> copy(Engine& engine, Matrix logits) {
    const std::span<const float> values = engine.on_host(logits);
    return {values.begin(), values.end()};
  }

  // Largest difference over the largest value.
  static double error(const std::vector<float>& got, const std::vector<float>& want) {
    double difference = 0, magnitude = 1e-30;
    for (size_t i = 0; i < want.size(); ++i) {
      difference = std::max(difference, std::fabs(double{got[i]} - want[i]));
      magnitude = std::max(magnitude, std::fabs(double{want[i]}));
    }
    return difference / magnitude;
  }

  // Logits after each of `count` tokens, by decode() or by the walk.
  static std::vector<std::vector<float>> run(Engine& engine, int64_t count, bool planned) {
    KvCache cache(engine.device(), engine.model().arch, 2 * count, DType::f16);
    EXPECT_EQ(engine.planned(cache), engine.model().ops.plan_decode != nullptr);
    std::vector<std::vector<float>> all;
    for (int64_t i = 0; i < count; ++i) {
      const auto id = static_cast<int32_t>(i * 29 % 64);
      const Feed feed{&cache, {&id, 1}};
      all.push_back(copy(engine, planned ? engine.decode(cache, id)
                                         : engine.logits(engine.forward({&feed, 1}))));
    }
    EXPECT_EQ(cache.length(), count);
    return all;
  }
};

TEST_F(CudaDecode, EqualsTheWalkOnTheCpu) {
  const Arch arch = test_arch({.kv_heads = 2});
  const std::unique_ptr<Device> host = make_cpu_device(2);
  const Model here = test_model(arch, *make_cpu_ops(*host)), there = test_model(arch, cuda);
  Engine cpu(here), gpu(there);
  const auto want = run(cpu, 40, false), got = run(gpu, 40, true);
  for (size_t i = 0; i < want.size(); ++i) EXPECT_LT(error(got[i], want[i]), 2e-3) << i;
}

TEST_F(CudaDecode, QuantizedEqualsTheWalkAndItself) {
  for (const int bits : {4, 3}) {
    const auto model = make_synthetic_model({"llama-2-7b", bits, 128, 2}, cuda);
    ASSERT_TRUE(model.ok());
    Engine engine(*model);
    const auto walk = run(engine, 300, false);  // beyond the first bucket of positions
    const auto once = run(engine, 300, true), again = run(engine, 300, true);
    for (size_t i = 0; i < walk.size(); ++i) {
      ASSERT_LT(error(once[i], walk[i]), 2e-3) << bits << " bits, token " << i;
      ASSERT_EQ(once[i], again[i]) << "not the same bits, token " << i;
    }
  }
}

TEST_F(CudaDecode, GreedyEqualsStepByStep) {
  const auto model = make_synthetic_model({"llama-2-7b", 4, 128, 2}, cuda);
  ASSERT_TRUE(model.ok());
  Engine engine(*model);
  KvCache one(*device, model->arch, 600, DType::f16), other(*device, model->arch, 600, DType::f16);
  std::vector<int32_t> ids(500);
  engine.greedy(one, 5, ids);
  int32_t token = 5;
  for (const int32_t id : ids) {
    int32_t next = 0;
    cuda.argmax(*device, engine.decode(other, token), &next);
    ASSERT_EQ(next, id) << other.length();
    token = next;
  }
  EXPECT_EQ(one.length(), 500);
}

}  // namespace
}  // namespace awq
