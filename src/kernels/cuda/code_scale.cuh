// How a vector of keys or values becomes codes of 8 bits (KvView in kernels/ops.h).
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace awq::cuda {

/// The scale of a vector with this largest magnitude, and what its values are multiplied with.
struct CodeScale {
  float scale, inverse;
  __device__ CodeScale(float largest, bool finite) {
    const bool plain = finite && largest >= 1e-30f;
    scale = plain ? __fdiv_rn(largest, 127.f) : finite ? 0.f : __int_as_float(0x7fc00000);
    inverse = plain ? __fdiv_rn(127.f, largest) : 0.f;
  }
  __device__ int8_t code(float x) const {
    return inverse == 0 ? int8_t{0} : static_cast<int8_t>(__float2int_rn(x * inverse));
  }
};

__device__ __forceinline__ float largest_of_warp(float value) {
  for (int lanes = 16; lanes > 0; lanes /= 2) {
    value = fmaxf(value, __shfl_xor_sync(~0u, value, lanes));
  }
  return value;
}

}  // namespace awq::cuda
