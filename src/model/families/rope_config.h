// RoPE keys as transformers 4 ("rope_theta", "rope_scaling") and 5 ("rope_parameters") write them.
#pragma once

#include <string>

#include "base/json.h"
#include "base/result.h"
#include "model/arch.h"
#include "model/config.h"

namespace awq {

/// An unknown rope type is an error, never ignored.
Result<Rope> read_rope(const Config& config, int64_t rotary_dim);

/// The "rope_scaling" that gives the frequencies of `rope.divisors`; null where all of them are 1.
/// A config.json cannot hold arbitrary divisors: those that no scaling gives are an error.
Result<Json> rope_scaling_of_divisors(const Rope& rope, const std::string& origin);

}  // namespace awq
