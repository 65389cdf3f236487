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

// "factor" of the context that the model was trained on; transformers 4 may leave it out.
static Result<double> read_factor(const Config& scaling, const Sizes& sizes, double original) {
  if (scaling.has("factor")) return scaling.number_or("factor", 1, 1, 1e6);
  return std::max(1.0, static_cast<double>(sizes.context) / original);
}

// The context that the model was trained on: beside the scaling, or at the top (Phi-3).
static Result<double> read_original(const Config& config, const Config& scaling,
                                    const Sizes& sizes) {
  constexpr std::string_view kKey = "original_max_position_embeddings";
  const Config& holder = scaling.has(kKey) ? scaling : config;
  AWQ_ASSIGN(const int64_t original, holder.integer_or(kKey, sizes.context, 1, int64_t{1} << 40));
  return static_cast<double>(original);
}

static Result<std::vector<float>> read_factors(const Config& scaling, std::string_view key,
                                               int64_t count) {
  AWQ_ASSIGN(const std::vector<double> values, scaling.numbers(key, 1e-6, 1e6));
  if (static_cast<int64_t>(values.size()) != count) {
    return bad_input(cat(scaling.origin(), ": \"", key, "\" has ", values.size(),
                         " entries, expected ", count, ": half the rotated width of a head"));
  }
  return std::vector<float>(values.begin(), values.end());
}

static Status read_llama3(const Config& scaling, RopeScaling& out) {
  AWQ_ASSIGN(const int64_t original,
             scaling.integer("original_max_position_embeddings", 1, int64_t{1} << 40));
  out.original_context = static_cast<double>(original);
  AWQ_ASSIGN(out.low_frequency, scaling.number_or("low_freq_factor", 1, 1e-6, 1e6));
  AWQ_ASSIGN(out.high_frequency, scaling.number_or("high_freq_factor", 4, 1e-6, 1e6));
  if (out.high_frequency > out.low_frequency) return {};
  return bad_input(cat(scaling.origin(), ": high_freq_factor must exceed low_freq_factor"));
}

static Status read_yarn(const Config& config, const Config& scaling, const Sizes& sizes,
                        Rope& rope) {
  RopeScaling& out = rope.scaling;
  AWQ_ASSIGN(out.original_context, read_original(config, scaling, sizes));
  AWQ_ASSIGN(out.factor, read_factor(scaling, sizes, out.original_context));
  AWQ_ASSIGN(const double fast, scaling.number_or("beta_fast", 32, 0, 1e6));
  AWQ_ASSIGN(const double slow, scaling.number_or("beta_slow", 1, 0, 1e6));
  out.beta_fast = fast == 0 ? 32 : fast, out.beta_slow = slow == 0 ? 1 : slow;
  AWQ_ASSIGN(out.truncate, scaling.boolean_or("truncate", true));
  AWQ_ASSIGN(const double mscale, scaling.number_or("mscale", 0, -1e3, 1e3));
  AWQ_ASSIGN(const double all_dim, scaling.number_or("mscale_all_dim", 0, -1e3, 1e3));
  const auto growth = [&](double m) {
    return out.factor <= 1 ? 1.0 : 0.1 * m * std::log(out.factor) + 1;
  };
  const double own = mscale != 0 && all_dim != 0 ? growth(mscale) / growth(all_dim) : growth(1);
  AWQ_ASSIGN(const double magnitude, scaling.number_or("attention_factor", own, 1e-3, 1e3));
  rope.magnitude = static_cast<float>(magnitude);
  return {};
}

static Status read_longrope(const Config& config, const Config& scaling, const Sizes& sizes,
                            Rope& rope) {
  RopeScaling& out = rope.scaling;
  AWQ_ASSIGN(out.original_context, read_original(config, scaling, sizes));
  AWQ_ASSIGN(out.factor, read_factor(scaling, sizes, out.original_context));
  AWQ_ASSIGN(out.short_factors, read_factors(scaling, "short_factor", rope.rotary_dim / 2));
  AWQ_ASSIGN(out.long_factors, read_factors(scaling, "long_factor", rope.rotary_dim / 2));
  const double own = out.factor <= 1 || out.original_context <= 1
                         ? 1
                         : std::sqrt(1 + std::log(out.factor) / std::log(out.original_context));
  AWQ_ASSIGN(const double magnitude, scaling.number_or("attention_factor", own, 1e-3, 1e3));
  rope.magnitude = static_cast<float>(magnitude);
  return {};
}

static Status read_scaling(const Config& config, const Config& scaling, const Sizes& sizes,
                           Rope& rope) {
  using Kind = RopeScaling::Kind;
  AWQ_ASSIGN(const std::string legacy_type, scaling.text_or("type", "default"));
  AWQ_ASSIGN(const std::string type, scaling.text_or("rope_type", legacy_type));
  AWQ_ASSIGN(rope.scaling.factor, scaling.number_or("factor", 1, 1, 1e6));
  if (type == "default") return {};
  if (type == "linear") {
    rope.scaling.kind = Kind::linear;
    return {};
  }
  if (type == "dynamic") {
    rope.scaling.kind = Kind::dynamic;
    rope.scaling.original_context = static_cast<double>(sizes.context);
    if (rope.rotary_dim > 2) return {};
    return bad_input(cat(scaling.origin(), ": dynamic scaling needs more than two rotated values"));
  }
  if (type == "llama3") {
    rope.scaling.kind = Kind::llama3;
    return read_llama3(scaling, rope.scaling);
  }
  if (type == "yarn") {
    rope.scaling.kind = Kind::yarn;
    return read_yarn(config, scaling, sizes, rope);
  }
  if (type == "longrope" || type == "su") {  // "su": Phi-3's first spelling
    rope.scaling.kind = Kind::longrope;
    return read_longrope(config, scaling, sizes, rope);
  }
  return bad_input(cat(scaling.origin(), ": rope type \"", printable(type),
                       "\" is not supported; supported: default, linear, dynamic, llama3, yarn, "
                       "longrope"));
}

Result<Rope> read_rope(const Config& config, const Sizes& sizes, const RopeKeys& keys) {
  Rope rope;
  AWQ_ASSIGN(auto parameters, config.object("rope_parameters"));
  if (parameters && !keys.layer_type.empty() && parameters->has(keys.layer_type)) {
    AWQ_ASSIGN(parameters, parameters->object(keys.layer_type));
  }
  AWQ_ASSIGN(const auto legacy, config.object("rope_scaling"));
  const bool inside = parameters && parameters->has("rope_theta");
  AWQ_ASSIGN(rope.theta, (inside ? *parameters : config)
                             .number_or(inside ? "rope_theta" : keys.theta, keys.default_theta, 1,
                                        1e12));
  constexpr std::string_view kPartial = "partial_rotary_factor";
  const bool partial_inside = parameters && parameters->has(kPartial);
  AWQ_ASSIGN(const double partial,
             (partial_inside ? *parameters : config)
                 .number_or(partial_inside ? kPartial : keys.partial, keys.default_partial, 0, 1));
  rope.rotary_dim = static_cast<int64_t>(static_cast<double>(sizes.head_dim) * partial);
  if (rope.rotary_dim % 2 != 0 || rope.rotary_dim == 0) {
    return bad_input(cat(config.origin(), ": head_dim ", sizes.head_dim, " with ", keys.partial, " ",
                         partial, " rotates ", rope.rotary_dim,
                         " values; rotary positions need pairs"));
  }
  const std::optional<Config>& scaling = parameters ? parameters : legacy;
  if (scaling) AWQ_TRY(read_scaling(config, *scaling, sizes, rope));
  return rope;
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
