// RoPE keys as transformers 4 ("rope_theta", "rope_scaling") and 5 ("rope_parameters") write them.
#pragma once

#include <string>

#include "base/json.h"
#include "base/result.h"
#include "model/arch.h"
#include "model/config.h"

namespace awq {

/// What a family calls its keys, and its defaults.
struct RopeKeys {
  std::string_view theta = "rope_theta", partial = "partial_rotary_factor";
  double default_theta = 10000, default_partial = 1;
  /// transformers 5 nests the parameters by layer type where these differ: "full_attention", ...
  std::string_view layer_type = {};
};

/// Rotates the first head_dim * partial of each head. An unknown rope type is an error, never ignored.
Result<Rope> read_rope(const Config& config, const Sizes& sizes, const RopeKeys& keys = {});

/// The "rope_scaling" that gives the frequencies of `rope.divisors`; null where all of them are 1.
/// A config.json cannot hold arbitrary divisors: those that no scaling gives are an error.
Result<Json> rope_scaling_of_divisors(const Rope& rope, const std::string& origin);

}  // namespace awq
