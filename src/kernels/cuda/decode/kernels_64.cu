// Heads of 64, 16 warps.
#include "kernels/cuda/decode/kernel.cuh"

namespace awq::cuda::fused {

Kernel kernel_64(int groups) {
  if (groups == 1) return decode_kernel<Shape<16, 1, true, 64>>;
  if (groups == 2) return decode_kernel<Shape<16, 2, true, 64>>;
  return decode_kernel<Shape<16, 4, true, 64>>;
}

}  // namespace awq::cuda::fused
