// Drawing tokens on the device (kernels/sampling.h).
#pragma once

#include "kernels/sampling.h"

namespace awq::cuda {

/// Ops::plan_draws. Some ten microseconds a draw, in three or four small kernels behind a step; random
/// numbers and answers lie in host memory that the kernels reach.
std::unique_ptr<TokenDraws> plan_draws(Device& device, const SamplerOptions& options, int64_t vocab,
                                       std::span<const std::span<const int32_t>> recent);

}  // namespace awq::cuda
