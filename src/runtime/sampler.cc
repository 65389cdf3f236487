#include "runtime/sampler.h"

#include <algorithm>
#include <cmath>

namespace awq {

Status check_sampler_options(const SamplerOptions& options) {
  const auto outside = [](double value, double low, double high) {
    return !(value >= low && value <= high);
  };
  if (outside(options.temperature, 0, 1e30)) {
    return usage_error(cat("--temp ", options.temperature, ": expected 0 or more"));
  }
  if (options.top_k < 0) return usage_error(cat("--top-k ", options.top_k, ": expected 0 or more"));
  if (outside(options.top_p, 0, 1)) {
    return usage_error(cat("--top-p ", options.top_p, ": expected 0 to 1"));
  }
  if (outside(options.min_p, 0, 1)) {
    return usage_error(cat("--min-p ", options.min_p, ": expected 0 to 1"));
  }
  if (outside(options.repeat_penalty, 1e-3, 1e3)) {
    return usage_error(cat("--repeat-penalty ", options.repeat_penalty,
                           ": expected 0.001 to 1000"));
  }
  if (options.repeat_last < 0 || options.repeat_last > 1 << 20) {
    return usage_error(cat("a repeat penalty reaches over 0 to 1048576 tokens, not ",
                           options.repeat_last));
  }
  return {};
}

double log_sum_exp(std::span<const float> logits) {
  const float top = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit - top));
  return top + std::log(sum);
}

static bool better(const TokenProbability& a, const TokenProbability& b) {
  return a.logprob > b.logprob || (a.logprob == b.logprob && a.id < b.id);
}

std::vector<TokenProbability> top_logprobs(std::span<const float> logits, int64_t count) {
  std::vector<TokenProbability> all(logits.size());
  const double total = log_sum_exp(logits);
  for (size_t i = 0; i < logits.size(); ++i) {
    all[i] = {static_cast<int32_t>(i), logits[i] - total};
  }
  const auto keep = std::min<size_t>(all.size(), static_cast<size_t>(std::max<int64_t>(count, 0)));
  std::partial_sort(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(keep), all.end(),
                    better);
  all.resize(keep);
  return all;
}

Result<int32_t> token_of(const Drawn& drawn) {
  if (drawn.id >= 0) return drawn.id;
  if (drawn.id == Drawn::kNothing) return runtime_error("the model gave no finite logit");
  return runtime_error(cat("the model gave the logit ", drawn.bad, " for token ",
                           Drawn::kNothing - 1 - drawn.id,
                           "; its weights or activations overflow"));
}

Result<int32_t> Sampler::sample(std::span<const float> logits, std::span<const int32_t> history) {
  const uint64_t random = rule_.sharpness == 0 ? 0 : random_.next();
  const size_t reach = std::min(history.size(), static_cast<size_t>(rule_.reach));
  if (reach == 0) return token_of(draw_token(logits, rule_, random));
  adjusted_.assign(logits.begin(), logits.end());
  return token_of(draw_token(adjusted_, history.last(reach), rule_, random));
}

}  // namespace awq
