// The output error of a rounded linear at the cost of one product with H: the squared error summed
// over the calibration tokens, ||(W^ - W) X||^2, equals the sum over rows of e H e^T.
#pragma once

#include <functional>
#include <vector>

#include "kernels/ops.h"
#include "model/float_block.h"

namespace awq {

/// Rows [rows, width] in f32 that a device works on at once: 256 MB of them.
int64_t slab_rows(int64_t rows, int64_t width);

class HessianLoss {
 public:
  /// `gram` [width, width] is device memory and outlives this.
  HessianLoss(const Ops& ops, const DeviceBuffer& gram, int64_t width);

  /// What the product's kernel gives to a thread at a time.
  static constexpr int64_t kPerThread = 128;
  /// Rows of one product: enough for every thread, few enough to bound the scratch.
  static int64_t rows_at_once(int threads);

  int64_t width() const { return width_; }

  /// Loss of each of `rows` rows; `fill(row, e)` writes the error e [width] of a row and is called
  /// from several threads.
  std::vector<double> rows(int64_t rows, const std::function<void(int64_t, float*)>& fill);

  /// Their sum.
  double total(int64_t rows, const std::function<void(int64_t, float*)>& fill);

 private:
  const Ops* ops_;
  int64_t width_;
  const float* gram_;
  DeviceBuffer error_, losses_;
  std::vector<float> host_error_;
};

}  // namespace awq
