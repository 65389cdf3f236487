#include "model/families/rope_config.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace awq {
namespace {

// What every llama3 config says.
constexpr double kLowFrequency = 1, kHighFrequency = 4;

bool gives_divisors(const Rope& rope, const RopeScaling& scaling) {
  Rope scaled;
  scaled.theta = rope.theta;
  scaled.rotary_dim = rope.rotary_dim;
  scaled.scaling = scaling;
  const std::vector<float> got = inverse_frequencies(scaled), want = inverse_frequencies(rope);
  for (size_t i = 0; i < want.size(); ++i) {
    if (!(std::fabs(got[i] - want[i]) <= 1e-5f * want[i])) return false;
  }
  return true;
}

// Original contexts that the divisors allow: each blended pair determines it; between the last pair
// that is kept and the first that is stretched anything will do.
std::vector<double> possible_contexts(const Rope& rope, double factor) {
  std::vector<double> contexts = {8192};
  for (int power = 2; power <= 24; ++power) contexts.push_back(std::ldexp(1.0, power));
  Rope plain;
  plain.theta = rope.theta;
  plain.rotary_dim = rope.rotary_dim;
  const std::vector<float> frequencies = inverse_frequencies(plain);
  double kept = 0;
  for (size_t i = 0; i < frequencies.size(); ++i) {
    const double wavelength = 2 * std::numbers::pi / frequencies[i];
    const double share = (1 / double{rope.divisors[i]} - 1 / factor) / (1 - 1 / factor);
    if (share >= 1) {
      kept = wavelength;
    } else if (share > 0) {
      const double turns = kLowFrequency + share * (kHighFrequency - kLowFrequency);
      contexts.push_back(std::round(wavelength * turns));
    } else {
      contexts.push_back(std::floor((kept * kHighFrequency + wavelength * kLowFrequency) / 2));
      break;
    }
  }
  return contexts;
}

}  // namespace

Result<Rope> read_rope(const Config& config, int64_t rotary_dim) {
  Rope rope;
  rope.rotary_dim = rotary_dim;
  AWQ_ASSIGN(const auto parameters, config.object("rope_parameters"));
  AWQ_ASSIGN(const auto legacy, config.object("rope_scaling"));
  const Config& holder = parameters ? *parameters : config;
  AWQ_ASSIGN(rope.theta, holder.number_or("rope_theta", 10000, 1, 1e12));
  const std::optional<Config>& scaling = parameters ? parameters : legacy;
  if (!scaling) return rope;

  AWQ_ASSIGN(const std::string legacy_type, scaling->text_or("type", "default"));
  AWQ_ASSIGN(const std::string type, scaling->text_or("rope_type", legacy_type));
  AWQ_ASSIGN(rope.scaling.factor, scaling->number_or("factor", 1, 1, 1e6));
  if (type == "default") return rope;
  if (type == "linear") {
    rope.scaling.kind = RopeScaling::Kind::linear;
    return rope;
  }
  if (type == "llama3") {
    rope.scaling.kind = RopeScaling::Kind::llama3;
    AWQ_ASSIGN(const int64_t original,
               scaling->integer("original_max_position_embeddings", 1, int64_t{1} << 40));
    rope.scaling.original_context = static_cast<double>(original);
    AWQ_ASSIGN(rope.scaling.low_frequency, scaling->number_or("low_freq_factor", 1, 1e-6, 1e6));
    AWQ_ASSIGN(rope.scaling.high_frequency, scaling->number_or("high_freq_factor", 4, 1e-6, 1e6));
    if (rope.scaling.high_frequency <= rope.scaling.low_frequency) {
      return bad_input(cat(scaling->origin(), ": high_freq_factor must exceed low_freq_factor"));
    }
    return rope;
  }
  return bad_input(cat(scaling->origin(), ": rope type \"", printable(type),
                       "\" is not supported; supported: default, linear, llama3"));
}

Result<Json> rope_scaling_of_divisors(const Rope& rope, const std::string& origin) {
  if (gives_divisors(rope, {})) return Json();
  const double factor = *std::max_element(rope.divisors.begin(), rope.divisors.end());
  if (factor > 1) {
    if (gives_divisors(rope, {RopeScaling::Kind::linear, factor})) {
      return Json{{"rope_type", "linear"}, {"factor", factor}};
    }
    for (const double context : possible_contexts(rope, factor)) {
      const RopeScaling scaling = {RopeScaling::Kind::llama3, factor, kLowFrequency,
                                   kHighFrequency, context};
      if (context < 1 || !gives_divisors(rope, scaling)) continue;
      return Json{{"rope_type", "llama3"},
                  {"factor", factor},
                  {"low_freq_factor", kLowFrequency},
                  {"high_freq_factor", kHighFrequency},
                  {"original_max_position_embeddings", static_cast<int64_t>(context)}};
    }
  }
  return bad_input(cat(origin, ": the divisors of tensor rope_freqs.weight cannot be expressed in "
                               "config.json: they follow neither the linear nor the llama3 rule; "
                               "quantize the Hugging Face checkpoint of this model"));
}

}  // namespace awq
