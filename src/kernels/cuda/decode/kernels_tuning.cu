// What DecodeTuning may ask for beside the defaults: one group per tile, heads of 128.
#include "kernels/cuda/decode/kernel.cuh"

namespace awq::cuda::fused {

Kernel kernel_of(int warps, int groups, bool raw, int head_dim) {
  if (groups == 1 && head_dim == 128) {
    if (warps == 8 && raw) return decode_kernel<Shape<8, 1, true, 128>>;
    if (warps == 8) return decode_kernel<Shape<8, 1, false, 128>>;
    if (!raw) return decode_kernel<Shape<16, 1, false, 128>>;
  }
  if (warps != 16 || !raw) return nullptr;
  return head_dim == 128 ? default_kernel<128>(groups) : default_kernel<64>(groups);
}

}  // namespace awq::cuda::fused
