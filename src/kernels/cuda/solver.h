// cuSOLVER, opened at run time as cuBLAS is: only GPTQ's factors need it.
#pragma once

#include <cuda_runtime.h>
#include <cusolverDn.h>

namespace awq::cuda {

/// A handle on `stream` for CudaDevice::solver(); null when libcusolver cannot be opened, which is
/// said on stderr the first time.
cusolverDnHandle_t create_solver(cudaStream_t stream);
void destroy_solver(cusolverDnHandle_t handle);

}  // namespace awq::cuda
