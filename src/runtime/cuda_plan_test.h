// What the tests of planned passes on a GPU share; without a device they are skipped.
#pragma once

#include <vector>

#include "kernels/cuda_test.h"
#include "kernels/op_test_data.h"
#include "runtime/engine.h"
#include "runtime/shaped_model.h"

namespace awq {

class CudaPlanTest : public CudaTest {
 protected:
  static std::vector<float> copy(Engine& engine, Matrix logits) {
    const std::span<const float> values = engine.on_host(logits);
    return {values.begin(), values.end()};
  }

  // Largest difference over the largest value.
  static double error(const std::vector<float>& got, const std::vector<float>& want) {
    return row_error(got.data(), want.data(), static_cast<int64_t>(want.size()));
  }
};

}  // namespace awq
