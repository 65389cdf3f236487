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

// Best first into candidates_: the `keep` best of all tokens, penalties applied.
void Sampler::collect(std::span<const float> logits, std::span<const int32_t> history,
                      size_t keep) {
  const bool penalised = options_.repeat_penalty != 1 && !history.empty();
  if (penalised) {
    seen_.resize(logits.size());
    const size_t reach = std::min<size_t>(history.size(), static_cast<size_t>(options_.repeat_last));
    recent_ = history.subspan(history.size() - reach);
    for (const int32_t id : recent_) seen_[static_cast<size_t>(id)] = 1;
  }
  // A heap whose front is the worst of the kept: most tokens cost one comparison.
  candidates_.clear();
  for (size_t i = 0; i < logits.size(); ++i) {
    TokenProbability token{static_cast<int32_t>(i), logits[i]};
    if (penalised && seen_[i] != 0) {
      token.logprob = token.logprob > 0 ? token.logprob / options_.repeat_penalty
                                        : token.logprob * options_.repeat_penalty;
    }
    if (candidates_.size() < keep) {
      candidates_.push_back(token);
      if (candidates_.size() == keep) std::make_heap(candidates_.begin(), candidates_.end(), better);
    } else if (better(token, candidates_.front())) {
      std::pop_heap(candidates_.begin(), candidates_.end(), better);
      candidates_.back() = token;
      std::push_heap(candidates_.begin(), candidates_.end(), better);
    }
  }
  std::sort(candidates_.begin(), candidates_.end(), better);
  if (penalised) {
    for (const int32_t id : recent_) seen_[static_cast<size_t>(id)] = 0;
  }
}

Result<int32_t> Sampler::sample(std::span<const float> logits, std::span<const int32_t> history) {
  bool finite = false;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (std::isnan(logits[i]) || logits[i] > 1e30f) {
      return runtime_error(cat("the model gave the logit ", logits[i], " for token ", i,
                               "; its weights or activations overflow"));
    }
    finite |= std::isfinite(logits[i]);
  }
  if (!finite) return runtime_error("the model gave no finite logit");
  if (options_.temperature == 0) {
    collect(logits, history, 1);
    return candidates_.front().id;
  }
  size_t keep = logits.size();
  if (options_.top_k > 0) keep = std::min<size_t>(keep, static_cast<size_t>(options_.top_k));
  collect(logits, history, keep);

  // Probabilities at this temperature, best first.
  std::vector<double> weight(candidates_.size());
  double sum = 0;
  for (size_t i = 0; i < weight.size(); ++i) {
    weight[i] = std::exp((candidates_[i].logprob - candidates_[0].logprob) / options_.temperature);
    sum += weight[i];
  }
  double kept_sum = 0;
  size_t kept = 0;
  while (kept < weight.size()) {
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
