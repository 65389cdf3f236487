// The fused decode step: a whole token of a Llama-shaped INT4 model in one persistent kernel, one
// block per SM, for devices of compute capability 9.0 and newer. How it works: decode/kernel.cuh.
#pragma once

#include <cstdint>
#include <memory>

#include "kernels/decode_step.h"

namespace awq::cuda {

/// What may be tried without another build; the defaults are what measured best.
struct DecodeTuning {
  int warps = 16;        ///< that multiply: 8 or 16
  int stages = 0;        ///< ring slots of 17 KB; 0 = as many as fit
  int in_flight = 3;     ///< slots that may be on their way at once; 0 = all
  bool raw = true;       ///< codes enter the products as 1024 + q, corrected by the sum of x
  int split_keys = 256;  ///< past positions of a kv head before a second block helps
  int launch_steps = 32; ///< most tokens of one launch
  bool rotate = true;    ///< blocks take turns in having one strip more
  long long* times = nullptr;  ///< device [layers * 5 + 1][3][blocks] or null: clocks
};

/// Null unless every linear of the blocks is in INT4 tiles with the same groups per tile, the
/// caches are f16, heads are 64 or 128 wide and rotated whole, at most 8 query heads share a kv
/// head, the activation is SiLU, the embedding is a float table and the head a half table or INT4
/// tiles.
std::unique_ptr<DecodeStep> plan_fused_decode(Device& device, const DecodeSpec& spec,
                                              const DecodeTuning& tuning = {});

}  // namespace awq::cuda
