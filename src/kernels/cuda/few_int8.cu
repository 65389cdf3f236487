#include "kernels/cuda/few_kernels.cuh"

namespace awq::cuda {

extern constinit const FewKernels kFewKernels8 = few::make_kernels<8>();

}  // namespace awq::cuda
