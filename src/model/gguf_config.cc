#include "model/gguf_config.h"

#include <cfloat>
#include <charconv>
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
  if (!(std::abs(value) <= FLT_MAX) || static_cast<double>(static_cast<float>(value)) != value) {
    return value;
  }
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, static_cast<float>(value)).ptr;
  double shortest = value;
  std::from_chars(text, end, shortest);
  return shortest;
}

Json to_json(const MetaValue& value) {
  if (const auto* number = std::get_if<int64_t>(&value)) return *number;
  if (const auto* number = std::get_if<uint64_t>(&value)) return *number;
  if (const auto* number = std::get_if<double>(&value)) return as_written(*number);
  if (const auto* flag = std::get_if<bool>(&value)) return *flag;
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  return "an array";  // no key of kRenames is one; the family's getter refuses it by name
}

const MetaValue* find_value(const Metadata& metadata, std::string_view architecture,
                            std::string_view key) {
  const auto found = metadata.find(cat(architecture, ".", key));
  return found == metadata.end() ? nullptr : &found->second;
}

// A factor without a type means linear (llama.cpp reads it so); null: no scaling.
Json rope_scaling(const Metadata& metadata, std::string_view architecture) {
  const MetaValue* type = find_value(metadata, architecture, "rope.scaling.type");
  const MetaValue* factor = find_value(metadata, architecture, "rope.scaling.factor");
  if (factor == nullptr) factor = find_value(metadata, architecture, "rope.scale_linear");
  const Json kind = type != nullptr     ? to_json(*type)
                    : factor != nullptr ? Json("linear")
                                        : Json("none");
  if (kind == "none") return nullptr;
  return {{"rope_type", kind}, {"factor", factor == nullptr ? Json(1.0) : to_json(*factor)}};
}

// Keys that no family reads and that change what the weights mean.
Status check_unused(const Metadata& metadata, std::string_view architecture, const Json& json,
                    const std::string& origin) {
  const auto refuse = [&](std::string_view key, const Json& found, std::string_view wanted) {
    return bad_input(cat(origin, ": metadata ", printable(architecture), ".", key, " is ",
                         printable(dump_json(found), 60), ", expected ", wanted));
  };
  if (const MetaValue* experts = find_value(metadata, architecture, "expert_count")) {
    const Json count = to_json(*experts);
    if (count != 0) return refuse("expert_count", count, "0: mixtures of experts are not read yet");
  }
  if (const MetaValue* rotary = find_value(metadata, architecture, "rope.dimension_count")) {
    const auto of = [&](const char* key) { return json.contains(key) ? json[key] : Json(); };
    Json head = of("head_dim");
    const Json hidden = of("hidden_size"), heads = of("num_attention_heads");
    if (head.is_null() && hidden.is_number_unsigned() && heads.is_number_unsigned() && heads != 0) {
      head = hidden.get<uint64_t>() / heads.get<uint64_t>();
    }
    const Json count = to_json(*rotary);
    if (!head.is_null() && count != head) {
      return refuse("rope.dimension_count", count,
                    cat("the head size ", printable(dump_json(head), 60)));
    }
  }
  return {};
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
  // Biases have no key of their own.
  json["attention_bias"] = checkpoint.find("blk.0.attn_q.bias") != nullptr;
  json["mlp_bias"] = checkpoint.find("blk.0.ffn_gate.bias") != nullptr;
  AWQ_TRY(check_unused(metadata, *architecture, json, origin));
  if (Json scaling = rope_scaling(metadata, *architecture); !scaling.is_null()) {
    json["rope_scaling"] = std::move(scaling);
  }
  return Config(std::move(json), origin);
}

}  // namespace awq
