#include "model/families/rope_config.h"

namespace awq {

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

}  // namespace awq
