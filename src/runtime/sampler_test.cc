#include "runtime/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

namespace awq {
namespace {

std::map<int32_t, int> draws(const SamplerOptions& options, const std::vector<float>& logits,
                             const std::vector<int32_t>& history = {}) {
  std::map<int32_t, int> counts;
  Sampler sampler(options);
  for (int i = 0; i < 4000; ++i) ++counts[*sampler.sample(logits, history)];
  return counts;
}

const std::vector<float> kLogits = {0, std::log(2.0f), std::log(4.0f), std::log(1.0f)};

TEST(Sampler, GreedyTakesTheFirstOfEquals) {
  EXPECT_EQ(*Sampler({}).sample(std::vector<float>{1, 3, 3, 2}, {}), 1);
}

TEST(Sampler, FrequenciesFollowTheProbabilities) {
  SamplerOptions options;
  options.temperature = 1;
  auto counts = draws(options, kLogits);  // 1/8, 2/8, 4/8, 1/8
  EXPECT_NEAR(counts[2], 2000, 150);
  EXPECT_NEAR(counts[1], 1000, 150);
  options.temperature = 0.5;  // squared: 1, 4, 16, 1 of 22
  counts = draws(options, kLogits);
  EXPECT_NEAR(counts[2], 4000 * 16 / 22, 150);
}

TEST(Sampler, TopKTopPMinPCutTheTail) {
  SamplerOptions options;
  options.temperature = 1;
  options.top_k = 2;
  EXPECT_EQ(draws(options, kLogits).size(), 2u);
  options.top_k = 0;
  options.top_p = 0.6;  // 4/8 is not enough, 6/8 is
  EXPECT_EQ(draws(options, kLogits).size(), 2u);
  options.top_p = 0;  // always at least one
  EXPECT_EQ(draws(options, kLogits).size(), 1u);
  options.top_p = 1;
  options.min_p = 0.4;  // of the best: keeps 4 and 2
  EXPECT_EQ(draws(options, kLogits).size(), 2u);
  options.min_p = 1;
  EXPECT_EQ(draws(options, kLogits).size(), 1u);
}

// Sorts everything, and draws with the same random numbers.
int32_t by_sorting(const SamplerOptions& options, const std::vector<float>& logits, double u) {
  std::vector<std::pair<double, int32_t>> tokens;
  const float best = *std::max_element(logits.begin(), logits.end());
  for (size_t i = 0; i < logits.size(); ++i) {
    const double power = (static_cast<double>(logits[i]) - best) / options.temperature;
    tokens.push_back({std::exp(static_cast<float>(power)), static_cast<int32_t>(i)});
  }
  std::stable_sort(tokens.begin(), tokens.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  if (options.top_k > 0) tokens.resize(std::min(tokens.size(), static_cast<size_t>(options.top_k)));
  double sum = 0, kept_sum = 0;
  for (const auto& token : tokens) sum += token.first;
  size_t kept = 0;
  for (; kept < tokens.size(); kept_sum += tokens[kept++].first) {
    if (kept == 0) continue;
    if (kept_sum >= options.top_p * sum || tokens[kept].first < options.min_p) break;
  }
  double rest = u * kept_sum;
  for (size_t i = 0; i < kept; ++i) {
    rest -= tokens[i].first;
    if (rest < 0) return tokens[i].second;
  }
  return tokens[kept - 1].second;
}

TEST(Sampler, EqualsSortingTheWholeVocabulary) {
  std::mt19937_64 random(5), data(6);
  std::normal_distribution<float> normal(0, 3);
  std::vector<float> logits(3000);
  int equal = 0, total = 0;
  for (const double temperature : {0.3, 1.0, 5.0}) {
    for (const double top_p : {1.0, 0.999, 0.9, 0.1}) {
      for (const double min_p : {0.0, 1e-4, 0.05}) {
        for (const int64_t top_k : {int64_t{0}, int64_t{40}}) {
          SamplerOptions options;
          options.temperature = temperature;
          options.top_p = top_p;
          options.min_p = min_p;
          options.top_k = top_k;
          Sampler sampler(options);
          std::mt19937_64 same(options.seed);
          for (int i = 0; i < 20; ++i, ++total) {
            for (float& logit : logits) logit = normal(data);
            const double u = static_cast<double>(same() >> 11) * 0x1p-53;
            equal += *sampler.sample(logits, {}) == by_sorting(options, logits, u);
          }
        }
      }
    }
  }
  EXPECT_GE(equal, total - 2);  // sums in another order may move a border by an ulp
}

TEST(Sampler, RepeatPenaltyLowersWhatWasSaid) {
  SamplerOptions options;
  options.repeat_penalty = 1.5;
  EXPECT_EQ(*Sampler(options).sample(std::vector<float>{2, 2.5f, -1}, std::vector<int32_t>{1}), 0);
  EXPECT_EQ(*Sampler(options).sample(std::vector<float>{-1, -1.2f, -9}, std::vector<int32_t>{0}), 1);
  options.repeat_last = 1;  // only the last token is looked at
  EXPECT_EQ(*Sampler(options).sample(std::vector<float>{2, 2.5f, -1}, std::vector<int32_t>{1, 2}), 1);
}

TEST(Sampler, ExtremeTemperatures) {
  SamplerOptions options;
  options.temperature = 1e-30;
  EXPECT_EQ(draws(options, kLogits).size(), 1u);
  options.temperature = 1e30;
  EXPECT_NEAR(draws(options, kLogits)[0], 1000, 150);
}

TEST(Sampler, NonFiniteLogitsAreAnErrorOrLeftOut) {
  const float nan = std::nanf(""), inf = std::numeric_limits<float>::infinity();
  EXPECT_FALSE(Sampler({}).sample(std::vector<float>{1, nan}, {}).ok());
  EXPECT_FALSE(Sampler({}).sample(std::vector<float>{1, inf}, {}).ok());
  EXPECT_FALSE(Sampler({}).sample(std::vector<float>{-inf, -inf}, {}).ok());
  SamplerOptions options;
  options.temperature = 1;
  EXPECT_EQ(draws(options, {-inf, 0, -inf}).size(), 1u);
}

TEST(Sampler, OptionsOutOfRangeAreUsageErrors) {
  const auto kind = [](SamplerOptions options) {
    const Status status = check_sampler_options(options);
    return status.ok() ? 0 : static_cast<int>(status.error().kind);
  };
  EXPECT_EQ(kind({}), 0);
  EXPECT_EQ(kind({.temperature = -1}), 2);
  EXPECT_EQ(kind({.temperature = std::nan("")}), 2);
  EXPECT_EQ(kind({.top_k = -1}), 2);
  EXPECT_EQ(kind({.top_p = 1.1}), 2);
  EXPECT_EQ(kind({.min_p = -0.1}), 2);
  EXPECT_EQ(kind({.repeat_penalty = 0}), 2);
}

}  // namespace
}  // namespace awq
