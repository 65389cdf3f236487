// Which device and table the program runs on: chosen once from what the user asked for.
#pragma once

#include "kernels/cpu.h"
#include "kernels/cuda.h"

namespace awq {

struct BackendOptions {
  std::string device = "auto";   ///< auto, cpu, cuda, cuda:N
  int threads = 0;               ///< host threads; 0: as many as the process may use
  std::string backend = "auto";  ///< CPU table: scalar, avx2, avx512; another than auto means the CPU
  Activations activations = Activations::a16;  ///< of the CPU; a8 means the CPU
  uint64_t max_vram = 0;         ///< bytes of device memory; 0: all there is
};

struct Backend {
  std::unique_ptr<Device> device;
  Ops ops;
  std::string remark;  ///< why "auto" did not take a GPU that this build could use; else empty
};

/// "auto" is the first GPU that works, else the CPU. Usage error for a device that is unknown;
/// resource error for one that is asked for by name and cannot be had.
Result<Backend> make_backend(const BackendOptions& options);

/// The table for calibration and search on a backend's device. `tf32`: products of floats on a GPU may
/// round their inputs to 11 bits, which is many times as fast.
Ops quantization_ops(const Backend& backend, bool tf32);

/// Memory read rate of the device in bytes per second, measured now.
double measure_read_roof(Device& device);

}  // namespace awq
