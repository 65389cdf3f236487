// The device behind every CUDA op: one stream, one cuBLAS handle, accounted memory, scratch.
#pragma once

#include <cublas_v2.h>
#include <cuda_runtime.h>
#include <cusolverDn.h>

#include <cstdint>

#include "kernels/device.h"

namespace awq::cuda {

/// A fault of the device (launch failure, lost device, ECC) leaves nothing to go on with: prints one
/// message with what failed and ends the program with exit code 1.
void check(cudaError_t status, const char* what);
void check(cublasStatus_t status, const char* what);
/// After a launch.
inline void check_launch(const char* what) { check(cudaGetLastError(), what); }

class CudaDevice : public Device {
 public:
  bool host_visible() const override { return false; }
  virtual cudaStream_t stream() = 0;
  virtual cublasHandle_t blas() = 0;     ///< on stream()
  /// On stream(); null where cuSOLVER cannot be opened (solver.h).
  virtual cusolverDnHandle_t solver() = 0;
  virtual int multiprocessors() const = 0;
  virtual size_t shared_bytes() const = 0;     ///< most dynamic shared memory of a block
  virtual int compute_capability() const = 0;  ///< 90 for 9.0
  /// Device memory that is valid until the next call of the same `slot` (0..3); grows.
  virtual void* scratch(int slot, size_t bytes) = 0;
  /// Words for blocks of a kernel to signal each other with, at most kFlags: zero before every kernel,
  /// which must leave them so.
  static constexpr int kFlags = 1024;
  virtual uint32_t* flags(int count) = 0;
};

inline CudaDevice& cuda_device(Device& device) { return static_cast<CudaDevice&>(device); }

}  // namespace awq::cuda
