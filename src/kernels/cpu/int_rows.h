// Memory of activations as integers (IntRows of kernel_table.h).
#pragma once

#include <cstddef>

#include "kernels/cpu/kernel_table.h"

namespace awq::cpu {

class IntRowsLayout {
 public:
  IntRowsLayout(const BlockList& blocks, int64_t rows, int planes)
      : rows_(rows), cells_(rows * blocks.count), planes_(planes) {
    // An odd number of cache lines: rows of a tile must not all fall into the same set of the cache.
    const int64_t lines = (int64_t{blocks.units} * kUnit * planes + kLine - 1) / kLine;
    stride_ = (lines | 1) * kLine;
  }

  /// Of memory aligned to 64 bytes.
  size_t bytes() const { return static_cast<size_t>(rows_ * stride_ * 2 + cells_ * 16 + rows_ * 4); }

  IntRows at(void* memory) const {
    auto* codes = static_cast<int8_t*>(memory);
    auto* scales = reinterpret_cast<float*>(codes + rows_ * stride_ * 2);
    auto* minus = reinterpret_cast<int32_t*>(scales + cells_ * 2);
    return {codes,  codes + rows_ * stride_, stride_, planes_,
            scales, scales + cells_,         minus + cells_ * 2,
            minus,  minus + cells_};
  }

 private:
  static constexpr int64_t kLine = 64;
  int64_t rows_, cells_, stride_ = 0;
  int planes_;
};

/// The rows from `first` on.
inline IntRows rows_from(const IntRows& x, const BlockList& blocks, int64_t first) {
  const int64_t cell = first * blocks.count;
  return {x.codes + first * x.stride, x.rest + first * x.stride, x.stride, x.planes,
          x.scales + cell, x.rest_scales + cell, x.rests + first,
          x.minus + cell, x.rest_minus + cell};
}

}  // namespace awq::cpu
