// The fused decode step: a whole token of a Llama-shaped model in one persistent kernel, one
// block per SM, for devices of compute capability 9.0 and newer. How it works: decode/kernel.cuh.
#pragma once

#include <cstdint>
#include <memory>

#include "kernels/decode_step.h"

namespace awq::cuda {

/// What may be tried without another build; the defaults are what measured best.
struct DecodeTuning {
  int stages = 0;        ///< ring slots of 8 tiles; 0 = as many as fit
  int in_flight = 28 << 10;  ///< bytes that may be on their way at once; 0 = all
  bool copies = true;    ///< false: no weight is read, to time all else (wrong results)
  int split_keys = 256;  ///< past positions of a kv head before a second block helps
  int launch_steps = 32; ///< most tokens of one launch
  bool rotate = true;    ///< blocks take turns in having one strip more
  /// Sums that two blocks share cost a message more: whole strips are dealt unless the largest share
  /// grows beyond this factor.
  double worth = 1.05;
  long long* times = nullptr;  ///< device [layers * 5 + 1][4][blocks] or null: clocks
};

/// Null unless the decoder is plain, every linear of the blocks is a table of halves, or in tiles of one width with the
/// same groups per tile (INT4; INT2, INT3 and INT8 with heads of 128 and groups from 64 on), the caches are f16 or i8 (of a
/// capacity that is a multiple of 4), heads are 64 or 128 wide and rotated whole, at most 8 query heads share a kv head, the activation is SiLU,
/// the embedding is a float table and the head a half table, tiles like the rest or,
/// behind 4 bits, tiles of 8 bits with the same groups.
std::unique_ptr<DecodeStep> plan_fused_decode(Device& device, const DecodeSpec& spec,
                                              const DecodeTuning& tuning = {});

}  // namespace awq::cuda
