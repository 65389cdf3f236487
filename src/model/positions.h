// How attention knows where a token stands: rotary positions with their scalings, ALiBi, or nothing,
// and how far back a layer looks.
#pragma once

#include <cstdint>
#include <variant>
#include <vector>

#include "kernels/ops.h"

namespace awq {

struct RopeScaling {
  enum class Kind { none, linear, llama3, yarn, dynamic, longrope } kind = Kind::none;
  double factor = 1, low_frequency = 1, high_frequency = 4;
  double original_context = 0;
  double beta_fast = 32, beta_slow = 1;         ///< yarn
  bool truncate = true;                         ///< yarn: whole bounds of the ramp
  std::vector<float> short_factors = {}, long_factors = {};  ///< longrope, [rotary_dim / 2]
};

struct Rope {
  double theta = 10000;
  int64_t rotary_dim = 0;
  RopePairing pairing = RopePairing::half;
  RopeScaling scaling;
  /// Divisors of each frequency, as GGUF stores an already evaluated scaling; empty: use `scaling`.
  std::vector<float> divisors;
  float magnitude = 1;  ///< multiplies cos and sin (yarn, longrope)
};

/// Adds slope(head) * (key - query) to the scores (Press et al. 2022).
struct Alibi {
  double max_bias = 8;
  float multiplier = 1;  ///< of the slopes: Falcon scales the bias with the scores
};

struct NoPositions {};
using Positions = std::variant<Rope, Alibi, NoPositions>;

/// What may differ from layer to layer.
struct LayerAttention {
  Positions positions = NoPositions{};
  int64_t window = 0;  ///< keys a query sees, itself included; 0: all
};

/// Radians per position for each rotated pair, scaling applied: [rotary_dim / 2]. `length`: positions
/// of the sequence so far, which dynamic and longrope look at.
std::vector<float> inverse_frequencies(const Rope& rope, int64_t length = 0);

/// Whether the frequencies of a sequence of `length` positions are not those of a short one.
bool beyond_original(const Rope& rope, int64_t length);

/// [heads], also where heads is no power of two.
std::vector<float> alibi_slopes(const Alibi& alibi, int64_t heads);

}  // namespace awq
