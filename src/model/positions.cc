#include "model/positions.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>

namespace awq {

// The llama3 rule: wavelengths beyond the original context are stretched by `factor`, short ones
// are kept, those between are blended (Llama 3.1 model card; transformers' "llama3" rope type).
static double llama3_frequency(double frequency, const RopeScaling& scaling) {
  const double wavelength = 2 * std::numbers::pi / frequency;
  const double longest = scaling.original_context / scaling.low_frequency;
  const double shortest = scaling.original_context / scaling.high_frequency;
  if (wavelength > longest) return frequency / scaling.factor;
  if (wavelength < shortest) return frequency;
  const double blend = (scaling.original_context / wavelength - scaling.low_frequency) /
                       (scaling.high_frequency - scaling.low_frequency);
  return (1 - blend) * frequency / scaling.factor + blend * frequency;
}

// The share of pair `i` that is stretched (Peng et al. 2023, "NTK-by-parts").
static double yarn_ramp(const Rope& rope, size_t i) {
  const RopeScaling& scaling = rope.scaling;
  const auto dim = static_cast<double>(rope.rotary_dim);
  const auto pair_that_turns = [&](double turns) {
    return dim * std::log(scaling.original_context / (turns * 2 * std::numbers::pi)) /
           (2 * std::log(rope.theta));
  };
  double low = pair_that_turns(scaling.beta_fast), high = pair_that_turns(scaling.beta_slow);
  if (scaling.truncate) low = std::floor(low), high = std::ceil(high);
  low = std::max(low, 0.0), high = std::min(high, dim - 1);
  if (low == high) high += 0.001;
  return std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
}

// Dynamic NTK: the base grows with the length (Hugging Face's "dynamic" rope type).
static double dynamic_theta(const Rope& rope, int64_t length) {
  const RopeScaling& scaling = rope.scaling;
  const auto dim = static_cast<double>(rope.rotary_dim);
  const double ratio = static_cast<double>(length) / scaling.original_context;
  return rope.theta *
         std::pow(scaling.factor * ratio - (scaling.factor - 1), dim / (dim - 2));
}

bool beyond_original(const Rope& rope, int64_t length) {
  const RopeScaling::Kind kind = rope.scaling.kind;
  return (kind == RopeScaling::Kind::dynamic || kind == RopeScaling::Kind::longrope) &&
         static_cast<double>(length) > rope.scaling.original_context;
}

std::vector<float> inverse_frequencies(const Rope& rope, int64_t length) {
  using Kind = RopeScaling::Kind;
  const RopeScaling& scaling = rope.scaling;
  const bool grown = beyond_original(rope, length);
  const double theta =
      grown && scaling.kind == Kind::dynamic ? dynamic_theta(rope, length) : rope.theta;
  std::vector<float> frequencies(static_cast<size_t>(rope.rotary_dim / 2));
  for (size_t i = 0; i < frequencies.size(); ++i) {
    double frequency =
        std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(rope.rotary_dim));
    if (!rope.divisors.empty()) {
      frequency /= rope.divisors[i];
    } else if (scaling.kind == Kind::linear) {
      frequency /= scaling.factor;
    } else if (scaling.kind == Kind::llama3) {
      frequency = llama3_frequency(frequency, scaling);
    } else if (scaling.kind == Kind::yarn) {
      const double ramp = yarn_ramp(rope, i);
      frequency *= ramp / scaling.factor + (1 - ramp);
    } else if (scaling.kind == Kind::longrope) {
      frequency /= grown ? scaling.long_factors[i] : scaling.short_factors[i];
    }
    frequencies[i] = static_cast<float>(frequency);
  }
  return frequencies;
}

// MPT's form, which gives BLOOM's and Falcon's numbers too: slopes of the next power of two, every
// second one first.
std::vector<float> alibi_slopes(const Alibi& alibi, int64_t heads) {
  const auto power = static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(heads)));
  std::vector<float> slopes;
  const auto slope = [&](int64_t j) {
    return alibi.multiplier * static_cast<float>(std::exp2(-static_cast<double>(j) * alibi.max_bias /
                                                           static_cast<double>(power)));
  };
  if (power == heads) {
    for (int64_t j = 1; j <= power; ++j) slopes.push_back(slope(j));
    return slopes;
  }
  for (int64_t j = 2; j <= power; j += 2) slopes.push_back(slope(j));
  for (int64_t j = 1; j <= power; j += 2) slopes.push_back(slope(j));
  slopes.resize(static_cast<size_t>(heads));
  return slopes;
}

}  // namespace awq
