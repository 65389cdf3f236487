#include "kernels/cuda/warpgroup_kernels.cuh"

namespace awq::cuda {

extern constinit const WarpgroupKernels kWarpgroupKernels4 = warpgroup::make_kernels<4>();

}  // namespace awq::cuda
