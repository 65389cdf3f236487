#include "kernels/cuda/few_kernels.cuh"

namespace awq::cuda {

extern constinit const FewKernels kFewKernels3 = few::make_kernels<3>();

}  // namespace awq::cuda
