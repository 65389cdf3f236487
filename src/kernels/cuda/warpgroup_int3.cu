#include "kernels/cuda/warpgroup_kernels.cuh"

namespace awq::cuda {

extern constinit const WarpgroupKernels kWarpgroupKernels3 = warpgroup::make_kernels<3>();

}  // namespace awq::cuda
