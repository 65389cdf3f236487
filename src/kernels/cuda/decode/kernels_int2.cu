// Codes of 2 bits: heads of 128, groups of 64 and from 128 on.
#include "kernels/cuda/decode/kernel.cuh"

namespace awq::cuda::fused {
namespace {

template <bool kExtras>
Kernel by_groups(int groups) {
  if (groups == 1) return decode_kernel<Shape<2, 1, 128, kExtras>>;
  if (groups == 2) return decode_kernel<Shape<2, 2, 128, kExtras>>;
  return nullptr;
}

}  // namespace

template <>
Kernel kernel_of<2>(int groups, int head_dim, bool extras) {
  if (head_dim != 128) return nullptr;
  return extras ? by_groups<true>(groups) : by_groups<false>(groups);
}

}  // namespace awq::cuda::fused
