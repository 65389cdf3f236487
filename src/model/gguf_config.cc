#include "model/gguf_config.h"

#include <cmath>

#include "base/file.h"
#include "model/family.h"

namespace awq {
namespace {

// Copies `gguf` (after the architecture prefix) to `key` of the config when it is there.
struct Rename {
  std::string_view gguf, key;
};
constexpr Rename kRenames[] = {
    {"context_length", "max_position_embeddings"},
    {"embedding_length", "hidden_size"},
    {"block_count", "num_hidden_layers"},
    {"feed_forward_length", "intermediate_size"},
    {"attention.head_count", "num_attention_heads"},
    {"attention.head_count_kv", "num_key_value_heads"},
    {"attention.key_length", "head_dim"},
    {"attention.layer_norm_rms_epsilon", "rms_norm_eps"},
    {"rope.freq_base", "rope_theta"},
    {"attention.sliding_window", "sliding_window"},
};

// Metadata stores floats in 32 bits; the shortest decimal that reads back equal as float is what
// the original config.json said (1e-05, not 9.999999747378752e-06).
double as_written(double value) {
  std::string text;
  append_text(text, value);
  char short_text[32];
  std::snprintf(short_text, sizeof short_text, "%.7g", value);
  const double shortened = std::strtod(short_text, nullptr);
  return static_cast<float>(shortened) == static_cast<float>(value) ? shortened : value;
}

Json to_json(const MetaValue& value) {
  if (const auto* number = std::get_if<int64_t>(&value)) return *number;
  if (const auto* number = std::get_if<uint64_t>(&value)) return *number;
  if (const auto* number = std::get_if<double>(&value)) return as_written(*number);
  if (const auto* flag = std::get_if<bool>(&value)) return *flag;
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  return "an array";  // no key of kRenames is one; the family's getter refuses it by name
}

}  // namespace

Result<Config> config_from_gguf(const Checkpoint& checkpoint) {
  const Metadata& metadata = checkpoint.metadata();
  const std::string origin = printable(checkpoint.path());
  const auto found = metadata.find("general.architecture");
  const auto* architecture =
      found == metadata.end() ? nullptr : std::get_if<std::string>(&found->second);
  if (architecture == nullptr) {
    return bad_input(cat(origin, ": metadata \"general.architecture\" is missing"));
  }
  const Family* family = find_gguf_family(*architecture);
  if (family == nullptr) return unsupported_architecture(origin, *architecture);

  Json json = Json::object();
  json["architectures"] = Json::array({std::string(family->architectures.front())});
  json["model_type"] = std::string(family->name);
  for (const Rename& rename : kRenames) {
    const auto value = metadata.find(cat(*architecture, ".", rename.gguf));
    if (value != metadata.end()) json[std::string(rename.key)] = to_json(value->second);
  }
  if (const TensorInfo* embed = checkpoint.find("token_embd.weight")) {
    json["vocab_size"] = embed->shape.rank() == 2 ? embed->shape[0] : 0;
  }
  json["tie_word_embeddings"] = checkpoint.find("output.weight") == nullptr;
  json["hidden_act"] = "silu";
  const auto scaling = metadata.find(*architecture + ".rope.scaling.type");
  if (scaling != metadata.end() && to_json(scaling->second) != "none") {
    const auto factor = metadata.find(*architecture + ".rope.scaling.factor");
    json["rope_scaling"] = {{"rope_type", to_json(scaling->second)},
                            {"factor", factor == metadata.end() ? Json(1.0)
                                                                : to_json(factor->second)}};
  }
  return Config(std::move(json), origin);
}

}  // namespace awq
