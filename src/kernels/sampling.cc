#include "kernels/sampling.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <functional>
#include <limits>

namespace awq {

DrawRule draw_rule(const SamplerOptions& options) {
  DrawRule rule;
  if (options.temperature > 0) {
    constexpr double kMost = std::numeric_limits<float>::max();
    rule.sharpness = static_cast<float>(std::clamp(1 / options.temperature, 1e-37, kMost));
  }
  rule.top_k = options.top_k;
  rule.top_p = options.top_p;
  rule.repeat_penalty = options.repeat_penalty;
  if (rule.repeat_penalty != 1) rule.reach = options.repeat_last;
  rule.all_above = options.min_p <= 0;
  if (!rule.all_above) rule.least_power = static_cast<float>(std::log(options.min_p));
  return rule;
}

namespace {

using namespace sampling;

// The tokens at and above the power `least`, falling.
void collect_above(std::span<const float> logits, float best, float sharpness, float least,
                   std::vector<uint64_t>& keys) {
  keys.clear();
  for (size_t i = 0; i < logits.size(); ++i) {
    if (power_of(logits[i], best, sharpness) >= least) {
      keys.push_back(key_of(logits[i], static_cast<uint32_t>(i)));
    }
  }
  std::sort(keys.begin(), keys.end(), std::greater<>());
}

// The `count` first tokens of the order.
void collect_best(std::span<const float> logits, size_t count, std::vector<uint64_t>& keys) {
  // A heap whose front is the last of the kept: most tokens cost one comparison.
  keys.clear();
  for (size_t i = 0; i < logits.size(); ++i) {
    const uint64_t key = key_of(logits[i], static_cast<uint32_t>(i));
    if (keys.size() < count) {
      keys.push_back(key);
      if (keys.size() == count) std::make_heap(keys.begin(), keys.end(), std::greater<>());
    } else if (key > keys.front()) {
      std::pop_heap(keys.begin(), keys.end(), std::greater<>());
      keys.back() = key;
      std::push_heap(keys.begin(), keys.end(), std::greater<>());
    }
  }
  std::sort(keys.begin(), keys.end(), std::greater<>());
}

// The first of the keys whose sum is above `target`; nothing where that lies beyond them.
struct Place {
  uint64_t sum = 0;
  int32_t id = -1;
};
Place find_sum(std::span<const uint64_t> keys, float best, float sharpness, uint64_t target) {
  Place place;
  for (const uint64_t key : keys) {
    place.sum += weight_of(power_of(logit_of(key), best, sharpness));
    if (place.sum > target) {
      place.id = static_cast<int32_t>(id_of(key));
      break;
    }
  }
  return place;
}

// With `all` the weight of what top-p refers to, `keys` being its beginning: a token, or nothing where
// more keys are needed.
int32_t draw_from(std::span<const uint64_t> keys, float best, const DrawRule& rule, uint64_t all,
                  uint64_t above, uint64_t random) {
  uint64_t kept = std::min(all, above);
  if (rule.top_p < 1) {
    const Place end = find_sum(keys, best, rule.sharpness, top_p_target(rule.top_p, all));
    if (end.id < 0 && end.sum < kept) return -1;
    kept = std::min(kept, end.sum);
  }
  return find_sum(keys, best, rule.sharpness, high_product(random, kept)).id;
}

}  // namespace

Drawn draw_token(std::span<float> logits, std::span<const int32_t> recent, const DrawRule& rule,
                 uint64_t random) {
  if (rule.repeat_penalty != 1) {
    std::vector<float> after(recent.size());  // once a token, however often it was said
    for (size_t i = 0; i < recent.size(); ++i) {
      after[i] = penalized(logits[static_cast<size_t>(recent[i])], rule.repeat_penalty);
    }
    for (size_t i = 0; i < recent.size(); ++i) logits[static_cast<size_t>(recent[i])] = after[i];
  }
  return draw_token(logits, rule, random);
}

Drawn draw_token(std::span<const float> logits, const DrawRule& rule, uint64_t random) {
  float best = -std::numeric_limits<float>::infinity();
  int32_t first = Drawn::kNothing;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (is_bad(logits[i])) return {bad_at(static_cast<int32_t>(i)), logits[i]};
    if (logits[i] > best) {
      best = logits[i];
      first = static_cast<int32_t>(i);
    }
  }
  if (first < 0 || rule.sharpness == 0) return {first, 0};
  const bool few = rule.top_k > 0 && static_cast<size_t>(rule.top_k) < logits.size();
  uint64_t all = 0, above = rule.all_above ? UINT64_MAX : 0;
  for (size_t i = 0; i < logits.size() && !(few && rule.all_above); ++i) {
    const float power = power_of(logits[i], best, rule.sharpness);
    const uint64_t weight = weight_of(power);
    all += weight;
    if (!rule.all_above && power >= rule.least_power) above += weight;
  }
  std::vector<uint64_t> keys;
  if (few) {
    collect_best(logits, static_cast<size_t>(rule.top_k), keys);
    all = find_sum(keys, best, rule.sharpness, UINT64_MAX).sum;
    return {draw_from(keys, best, rule, all, above, random), 0};
  }
  // Without a sort of the whole vocabulary: almost always a few hundred tokens hold the answer.
  for (float least = kLeastPower / 5;; least += kLeastPower / 5) {
    collect_above(logits, best, rule.sharpness, std::max(least, kLeastPower), keys);
    const int32_t id = draw_from(keys, best, rule, all, above, random);
    if (id >= 0) return {id, 0};
    AWQ_CHECK(least > kLeastPower, all, above);  // all weights were there
  }
}

namespace {

class HostDraws : public TokenDraws {
 public:
  HostDraws(Device& device, const SamplerOptions& options,
            std::span<const std::span<const int32_t>> recent)
      : pool_(device.pool()), rule_(draw_rule(options)),
        reach_(static_cast<size_t>(rule_.reach)), tokens_(recent.size()), recent_(recent.size()) {
    for (size_t i = 0; i < recent.size(); ++i) {
      const auto last = recent[i].last(std::min(reach_, recent[i].size()));
      recent_[i].assign(last.begin(), last.end());
    }
  }

  void draw(Matrix logits, std::span<const uint64_t> randoms) override {
    AWQ_CHECK(logits.rows == static_cast<int64_t>(tokens_.size()) && randoms.size() == tokens_.size() &&
                  waiting_.size() < kAhead,
              logits.rows, randoms.size(), waiting_.size());
    std::vector<Drawn> all(tokens_.size());
    pool_.parallel_for(logits.rows, 1, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const auto i = static_cast<size_t>(row);
        auto& recent = recent_[i];
        all[i] = draw_token({logits.row(row), static_cast<size_t>(logits.cols)}, recent, rule_,
                            randoms[i]);
        tokens_[i] = std::max(all[i].id, 0);
        if (reach_ == 0) continue;
        if (recent.size() == reach_) recent.erase(recent.begin());
        recent.push_back(tokens_[i]);
      }
    });
    waiting_.push_back(std::move(all));
  }

  std::span<const Drawn> take() override {
    AWQ_CHECK(!waiting_.empty());
    taken_ = std::move(waiting_.front());
    waiting_.pop_front();
    return taken_;
  }

  const int32_t* tokens() const override { return tokens_.data(); }

 private:
  ThreadPool& pool_;
  DrawRule rule_;
  size_t reach_;  // of the penalty
  std::vector<int32_t> tokens_;
  std::vector<std::vector<int32_t>> recent_;
  std::deque<std::vector<Drawn>> waiting_;
  std::vector<Drawn> taken_;
};

}  // namespace

std::unique_ptr<TokenDraws> plan_host_draws(Device& device, const SamplerOptions& options, int64_t,
                                            std::span<const std::span<const int32_t>> recent) {
  return std::make_unique<HostDraws>(device, options, recent);
}

}  // namespace awq
