#pragma once

#include "kernels/ops.h"

namespace awq::cuda {

/// Ops::pack_random. `out` must be a multiple of 32 and `in` of 128.
std::unique_ptr<PackedWeight> pack_random(Device& device, const QuantFormat& format, int64_t out,
                                          int64_t in, uint64_t seed);

}  // namespace awq::cuda
