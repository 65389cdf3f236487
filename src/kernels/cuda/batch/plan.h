// Passes over batches of rows with every step between two products in one kernel, which leaves the
// activations as the next product reads them. Steps of several sequences are CUDA graphs, with tokens
// and positions in device memory; prompts are launched one by one.
#pragma once

#include <memory>

#include "kernels/decode_step.h"

namespace awq::cuda {

/// Null unless the decoder is plain, heads are 64 or 128 wide with at most 8 query heads for a kv head, the
/// embedding is a float table, and every linear has tiles or is a float table.
std::unique_ptr<BatchStep> plan_batch(Device& device, const DecodeSpec& spec);

}  // namespace awq::cuda
