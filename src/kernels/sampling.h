// From logits to a token, in arithmetic that every backend shares bit for bit: weights are f32 by
// operations that round alike everywhere, their sums are integers, which have no order. So the same
// logits and the same random number give the same token on a CPU and on a GPU.
//
//   power  = (logit - largest) / temperature          f32, at most 0
//   weight = 2^40 exp(power), an integer              0 below 2^-40 of the largest
//
// Tokens in the order of falling logits, the lower id first on ties, have sums S_1, S_2, ... Each of
// top-k, top-p and min-p keeps a prefix of that order, so what all keep is the shortest, and a token is
// drawn by the first S_i above random / 2^64 of its sum.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "kernels/ops.h"

#ifdef __CUDACC__
#define AWQ_EVERYWHERE __host__ __device__ __forceinline__
#else
#define AWQ_EVERYWHERE inline
#endif

namespace awq {

struct SamplerOptions {
  double temperature = 0;     ///< 0: the most likely token
  int64_t top_k = 0;          ///< 0: all
  double top_p = 1;           ///< of the weight of what top-k keeps
  double min_p = 0;           ///< of the weight of the most likely token
  double repeat_penalty = 1;  ///< positive logits of recent tokens by it, others times it
  int64_t repeat_last = 64;   ///< how far back the penalty looks
  uint64_t seed = 0;

  /// The most likely token every time, whatever the seed and the text.
  bool greedy() const { return temperature == 0 && repeat_penalty == 1; }
};

/// The options as the arithmetic wants them.
struct DrawRule {
  float sharpness = 0;    ///< 1 / temperature; 0: the most likely token
  float least_power = 0;  ///< of min-p
  int64_t top_k = 0;      ///< 0: all
  double top_p = 1, repeat_penalty = 1;
  int64_t reach = 0;      ///< recent tokens under the penalty; 0 without one
  bool all_above = true;  ///< min-p keeps all
};
DrawRule draw_rule(const SamplerOptions& options);

/// What came of a row of logits.
struct Drawn {
  static constexpr int32_t kNothing = -1;  ///< no logit is finite
  int32_t id = kNothing;  ///< a token; below kNothing: logit kNothing - 1 - id is NaN or above 1e30
  float bad = 0;          ///< that logit
};
constexpr float kMostLogit = 1e30f;

namespace sampling {

constexpr int kWeightBits = 40;
constexpr int kOctaves = kWeightBits;  ///< weights by powers of two below the largest
constexpr float kLog2e = 1.44269504f, kLeastPower = -27.5f;  ///< 2^-39.7

#ifdef __CUDA_ARCH__
AWQ_EVERYWHERE float times(float a, float b) { return __fmul_rn(a, b); }
AWQ_EVERYWHERE float plus(float a, float b) { return __fadd_rn(a, b); }
AWQ_EVERYWHERE uint64_t high_product(uint64_t a, uint64_t b) { return __umul64hi(a, b); }
AWQ_EVERYWHERE uint32_t bits_of(float x) { return __float_as_uint(x); }
AWQ_EVERYWHERE float float_of(uint32_t bits) { return __uint_as_float(bits); }
#else
// Built without contraction to fused products (kernels/CMakeLists.txt).
AWQ_EVERYWHERE float times(float a, float b) { return a * b; }
AWQ_EVERYWHERE float plus(float a, float b) { return a + b; }
AWQ_EVERYWHERE uint64_t high_product(uint64_t a, uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  return static_cast<uint64_t>(static_cast<Wide>(a) * b >> 64);
}
AWQ_EVERYWHERE uint32_t bits_of(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
}
AWQ_EVERYWHERE float float_of(uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}
#endif

/// Never NaN, whatever the logits; falls with the logit.
AWQ_EVERYWHERE float power_of(float logit, float best, float sharpness) {
  const float power = times(plus(logit, -best), sharpness);
  return power > -1e4f ? power : -1e4f;
}

/// Octave of a power: 0 for (1/2, 1] of the largest weight. kOctaves and above: weight 0.
AWQ_EVERYWHERE int octave_of(float power) {
  return power < kLeastPower ? kOctaves : static_cast<int>(times(power, -kLog2e));
}

/// exp by a power of two and a polynomial, within 3e-7 of itself.
AWQ_EVERYWHERE uint64_t weight_of(float power) {
  if (power < kLeastPower) return 0;
  const float n = static_cast<float>(static_cast<int>(plus(times(power, kLog2e), -0.5f)));
  const float r = plus(plus(power, times(n, -0.693359375f)), times(n, 2.12194440e-4f));
  float y = 1.f / 5040;
  y = plus(times(y, r), 1.f / 720);
  y = plus(times(y, r), 1.f / 120);
  y = plus(times(y, r), 1.f / 24);
  y = plus(times(y, r), 1.f / 6);
  y = plus(times(y, r), 0.5f);
  y = plus(times(y, r), 1.f);
  y = plus(times(y, r), 1.f);
  const auto exponent = static_cast<uint32_t>(static_cast<int>(n) + kWeightBits + 127);
  return static_cast<uint64_t>(times(y, float_of(exponent << 23)));
}

/// Tokens in the order that they are drawn from, as falling numbers; all different.
AWQ_EVERYWHERE uint64_t key_of(float logit, uint32_t id) {
  const uint32_t bits = bits_of(plus(logit, 0.f));  // -0 is 0
  const uint32_t ordered = bits ^ (bits >> 31 != 0 ? 0xffffffffu : 0x80000000u);
  return static_cast<uint64_t>(ordered) << 32 | static_cast<uint32_t>(~id);
}
AWQ_EVERYWHERE uint32_t id_of(uint64_t key) { return ~static_cast<uint32_t>(key); }
AWQ_EVERYWHERE float logit_of(uint64_t key) {
  const auto ordered = static_cast<uint32_t>(key >> 32);
  return float_of(ordered ^ (ordered >> 31 != 0 ? 0x80000000u : 0xffffffffu));
}

AWQ_EVERYWHERE float penalized(float logit, double penalty) {
  const double x = logit;
  return static_cast<float>(x > 0 ? x / penalty : x * penalty);
}

AWQ_EVERYWHERE bool is_bad(float logit) { return !(logit <= kMostLogit); }
AWQ_EVERYWHERE int32_t bad_at(int32_t index) { return Drawn::kNothing - 1 - index; }

/// top-p keeps tokens up to the first whose sum is above this.
AWQ_EVERYWHERE uint64_t top_p_target(double top_p, uint64_t sum) {
  const auto wanted = static_cast<uint64_t>(top_p * static_cast<double>(sum));
  return wanted == 0 ? 0 : (wanted < sum ? wanted : sum) - 1;
}

}  // namespace sampling

/// A token of logits in host memory, without the penalty.
Drawn draw_token(std::span<const float> logits, const DrawRule& rule, uint64_t random);
/// The same under the penalty; the logits of `recent` tokens are left penalized.
Drawn draw_token(std::span<float> logits, std::span<const int32_t> recent, const DrawRule& rule,
                 uint64_t random);

/// Draws of the tokens of several sequences, a row of logits each, every step's being the input of the
/// next. What is drawn stays on the device, so that the next step may begin; the host takes it later.
class TokenDraws {
 public:
  static constexpr size_t kAhead = 8;  ///< most draws that wait to be taken
  virtual ~TokenDraws() = default;
  /// Draws a token of each row of `logits` [sequences, vocab], which is left penalized; does not wait.
  virtual void draw(Matrix logits, std::span<const uint64_t> randoms) = 0;
  /// Waits for the oldest draw that was not taken; valid until the next call of anything here.
  virtual std::span<const Drawn> take() = 0;
  /// Device memory [sequences]: the tokens drawn last, 0 where there was none.
  virtual const int32_t* tokens() const = 0;
};

/// Ops::plan_draws of tables whose memory the host sees.
std::unique_ptr<TokenDraws> plan_host_draws(Device& device, const SamplerOptions& options, int64_t vocab,
                                            std::span<const std::span<const int32_t>> recent);

}  // namespace awq
