// GPTQ's factor and rounding on the device against the host's; skipped without a device.
#include <gtest/gtest.h>

#include <cmath>

#include "base/format.h"
#include "kernels/cpu.h"
#include "kernels/cuda_test.h"
#include "model/test_model.h"
#include "quant/awq_clip.h"
#include "quant/gptq.h"
#include "quant/round.h"
#include "quant/rounding_trials.h"

namespace awq {
namespace {

class CudaGptq : public CudaTest {
 protected:
  void SetUp() override {
    CudaTest::SetUp();
    if (IsSkipped()) return;
    host = make_cpu_device(4);
    cpu = *make_cpu_ops(*host);
  }

  // X^T X of correlated activations with loud channels and, from a width of 8 on, a dead one.
  std::vector<float> gram_of(int64_t width, int64_t tokens) {
    TestRandom random(static_cast<uint64_t>(width));
    std::vector<float> x = random.values(tokens * width, 1);
    for (int64_t t = 0; t < tokens; ++t) {
      float* row = x.data() + t * width;
      for (int64_t i = 1; i < width; ++i) row[i] += 0.7f * row[i - 1];
      for (int64_t i = 0; i < width; i += 29) row[i] *= 15;
      if (width >= 8) row[width / 2] = 0;
    }
    std::vector<float> gram(static_cast<size_t>(width * width), 0.0f);
    cpu.gram(*host, {x.data(), tokens, width}, gram.data());
    return gram;
  }

  InverseFactor on_device(const DeviceBuffer& gram, int64_t width, const FactorOptions& options) {
    auto made = inverse_factor(cuda, gram, width, options);
    EXPECT_TRUE(made.ok()) << made.error().message;
    return std::move(*made);
  }

  static std::vector<float> some_clips(int64_t cells) {
    std::vector<float> keep(static_cast<size_t>(cells), 1.0f);
    for (size_t i = 0; i < keep.size(); i += 3) keep[i] = 0.75f;
    return keep;
  }

  std::unique_ptr<Device> host;
  Ops cpu;
};

TEST_F(CudaGptq, TheFactorIsTheHosts) {
  for (const int64_t width : {1, 7, 127, 128, 129, 300, 1031}) {
    const std::vector<float> gram = gram_of(width, width + 40);
    const DeviceBuffer there = upload_floats(*device, gram);
    for (const bool act_order : {false, true}) {
      const FactorOptions options{0.01, act_order};
      const auto want = inverse_factor(gram, width, options, host->pool());
      ASSERT_TRUE(want.ok());
      const InverseFactor got = on_device(there, width, options);
      EXPECT_EQ(got.order, want->order);
      EXPECT_EQ(got.dead, want->dead);
      EXPECT_EQ(got.damping, want->damping);
      std::vector<double> upper(static_cast<size_t>(width * width));
      device->download(upper.data(), got.device_upper.data(), InverseFactor::bytes(width));
      double largest = 0, off = 0;
      for (int64_t i = 0; i < width; ++i) {
        for (int64_t j = i; j < width; ++j) {
          largest = std::max(largest, std::fabs(want->row(i)[j]));
          off = std::max(off, std::fabs(want->row(i)[j] - upper[static_cast<size_t>(i * width + j)]));
        }
      }
      EXPECT_LT(off, 1e-11 * largest) << width << " act-order " << act_order;
    }
  }
}

TEST_F(CudaGptq, DampsAndRefusesAsTheHost) {
  const auto both = [&](const std::vector<float>& gram, int64_t width, double damping) {
    const FactorOptions options{damping, false};
    auto want = inverse_factor(gram, width, options, host->pool());
    auto got = inverse_factor(cuda, upload_floats(*device, gram), width, options);
    EXPECT_EQ(got.ok(), want.ok());
    if (!got.ok() || !want.ok()) {
      EXPECT_EQ(got.ok() ? "" : got.error().message, want.ok() ? "" : want.error().message);
      return got.ok() ? std::string() : got.error().message;
    }
    EXPECT_EQ(got->damping, want->damping);
    return std::string();
  };
  std::vector<float> gram(40 * 40, 1.02f);
  for (size_t i = 0; i < 40; ++i) gram[i * 41] = 1;
  EXPECT_EQ(both(gram, 40, 0.01), "");
  EXPECT_EQ(both(std::vector<float>(40 * 40, 1.0f), 40, 0), "");
  EXPECT_NE(both({1, 1000, 1000, 1}, 2, 0.01).find("positive definite"), std::string::npos);
  EXPECT_NE(both({1, 0, 0, NAN}, 2, 0.01).find("channel 1"), std::string::npos);
  EXPECT_NE(both({1, 0, 0, -1}, 2, 0.01).find("channel 1"), std::string::npos);
  EXPECT_NE(both({1, NAN, NAN, 1}, 2, 0.01).find("positive definite"), std::string::npos);
  EXPECT_NE(both({1, INFINITY, INFINITY, 1}, 2, 0.01).find("positive definite"), std::string::npos);
}

// Every width, group, order and tail: the same integers but where a sum in another order falls on
// the other side of a tie, after which the rest of that row may differ too.
TEST_F(CudaGptq, TheSameIntegersAsOnTheHost) {
  int64_t values = 0, differing = 0, cells = 0, differing_grids = 0;
  for (const int64_t width : {31, 128, 333, 640}) {
    const std::vector<float> gram = gram_of(width, 2 * width);
    const DeviceBuffer there = upload_floats(*device, gram);
    TestRandom random(8);
    const int64_t rows = 75;
    const FloatTensor weight{{rows, width}, random.values(rows * width, 0.2f)};
    for (const bool act_order : {false, true}) {
      const FactorOptions options{0.01, act_order};
      const auto factor = inverse_factor(gram, width, options, host->pool());
      ASSERT_TRUE(factor.ok());
      const InverseFactor on_there = on_device(there, width, options);
      for (const int bits : {2, 3, 4, 8}) {
        for (const int64_t group : {16, 32, 64, 128, 256, 0}) {
          for (const bool symmetric : {false, true}) {
            const QuantFormat format{bits, group, symmetric};
            const std::vector<float> keep = some_clips(rows * format.groups(width));
            RoundingTrials trials(cuda, there, weight, format, keep);
            for (const bool clipped : {false, true}) {
              trials.compensated(on_there, clipped);
              trials.choose();
              const QuantWeight got = trials.take();
              const QuantWeight want =
                  gptq_round(weight, *factor, format,
                             clipped ? std::span<const float>(keep) : std::span<const float>(),
                             host->pool());
              ASSERT_EQ(got.codes.size(), want.codes.size());
              int64_t here = 0;
              for (size_t i = 0; i < want.codes.size(); ++i) here += got.codes[i] != want.codes[i];
              for (size_t i = 0; i < want.scales.size(); ++i) {
                differing_grids += got.scales[i] != want.scales[i] || got.zeros[i] != want.zeros[i];
              }
              EXPECT_LT(here, static_cast<int64_t>(want.codes.size()) / 50)
                  << format_name(format) << " " << width << " act-order " << act_order;
              differing += here;
              values += static_cast<int64_t>(want.codes.size());
              cells += static_cast<int64_t>(want.scales.size());
            }
          }
        }
      }
    }
  }
  std::printf("%lld of %lld codes and %lld of %lld grids differ\n", static_cast<long long>(differing),
              static_cast<long long>(values), static_cast<long long>(differing_grids),
              static_cast<long long>(cells));
  EXPECT_LT(static_cast<double>(differing), 1e-4 * static_cast<double>(values));
  EXPECT_LT(static_cast<double>(differing_grids), 1e-4 * static_cast<double>(cells));
}

TEST_F(CudaGptq, NearestAndLossesAreTheHosts) {
  constexpr int64_t kWidth = 333, kRows = 41;
  const std::vector<float> gram = gram_of(kWidth, 700);
  const DeviceBuffer there = upload_floats(*device, gram), here = upload_floats(*host, gram);
  TestRandom random(9);
  FloatTensor weight{{kRows, kWidth}, random.values(kRows * kWidth, 0.2f)};
  for (int64_t i = 0; i < 64; ++i) weight.values[static_cast<size_t>(i)] = 0.5f + 0.01f * static_cast<float>(i);
  for (const QuantFormat& format : {QuantFormat{4, 64, false}, QuantFormat{3, 0, true},
                                    QuantFormat{2, 16, true}, QuantFormat{8, 128, false}}) {
    const std::vector<float> keep = some_clips(kRows * format.groups(kWidth));
    for (const bool clipped : {false, true}) {
      const std::span<const float> span = clipped ? std::span<const float>(keep) : std::span<const float>();
      RoundingTrials device_trials(cuda, there, weight, format, span);
      RoundingTrials host_trials(cpu, here, weight, format, span);
      const double want = host_trials.nearest();
      EXPECT_NEAR(device_trials.nearest(), want, 1e-4 * want);
      device_trials.choose();
      host_trials.choose();
      const auto factor = inverse_factor(cuda, there, kWidth, {});
      const auto host_factor = inverse_factor(cpu, here, kWidth, {});
      ASSERT_TRUE(factor.ok() && host_factor.ok());
      const double compensated = host_trials.compensated(*host_factor, clipped);
      EXPECT_NEAR(device_trials.compensated(*factor, clipped), compensated, 1e-3 * compensated);
      // What was chosen before stays.
      const QuantWeight got = device_trials.take(), expected = host_trials.take();
      EXPECT_EQ(got.codes, expected.codes) << format_name(format);
      EXPECT_EQ(got.scales, expected.scales) << format_name(format);
      EXPECT_EQ(got.zeros, expected.zeros) << format_name(format);
    }
  }
}

}  // namespace
}  // namespace awq
