// What GPTQ needs of the Hessian H = X^T X of a linear's input: the upper triangular U with
// U^T U = (H + damping)^-1 (Frantar et al. 2022, section 3.3, step 3), in double precision.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "kernels/ops.h"
#include "tensor/buffer.h"

namespace awq {

struct FactorOptions {
  double damping = 0.01;   ///< share of the mean diagonal that is added to the diagonal
  bool act_order = false;  ///< columns by falling diagonal of H instead of as they lie
};

struct InverseFactor {
  int64_t width = 0;
  Buffer upper;                 ///< f64 [width, width] row-major; below the diagonal: not defined
  /// Instead of `upper` and a copy of `order` (as int32) where the backend rounds on the device.
  DeviceBuffer device_upper, device_order;
  std::vector<int64_t> order;   ///< [width]: the column of H that each row of `upper` is about
  int64_t dead = 0;             ///< channels that were zero in every token
  double damping = 0;           ///< as used: raised tenfold until H is positive definite

  /// Not in the order of the weight's columns.
  bool reordered() const { return !std::is_sorted(order.begin(), order.end()); }
  const double* row(int64_t i) const { return upper.as<double>() + i * width; }
  /// What `width` takes.
  static uint64_t bytes(int64_t width) {
    return static_cast<uint64_t>(width * width) * sizeof(double);
  }
};

/// `gram` [width, width] in host memory, symmetric. A dead channel counts as one of mean energy that
/// meets no other: its weights are rounded to nearest. Error when an element of the diagonal is not
/// finite or negative, or no damping up to the tenfold of the mean makes H positive definite. The
/// result does not depend on the number of threads.
Result<InverseFactor> inverse_factor(std::span<const float> gram, int64_t width,
                                     const FactorOptions& options, ThreadPool& pool);

/// The same of `gram` on the device of `ops`: made there where the backend can, and left there where
/// it rounds there.
Result<InverseFactor> inverse_factor(const Ops& ops, const DeviceBuffer& gram, int64_t width,
                                     const FactorOptions& options);

}  // namespace awq
