// Heads of 128, 16 warps.
#include "kernels/cuda/decode/kernel.cuh"

namespace awq::cuda::fused {

Kernel kernel_128(int groups) {
  if (groups == 1) return decode_kernel<Shape<16, 1, true, 128>>;
  if (groups == 2) return decode_kernel<Shape<16, 2, true, 128>>;
  return decode_kernel<Shape<16, 4, true, 128>>;
}

}  // namespace awq::cuda::fused
