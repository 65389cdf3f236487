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

/// The table `name` ("auto" = the best) on `device`. Usage error for a name that is unknown or that
/// this processor cannot run.
Result<Ops> make_cpu_ops(Device& device, std::string_view name = "auto");

/// Memory read rate in bytes per second, measured now over `bytes` of memory by all threads: the
/// roof that decode speed is held against.
double measure_read_bandwidth(Device& device, uint64_t bytes, double seconds = 0.3);

}  // namespace awq
