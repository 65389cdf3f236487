// The arithmetic of quant/round.cc in device code, operation by operation: the same values.
#pragma once

#include <cuda_fp16.h>

#include <cstdint>

#include "tensor/quant_format.h"

namespace awq::cuda {

/// How the columns of a weight are cut into groups and what their codes may be.
struct GroupShape {
  int64_t rows, in, group, groups;
  int bits;
  bool symmetric;

  GroupShape(const QuantFormat& format, int64_t rows_, int64_t in_)
      : rows(rows_),
        in(in_),
        group(format.group_size(in_)),
        groups(format.groups(in_)),
        bits(format.bits),
        symmetric(format.symmetric) {}
  __host__ __device__ int top() const { return (1 << bits) - 1; }
};

/// Of one group: code = nearest(w / scale) + zero of values clamped to +-limit.
struct GroupGrid {
  float scale, zero, limit;
};

__device__ inline float nearest_bounded(float v) { return rintf(fminf(fmaxf(v, -4096.0f), 4096.0f)); }

/// A scale must stay positive and finite in half precision.
__device__ inline float half_scale(float v) {
  return fminf(fmaxf(__half2float(__float2half_rn(v)), 0x1p-24f), 65504.0f);
}

/// The grid of a group whose values reach from `low` to `high`, clamped to `keep` of the largest
/// magnitude.
__device__ inline GroupGrid grid_of(const GroupShape& shape, float low, float high, float keep) {
  GroupGrid grid;
  grid.limit = keep != 1 ? __fmul_rn(fmaxf(fabsf(low), fabsf(high)), keep) : INFINITY;
  low = fminf(fmaxf(low, -grid.limit), grid.limit);
  high = fminf(fmaxf(high, -grid.limit), grid.limit);
  const float top = static_cast<float>(shape.top());
  if (shape.symmetric) {
    const int half = 1 << (shape.bits - 1);
    const float magnitude = fmaxf(fmaxf(fabsf(low), fabsf(high)), 1e-5f);
    grid.scale = half_scale(__fdiv_rn(magnitude, static_cast<float>(half - 1)));
    grid.zero = static_cast<float>(half);
  } else {
    grid.scale = half_scale(__fdiv_rn(fmaxf(__fsub_rn(high, low), 1e-5f), top));
    grid.zero = fminf(fmaxf(-nearest_bounded(__fdiv_rn(low, grid.scale)), 0.0f), top);
  }
  return grid;
}

/// The code of `v`, as a float.
__device__ inline float code_of(const GroupShape& shape, const GroupGrid& grid, float v) {
  const float clamped = fminf(fmaxf(v, -grid.limit), grid.limit);
  return fminf(fmaxf(nearest_bounded(__fdiv_rn(clamped, grid.scale)) + grid.zero, 0.0f),
               static_cast<float>(shape.top()));
}

/// Extremes over a warp; all lanes get them.
__device__ inline void warp_extremes(float& low, float& high) {
  for (int s = 16; s > 0; s >>= 1) {
    low = fminf(low, __shfl_xor_sync(~0u, low, s));
    high = fmaxf(high, __shfl_xor_sync(~0u, high, s));
  }
}

}  // namespace awq::cuda
