// The CPU backends: one binary holds a table per instruction set, chosen at run time.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "kernels/ops.h"

namespace awq {

/// The device of all CPU tables. `threads` 0: as many as the process may use.
std::unique_ptr<Device> make_cpu_device(int threads = 0);

/// Names of the tables this processor can run, best last: "scalar", "avx2", "avx512".
std::vector<std::string_view> cpu_backends();

/// What the inputs of products with codes are rounded to: 16 bits, with a second 16 where a block has
/// an outlier, or 8 bits with a scale per block of at most 128 inputs (faster with many rows).
enum class Activations { a16, a8 };

/// The table `name` ("auto" = the best) on `device`. Usage error for a name that is unknown or that
/// this processor cannot run. The scalar table computes with floats whatever `activations` says.
Result<Ops> make_cpu_ops(Device& device, std::string_view name = "auto",
                         Activations activations = Activations::a16);

/// Memory read rate in bytes per second, measured now over `bytes` of memory by all threads: the
/// roof that decode speed is held against.
double measure_read_bandwidth(Device& device, uint64_t bytes, double seconds = 0.3);

}  // namespace awq
