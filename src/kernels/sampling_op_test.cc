// Draws of tokens by every backend against sorting the whole vocabulary, and the device against the
// host: the same tokens, whatever the logits.
#include "kernels/sampling.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "kernels/cpu.h"
#include "kernels/cuda_test.h"

namespace awq {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct Case {
  const char* name;
  SamplerOptions options;
};

std::vector<Case> cases() {
  std::vector<Case> all = {{"greedy", {}}, {"penalty", {}}};
  all[1].options.repeat_penalty = 1.3;
  for (const double temperature : {1e-30, 0.7, 1.0, 5.0, 1e30}) {
    for (const double top_p : {1.0, 0.95, 0.3, 0.0}) {
      for (const double min_p : {0.0, 0.05, 1.0}) {
        for (const int64_t top_k : {0, 1, 40, 5000}) {
          SamplerOptions o{temperature, top_k, top_p, min_p};
          o.repeat_penalty = top_k == 40 ? 1.1 : 1;
          o.repeat_last = 20;
          all.push_back({"sampled", o});
        }
      }
    }
  }
  return all;
}

std::string text_of(const SamplerOptions& o) {
  return cat("temperature ", o.temperature, ", top-k ", o.top_k, ", top-p ", o.top_p, ", min-p ",
             o.min_p, ", penalty ", o.repeat_penalty);
}

// Rows of logits of one kind.
std::vector<float> make_logits(int kind, size_t vocab, std::mt19937_64& random) {
  std::normal_distribution<float> normal(0, 3);
  std::vector<float> x(vocab);
  for (float& v : x) {
    switch (kind) {
      case 0: v = normal(random); break;                                        // a model's, about
      case 1: v = 2.5f; break;                                                  // all equal
      case 2: v = std::round(normal(random)); break;                            // many ties
      case 3: v = random() % 3 == 0 ? normal(random) : -kInfinity; break;       // masked
      case 4: v = 1e-4f * normal(random); break;                                // flat
      default: v = -kInfinity;                                                  // one is left
    }
  }
  if (kind == 5) x[vocab / 2] = -7;
  if (kind == 0) x[vocab / 3] = -0.f, x[vocab / 4] = 0.f;
  return x;
}
constexpr int kKinds = 6;

// The rule of sampling.h by sorting everything.
int32_t by_sorting(std::vector<float> x, std::span<const int32_t> recent, const SamplerOptions& o,
                   uint64_t random) {
  using namespace sampling;
  std::vector<int32_t> once(recent.begin(), recent.end());
  std::sort(once.begin(), once.end());
  once.erase(std::unique(once.begin(), once.end()), once.end());
  for (const int32_t id : once) {
    float& v = x[static_cast<size_t>(id)];
    if (o.repeat_penalty != 1) v = static_cast<float>(v > 0 ? v / o.repeat_penalty : v * o.repeat_penalty);
  }
  std::vector<int32_t> order(x.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int32_t>(i);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    return x[static_cast<size_t>(a)] > x[static_cast<size_t>(b)];
  });
  if (o.temperature == 0) return order[0];
  const DrawRule rule = draw_rule(o);
  const auto weight = [&](size_t i) {
    return weight_of(power_of(x[static_cast<size_t>(order[i])], x[static_cast<size_t>(order[0])],
                              rule.sharpness));
  };
  size_t kept = o.top_k > 0 ? std::min(order.size(), static_cast<size_t>(o.top_k)) : order.size();
  uint64_t all = 0, sum = 0;
  for (size_t i = 0; i < kept; ++i) all += weight(i);
  for (size_t i = 0; i < kept; sum += weight(i++)) {
    const bool below = power_of(x[static_cast<size_t>(order[i])], x[static_cast<size_t>(order[0])],
                                rule.sharpness) < rule.least_power;
    if (i > 0 && ((o.top_p < 1 && sum >= top_p_target(o.top_p, all) + 1) || (o.min_p > 0 && below))) {
      kept = i;
      break;
    }
  }
  const uint64_t target = high_product(random, sum);
  uint64_t reached = 0;
  for (size_t i = 0; i < kept; ++i) {
    reached += weight(i);
    if (reached > target) return order[i];
  }
  return order[kept - 1];
}

TEST(Sampling, WeightsAreExponentialsAndFall) {
  using namespace sampling;
  uint64_t before = weight_of(0);
  EXPECT_EQ(before, uint64_t{1} << kWeightBits);
  for (float power = 0; power > -29; power -= 0.003f) {
    const uint64_t weight = weight_of(power);
    const double want = std::ldexp(std::exp(static_cast<double>(power)), kWeightBits);
    EXPECT_LE(std::abs(static_cast<double>(weight) - want), 3e-7 * want + 2) << power;
    EXPECT_LE(weight, before);
    EXPECT_EQ(weight == 0, octave_of(power) >= kOctaves) << power;
    before = weight;
  }
}

TEST(Sampling, HostEqualsSorting) {
  std::mt19937_64 random(3);
  for (const Case& c : cases()) {
    for (int kind = 0; kind < kKinds; ++kind) {
      auto x = make_logits(kind, 300, random);
      const std::vector<int32_t> recent = {3, 5, 3, 299, 150, 100};
      const uint64_t number = random();
      const int32_t want = by_sorting(x, recent, c.options, number);
      EXPECT_EQ(draw_token(x, recent, draw_rule(c.options), number).id, want)
          << text_of(c.options) << ", kind " << kind;
    }
  }
}

class CudaSampling : public CudaTest {
 protected:
  // Draws by both, `steps` in a row with the penalty's tokens growing: equal, bit for bit.
  void compare(const SamplerOptions& options, const std::vector<std::vector<float>>& rows, int steps,
               std::mt19937_64& random) {
    const auto vocab = static_cast<int64_t>(rows[0].size()), count = static_cast<int64_t>(rows.size());
    const std::vector<int32_t> said = {3, 5, 3, static_cast<int32_t>(vocab - 1), 150, 100};
    const std::vector<std::span<const int32_t>> recent(rows.size(), said);
    const auto on_device = cuda.plan_draws(*device, options, vocab, recent);
    const auto on_host = plan_host_draws(*host, options, vocab, recent);
    DeviceBuffer buffer(*device, static_cast<size_t>(vocab * count) * sizeof(float));
    for (int step = 0; step < steps; ++step) {
      std::vector<float> flat;
      for (const auto& row : rows) flat.insert(flat.end(), row.begin(), row.end());
      device->upload(buffer.data(), flat.data(), flat.size() * sizeof(float));
      std::vector<uint64_t> numbers(rows.size());
      for (uint64_t& number : numbers) number = random();
      if (step == 1) numbers[0] = 0;
      if (step == 2) numbers[0] = UINT64_MAX;
      on_device->draw({buffer.as<float>(), count, vocab}, numbers);
      on_host->draw({flat.data(), count, vocab}, numbers);
      const auto want = on_host->take();
      const auto got = on_device->take();
      std::vector<int32_t> tokens(rows.size());
      device->download(tokens.data(), on_device->tokens(), tokens.size() * sizeof(int32_t));
      for (size_t i = 0; i < rows.size(); ++i) {
        ASSERT_EQ(got[i].id, want[i].id)
            << text_of(options) << ", row " << i << " of " << vocab << ", step " << step;
        ASSERT_EQ(tokens[i], std::max(want[i].id, 0));
      }
    }
  }

  std::unique_ptr<Device> host = make_cpu_device(2);
};

TEST_F(CudaSampling, EqualsTheHost) {
  std::mt19937_64 random(4);
  for (const Case& c : cases()) {
    std::vector<std::vector<float>> rows;
    for (int kind = 0; kind < kKinds; ++kind) rows.push_back(make_logits(kind, 5003, random));
    compare(c.options, rows, 4, random);
    if (HasFatalFailure()) return;
  }
}

// More tokens of one octave than a window holds, and of one logit.
TEST_F(CudaSampling, EqualsTheHostOverLargeVocabularies) {
  std::mt19937_64 random(5);
  for (const double top_p : {1.0, 0.9}) {
    for (const int64_t top_k : {0, 20000}) {
      for (int kind = 0; kind < kKinds; ++kind) {
        SamplerOptions options{1.0, top_k, top_p, kind % 2 == 0 ? 0.0 : 1e-3};
        compare(options, {make_logits(kind, 128256, random)}, 3, random);
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST_F(CudaSampling, BadLogitsAreReported) {
  std::mt19937_64 random(6);
  SamplerOptions options;
  for (const double temperature : {0.0, 1.0}) {
    options.temperature = temperature;
    auto nan = make_logits(0, 40000, random), large = nan, none = nan;
    nan[39999] = std::nanf("");
    large[7000] = 2e30f, large[7001] = kInfinity;
    std::fill(none.begin(), none.end(), -kInfinity);
    compare(options, {nan, large, none, make_logits(0, 40000, random)}, 2, random);
  }
}

TEST_F(CudaSampling, DrawsWaitToBeTaken) {
  std::mt19937_64 random(7);
  SamplerOptions options{0.8, 0, 0.95};
  const auto x = make_logits(0, 32000, random);
  DeviceBuffer buffer(*device, x.size() * sizeof(float));
  device->upload(buffer.data(), x.data(), buffer.size());
  const std::vector<std::span<const int32_t>> none(1);
  const auto draws = cuda.plan_draws(*device, options, 32000, none);
  const auto reference = plan_host_draws(*host, options, 32000, none);
  for (int round = 0; round < 3; ++round) {
    for (size_t i = 0; i < TokenDraws::kAhead; ++i) {
      const uint64_t number = random();
      auto copy = x;
      draws->draw({buffer.as<float>(), 1, 32000}, {&number, 1});
      reference->draw({copy.data(), 1, 32000}, {&number, 1});
    }
    for (size_t i = 0; i < TokenDraws::kAhead; ++i) {
      ASSERT_EQ(draws->take()[0].id, reference->take()[0].id) << round << ", " << i;
    }
  }
}

}  // namespace
}  // namespace awq
