// From logits to a token. Greedy at temperature 0; else penalties, top-k, top-p and min-p in that
// order, then a draw from a generator that depends on the seed alone.
#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <span>
#include <vector>

#include "base/result.h"

namespace awq {

struct SamplerOptions {
  double temperature = 0;
  int64_t top_k = 0;          ///< 0: all
  double top_p = 1;
  double min_p = 0;
  double repeat_penalty = 1;
  int64_t repeat_last = 64;   ///< how far back the penalty looks
  uint64_t seed = 0;
};

/// Usage error naming the option that is out of range.
Status check_sampler_options(const SamplerOptions& options);

struct TokenProbability {
  int32_t id;
  double logprob;
};

class Sampler {
 public:
  explicit Sampler(const SamplerOptions& options) : options_(options), random_(options.seed) {}

  /// `logits` [vocab]; `history` the tokens so far. Error when no logit is finite or one is NaN.
  Result<int32_t> sample(std::span<const float> logits, std::span<const int32_t> history);

 private:
  double uniform();
  std::span<const float> penalised(std::span<const float> logits, std::span<const int32_t> history);
  void collect_best(std::span<const float> logits, size_t keep);
  void collect_above(double least);
  std::optional<int32_t> draw(double u, double sum, double least) const;

  SamplerOptions options_;
  std::mt19937_64 random_;
  std::vector<TokenProbability> candidates_;  ///< `logprob` holds the weight, 1 for the best
  std::vector<float> weights_;                ///< [vocab]
  std::vector<float> adjusted_;               ///< [vocab], the logits under a penalty
};

/// The `count` most likely tokens with their natural-log probabilities, best first.
std::vector<TokenProbability> top_logprobs(std::span<const float> logits, int64_t count);

/// log of the sum of exp, stable.
double log_sum_exp(std::span<const float> logits);

}  // namespace awq
