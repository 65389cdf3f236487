// Weights of half precision, IEEE or bfloat.
#include "kernels/cuda/decode/kernel.cuh"

namespace awq::cuda::fused {

template <>
Kernel kernel_of<16>(int groups, int head_dim, bool extras) {
  if (groups != 1) return nullptr;
  if (extras) {
    return head_dim == 128 ? decode_kernel<Shape<16, 1, 128, true>>
                           : decode_kernel<Shape<16, 1, 64, true>>;
  }
  return head_dim == 128 ? decode_kernel<Shape<16, 1, 128, false>>
                         : decode_kernel<Shape<16, 1, 64, false>>;
}

}  // namespace awq::cuda::fused
