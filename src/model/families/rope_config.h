// RoPE keys as transformers 4 ("rope_theta", "rope_scaling") and 5 ("rope_parameters") write them.
#pragma once

#include "base/result.h"
#include "model/arch.h"
#include "model/config.h"

namespace awq {

/// An unknown rope type is an error, never ignored.
Result<Rope> read_rope(const Config& config, int64_t rotary_dim);

}  // namespace awq
