// Rounding and its losses on the device against the host's; skipped without a device.
#include <gtest/gtest.h>

#include "kernels/cpu.h"
#include "kernels/cuda_test.h"
#include "model/test_model.h"
#include "quant/rounding_loss.h"

namespace awq {
namespace {

class CudaRounding : public CudaTest {
 protected:
  static constexpr int64_t kRows = 70, kIn = 300, kTokens = 500;

  void SetUp() override {
    CudaTest::SetUp();
    if (IsSkipped()) return;
    TestRandom random(5);
    weight = {{kRows, kIn}, random.values(kRows * kIn, 0.1f)};
    columns = random.values(kIn, 0.4f, 1);
    std::vector<float> x = random.values(kTokens * kIn, 1);
    for (size_t i = 0; i < x.size(); i += 31) x[i] *= 10;
    host = make_cpu_device(2);
    cpu = *make_cpu_ops(*host);
    std::vector<float> h(kIn * kIn, 0.0f);
    host_gram = upload_floats(*host, h);
    cpu.gram(*host, {x.data(), kTokens, kIn}, host_gram.as<float>());
    std::copy_n(host_gram.as<float>(), h.size(), h.data());
    device_gram = upload_floats(*device, h);
  }

  std::vector<float> errors(const QuantFormat& format, bool scaled) {
    const DeviceBuffer w = upload_floats(*device, weight.values);
    const DeviceBuffer s = upload_floats(*device, columns);
    DeviceBuffer e(*device, w.size());
    const Matrix m(w.as<float>(), kRows, kIn);
    cuda.round_error(*device, {m,
                               m,
                               scaled ? s.as<float>() : nullptr,
                               format,
                               1,
                               {e.as<float>(), kRows, kIn}});
    std::vector<float> values(kRows * kIn);
    device->download(values.data(), e.data(), e.size());
    return values;
  }

  static void expect_close(const std::vector<double>& got, const std::vector<double>& want,
                           double tolerance) {
    ASSERT_EQ(got.size(), want.size());
    double most = 0;
    for (const double v : want) most = std::max(most, v);
    for (size_t i = 0; i < got.size(); ++i) {
      ASSERT_NEAR(got[i], want[i], tolerance * (want[i] + 0.01 * most)) << i;
    }
  }

  FloatTensor weight;
  std::vector<float> columns;
  std::unique_ptr<Device> host;
  Ops cpu;
  DeviceBuffer host_gram, device_gram;
};

const QuantFormat kFormats[] = {
    {4, 128, false}, {3, 64, false}, {2, 32, true}, {8, 0, false}, {4, 0, true}};

TEST_F(CudaRounding, SameValuesAsOnTheHost) {
  for (const QuantFormat& format : kFormats) {
    const std::vector<float> plain = errors(format, false);
    const std::vector<float> scaled = errors(format, true);
    std::vector<float> want(kIn);
    for (int64_t row = 0; row < kRows; ++row) {
      const float* w = weight.values.data() + row * kIn;
      fake_round_row(w, kIn, format, want.data());
      for (int64_t i = 0; i < kIn; ++i) {
        ASSERT_EQ(plain[static_cast<size_t>(row * kIn + i)], want[static_cast<size_t>(i)] - w[i])
            << format_name(format);
      }
      rounded_row(weight, row, columns, format, Arithmetic::f32, want.data());
      for (int64_t i = 0; i < kIn; ++i) {
        ASSERT_EQ(scaled[static_cast<size_t>(row * kIn + i)], want[static_cast<size_t>(i)] - w[i])
            << format_name(format);
      }
    }
  }
}

TEST_F(CudaRounding, SameLossesAsOnTheHost) {
  const Ops tf32 = make_cuda_quantization_ops(*device);
  for (const QuantFormat& format : kFormats) {
    RoundingLoss there(cuda, device_gram, weight, format, Arithmetic::f32);
    RoundingLoss fast(tf32, device_gram, weight, format, Arithmetic::f32);
    RoundingLoss here(cpu, host_gram, weight, format, Arithmetic::f32);
    const double energy = here.energy(), total = here.total(columns);
    EXPECT_NEAR(there.energy(), energy, 1e-4 * energy);
    EXPECT_NEAR(there.total(columns), total, 1e-4 * total);
    EXPECT_NEAR(fast.total(columns), total, 2e-3 * total);
    expect_close(there.rows(), here.rows(), 1e-4);
    for (const float keep : {1.0f, 0.7f}) {
      const std::vector<double> want = here.groups(keep);
      expect_close(there.groups(keep), want, 1e-4);
      expect_close(fast.groups(keep), want, 2e-2);
    }
  }
}

TEST_F(CudaRounding, UnscaledGramIsTheHosts) {
  const DeviceBuffer s = upload_floats(*device, columns);
  cuda.unscale_gram(*device, device_gram.as<float>(), s.as<float>(), kIn);
  cpu.unscale_gram(*host, host_gram.as<float>(), columns.data(), kIn);
  std::vector<float> got(kIn * kIn);
  device->download(got.data(), device_gram.data(), device_gram.size());
  for (size_t i = 0; i < got.size(); ++i) ASSERT_EQ(got[i], host_gram.as<float>()[i]) << i;
}

}  // namespace
}  // namespace awq
