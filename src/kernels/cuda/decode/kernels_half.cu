// Weights of half precision, IEEE or bfloat.
#include "kernels/cuda/decode/kernel.cuh"

namespace awq::cuda::fused {

template <>
Kernel kernel_of<16>(int groups, int head_dim) {
  if (groups != 1) return nullptr;
  return head_dim == 128 ? decode_kernel<Shape<16, 1, 128>> : decode_kernel<Shape<16, 1, 64>>;
}

}  // namespace awq::cuda::fused
