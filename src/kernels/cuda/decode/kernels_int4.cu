// Codes of 4 bits.
#include "kernels/cuda/decode/kernel.cuh"

namespace awq::cuda::fused {
namespace {

template <int kHeadDim>
Kernel by_groups(int groups) {
  if (groups == 1) return decode_kernel<Shape<4, 1, kHeadDim, false>>;
  if (groups == 2) return decode_kernel<Shape<4, 2, kHeadDim, false>>;
  if (groups == 4) return decode_kernel<Shape<4, 4, kHeadDim, false>>;
  return nullptr;
}

}  // namespace

template <>
Kernel kernel_of<4>(int groups, int head_dim, bool extras) {
  if (extras) return int4_with_extras(groups, head_dim);
  return head_dim == 128 ? by_groups<128>(groups) : by_groups<64>(groups);
}

}  // namespace awq::cuda::fused
