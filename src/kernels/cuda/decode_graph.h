#pragma once

#include "kernels/decode_step.h"

namespace awq::cuda {

/// Ops::plan_decode: the kernels of the table captured as one CUDA graph, token and position in device
/// memory, so that steps follow each other without the host. Null for a decoder that is not plain, where a
/// weight's product needs cuBLAS (groups of 16, say) or heads are wider than 256.
std::unique_ptr<DecodeStep> plan_decode(Device& device, const DecodeSpec& spec);

}  // namespace awq::cuda
