// Codes of 2 bits: heads of 128, groups of 64 and from 128 on.
#include "kernels/cuda/decode/kernel.cuh"

namespace awq::cuda::fused {

template <>
Kernel kernel_of<2>(int groups, int head_dim) {
  if (head_dim != 128) return nullptr;
  if (groups == 1) return decode_kernel<Shape<2, 1, 128>>;
  if (groups == 2) return decode_kernel<Shape<2, 2, 128>>;
  return nullptr;
}

}  // namespace awq::cuda::fused
