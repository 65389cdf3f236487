#include "kernels/cuda/few_kernels.cuh"

namespace awq::cuda {

extern constinit const FewKernels kFewKernels4 = few::make_kernels<4>();

}  // namespace awq::cuda
