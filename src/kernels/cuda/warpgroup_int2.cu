#include "kernels/cuda/warpgroup_kernels.cuh"

namespace awq::cuda {

extern constinit const WarpgroupKernels kWarpgroupKernels2 = warpgroup::make_kernels<2>();

}  // namespace awq::cuda
