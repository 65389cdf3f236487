#include "kernels/cuda/few_kernels.cuh"

namespace awq::cuda {

extern constinit const FewKernels kFewKernels2 = few::make_kernels<2>();

}  // namespace awq::cuda
