// The order of activations that warpgroups multiply.
#pragma once

#include <cstdint>

namespace awq::cuda {

/// The four lanes of 32 inputs transpose their 4 x 4 pairs: the order of the codes, see
/// store_warpgroup_inputs(). All lanes of the warp take part.
__device__ __forceinline__ void transpose_pairs(uint32_t (&p)[4]) {
  const int j = threadIdx.x & 3;
#pragma unroll
  for (int bit = 1; bit <= 2; bit *= 2) {
    const bool high = (j & bit) != 0;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (i & bit) continue;
      const uint32_t other = __shfl_xor_sync(~0u, high ? p[i] : p[i | bit], bit);
      if (high) {
        p[i] = other;
      } else {
        p[i | bit] = other;
      }
    }
  }
}

}  // namespace awq::cuda
