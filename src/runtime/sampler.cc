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

// The logits with the penalty on what was said lately.
std::span<const float> Sampler::penalised(std::span<const float> logits,
                                          std::span<const int32_t> history) {
  if (options_.repeat_penalty == 1 || history.empty()) return logits;
  adjusted_.assign(logits.begin(), logits.end());
  const size_t reach = std::min<size_t>(history.size(), static_cast<size_t>(options_.repeat_last));
  for (const int32_t id : history.subspan(history.size() - reach)) {
    const double logit = logits[static_cast<size_t>(id)];  // once, however often it was said
    adjusted_[static_cast<size_t>(id)] = static_cast<float>(
        logit > 0 ? logit / options_.repeat_penalty : logit * options_.repeat_penalty);
  }
  return adjusted_;
}

// The `keep` best of all tokens into candidates_, best first, with their weights.
void Sampler::collect_best(std::span<const float> logits, size_t keep) {
  // A heap whose front is the worst of the kept: most tokens cost one comparison.
  candidates_.clear();
  for (size_t i = 0; i < logits.size(); ++i) {
    const TokenProbability token{static_cast<int32_t>(i), logits[i]};
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
  const double best = candidates_.front().logprob;
  for (TokenProbability& token : candidates_) {
    token.logprob = std::exp((token.logprob - best) / options_.temperature);
  }
}

// The tokens whose weight is `least` or more, best first.
void Sampler::collect_above(double least) {
  candidates_.clear();
  for (size_t i = 0; i < weights_.size(); ++i) {
    if (weights_[i] >= least && weights_[i] > 0) {
      candidates_.push_back({static_cast<int32_t>(i), weights_[i]});
    }
  }
  std::sort(candidates_.begin(), candidates_.end(), better);
}

// Draws from the candidates that top-p and min-p keep, `sum` being the weight of all tokens. Nothing
// when the answer may lie beyond the candidates, which hold every weight of `least` or more.
std::optional<int32_t> Sampler::draw(double u, double sum, double least) const {
  const bool all_kept = options_.top_p >= 1 && options_.min_p <= 0;
  double kept_sum = 0;
  size_t kept = 0;
  bool bounded = least <= options_.min_p;  // the rest is below min-p, or there is none
  while (kept < candidates_.size()) {
    const double weight = candidates_[kept].logprob;
    if (kept > 0 && (kept_sum >= options_.top_p * sum || weight < options_.min_p)) {
      bounded = true;
      break;
    }
    kept_sum += weight;
    ++kept;
  }
  if (!bounded && !all_kept) return std::nullopt;
  double rest = u * (all_kept ? sum : kept_sum);
  for (size_t i = 0; i < kept; ++i) {
    rest -= candidates_[i].logprob;
    if (rest < 0) return candidates_[i].id;
  }
  return bounded ? std::optional(candidates_[kept - 1].id) : std::nullopt;
}

Result<int32_t> Sampler::sample(std::span<const float> all, std::span<const int32_t> history) {
  bool finite = false;
  for (size_t i = 0; i < all.size(); ++i) {
    if (std::isnan(all[i]) || all[i] > 1e30f) {
      return runtime_error(cat("the model gave the logit ", all[i], " for token ", i,
                               "; its weights or activations overflow"));
    }
    finite |= std::isfinite(all[i]);
  }
  if (!finite) return runtime_error("the model gave no finite logit");
  const std::span<const float> logits = penalised(all, history);
  const auto best = std::max_element(logits.begin(), logits.end());  // the first of equals
  if (options_.temperature == 0) return static_cast<int32_t>(best - logits.begin());
  const double u = uniform();
  if (options_.top_k > 0 && static_cast<size_t>(options_.top_k) < logits.size()) {
    collect_best(logits, static_cast<size_t>(options_.top_k));
    double sum = 0;
    for (const TokenProbability& token : candidates_) sum += token.logprob;
    return *draw(u, sum, 0);
  }
  // Without a sort of the whole vocabulary: almost always a few hundred tokens hold the answer.
  weights_.resize(logits.size());
  double sum = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    const double power = (static_cast<double>(logits[i]) - *best) / options_.temperature;
    weights_[i] = std::exp(static_cast<float>(std::max(power, -1e4)));
    sum += weights_[i];
  }
  constexpr double kStep = 1.0 / 256;
  for (double least = kStep;; least = least < 1e-30 ? 0 : least * kStep) {
    collect_above(least);
    if (const auto id = draw(u, sum, least)) return *id;
  }
}

}  // namespace awq
