// What tests of the CUDA backend start from: the first device, or a skip that says why.
#pragma once

#include <gtest/gtest.h>

#include "kernels/cuda.h"

namespace awq {

class CudaTest : public testing::Test {
 protected:
  void SetUp() override {
    auto made = make_cuda_device(0);
    if (!made.ok()) GTEST_SKIP() << made.error().message;
    device = std::move(made).value();
    cuda = make_cuda_ops(*device);
  }

  std::unique_ptr<Device> device;
  Ops cuda;
};

}  // namespace awq
