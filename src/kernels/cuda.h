// The CUDA backend. Every declaration here exists in every build: without CUDA the functions answer
// with the error that says so, and callers go on with the CPU.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "kernels/ops.h"

namespace awq {

struct CudaDeviceInfo {
  int ordinal = 0;
  std::string name;               ///< "NVIDIA H100 80GB HBM3"
  int major = 0, minor = 0;       ///< compute capability
  int multiprocessors = 0;
  uint64_t bytes = 0, free = 0;   ///< memory of the device; `free` where asked for
  uint64_t l2_bytes = 0;
};

/// Architectures that this binary holds code for, "80 90a"; empty when built without CUDA.
std::string_view cuda_architectures();

/// Driver version as "13.0", or the error that says why there is none.
Result<std::string> cuda_driver();

/// The devices; an error when there is no driver, no device, or no CUDA in this build. Asking for
/// the free memory takes a context on every device: some 0.3 s and 0.5 GB of each while we run.
Result<std::vector<CudaDeviceInfo>> cuda_devices(bool with_free = false);

/// `max_bytes` 0: no limit of ours. What allocations beyond it end in: see DeviceMemoryError.
Result<std::unique_ptr<Device>> make_cuda_device(int ordinal, uint64_t max_bytes = 0);

/// The table of `device`, which make_cuda_device made.
Ops make_cuda_ops(Device& device);

/// The same with products of f32 in TF32: for calibration and search, which compare errors.
Ops make_cuda_quantization_ops(Device& device);

/// Memory read rate in bytes per second, measured now over `bytes` of device memory.
double measure_cuda_read_bandwidth(Device& device, uint64_t bytes);

}  // namespace awq
