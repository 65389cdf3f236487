#include "runtime/sampler.h"

#include <algorithm>
#include <cmath>
#include <unordered_set>

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

double Sampler::uniform() { return static_cast<double>(random_() >> 11) * 0x1p-53; }

Result<int32_t> Sampler::sample(std::span<const float> logits, std::span<const int32_t> history) {
  candidates_.resize(logits.size());
  bool finite = false;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (std::isnan(logits[i]) || logits[i] > 1e30f) {
      return runtime_error(cat("the model gave the logit ", logits[i], " for token ", i,
                               "; its weights or activations overflow"));
    }
    finite |= std::isfinite(logits[i]);
    candidates_[i] = {static_cast<int32_t>(i), logits[i]};
  }
  if (!finite) return runtime_error("the model gave no finite logit");

  if (options_.repeat_penalty != 1 && !history.empty()) {
    const size_t reach = std::min<size_t>(history.size(), static_cast<size_t>(options_.repeat_last));
    std::unordered_set<int32_t> seen(history.end() - static_cast<std::ptrdiff_t>(reach),
                                     history.end());
    for (const int32_t id : seen) {
      double& logit = candidates_[static_cast<size_t>(id)].logprob;
      logit = logit > 0 ? logit / options_.repeat_penalty : logit * options_.repeat_penalty;
    }
  }
  if (options_.temperature == 0) {
    return std::min_element(candidates_.begin(), candidates_.end(), better)->id;
  }

  size_t keep = candidates_.size();
  if (options_.top_k > 0) keep = std::min<size_t>(keep, static_cast<size_t>(options_.top_k));
  std::partial_sort(candidates_.begin(), candidates_.begin() + static_cast<std::ptrdiff_t>(keep),
                    candidates_.end(), better);
  candidates_.resize(keep);

  // Probabilities at this temperature, best first.
  std::vector<double> weight(keep);
  double sum = 0;
  for (size_t i = 0; i < keep; ++i) {
    weight[i] = std::exp((candidates_[i].logprob - candidates_[0].logprob) / options_.temperature);
    sum += weight[i];
  }
  double kept_sum = 0;
  size_t kept = 0;
  while (kept < keep) {
    if (kept > 0 && (kept_sum >= options_.top_p * sum || weight[kept] < options_.min_p)) break;
    kept_sum += weight[kept++];
  }
  double draw = uniform() * kept_sum;
  for (size_t i = 0; i < kept; ++i) {
    draw -= weight[i];
    if (draw < 0) return candidates_[i].id;
  }
  return candidates_[kept - 1].id;
}

}  // namespace awq
