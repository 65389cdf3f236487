// Heads of 64, 16 warps.
#include "kernels/cuda/decode/kernel.cuh"

namespace awq::cuda::fused {

template Kernel default_kernel<64>(int groups);

}  // namespace awq::cuda::fused
