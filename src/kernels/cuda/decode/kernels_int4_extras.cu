// Codes of 4 bits, with keys of codes or a wide head.
#include "kernels/cuda/decode/kernel.cuh"

namespace awq::cuda::fused {
namespace {

template <int kHeadDim>
Kernel by_groups(int groups) {
  if (groups == 1) return decode_kernel<Shape<4, 1, kHeadDim, true>>;
  if (groups == 2) return decode_kernel<Shape<4, 2, kHeadDim, true>>;
  if (groups == 4) return decode_kernel<Shape<4, 4, kHeadDim, true>>;
  return nullptr;
}

}  // namespace

Kernel int4_with_extras(int groups, int head_dim) {
  return head_dim == 128 ? by_groups<128>(groups) : by_groups<64>(groups);
}

}  // namespace awq::cuda::fused
