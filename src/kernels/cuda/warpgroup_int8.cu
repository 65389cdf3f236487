#include "kernels/cuda/warpgroup_kernels.cuh"

namespace awq::cuda {

extern constinit const WarpgroupKernels kWarpgroupKernels8 = warpgroup::make_kernels<8>();

}  // namespace awq::cuda
