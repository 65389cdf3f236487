// From logits to a token (kernels/sampling.h): greedy at temperature 0; else penalties, top-k, top-p and
// min-p in that order, then a draw from a generator that depends on the seed alone.
#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "base/result.h"
#include "kernels/sampling.h"

namespace awq {

/// Usage error naming the option that is out of range.
Status check_sampler_options(const SamplerOptions& options);

struct TokenProbability {
  int32_t id;
  double logprob;
};

/// The token of a draw, or the error that says what was wrong with the logits.
Result<int32_t> token_of(const Drawn& drawn);

/// The random numbers of a sequence: one a draw.
class RandomDraws {
 public:
  explicit RandomDraws(uint64_t seed) : random_(seed) {}
  uint64_t next() { return random_(); }

 private:
  std::mt19937_64 random_;
};

/// Draws from logits that lie in host memory.
class Sampler {
 public:
  explicit Sampler(const SamplerOptions& options)
      : rule_(draw_rule(options)), random_(options.seed) {}

  /// `logits` [vocab]; `history` the tokens so far. Error when no logit is finite or one is NaN.
  Result<int32_t> sample(std::span<const float> logits, std::span<const int32_t> history);

 private:
  DrawRule rule_;
  RandomDraws random_;
  std::vector<float> adjusted_;  ///< [vocab], the logits under a penalty
};

/// The `count` most likely tokens with their natural-log probabilities, best first.
std::vector<TokenProbability> top_logprobs(std::span<const float> logits, int64_t count);

/// log of the sum of exp, stable.
double log_sum_exp(std::span<const float> logits);

}  // namespace awq
