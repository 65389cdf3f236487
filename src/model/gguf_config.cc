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
    // The same value under the spelling of each family.
    {"attention.layer_norm_epsilon", "layer_norm_epsilon"},
    {"attention.layer_norm_epsilon", "layer_norm_eps"},
    {"attention.layer_norm_epsilon", "norm_epsilon"},
    {"attention.clamp_kqv", "clip_qkv"},
    {"attention.max_alibi_bias", "alibi_bias_max"},
    {"attn_logit_softcapping", "attn_logit_softcapping"},
    {"final_logit_softcapping", "final_logit_softcapping"},
    {"embedding_scale", "embedding_multiplier"},
    {"residual_scale", "residual_multiplier"},
    {"attention.scale", "attention_multiplier"},
    {"logit_scale", "logit_scale"},
    {"logit_scale", "logits_scaling"},
    {"use_parallel_residual", "use_parallel_residual"},
    {"expert_count", "num_local_experts"},
    {"expert_used_count", "num_experts_per_tok"},
    {"expert_feed_forward_length", "moe_intermediate_size"},
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

// The divisors of a tensor as a list; null where it is not there.
Json factors(const Checkpoint& checkpoint, std::string_view name) {
  const TensorInfo* tensor = checkpoint.find(name);
  if (tensor == nullptr || tensor->shape.elements() > 4096) return nullptr;
  std::vector<float> values(static_cast<size_t>(tensor->shape.elements()));
  if (!checkpoint.read_rows(*tensor, 0, tensor->shape.rows(), values.data()).ok()) return nullptr;
  Json list = Json::array();
  for (const float value : values) list.push_back(as_written(value));
  return list;
}

// A factor without a type means linear (llama.cpp reads it so); null: no scaling.
Json rope_scaling(const Checkpoint& checkpoint, std::string_view architecture) {
  const Metadata& metadata = checkpoint.metadata();
  const auto of = [&](std::string_view key) {
    const MetaValue* value = find_value(metadata, architecture, key);
    return value == nullptr ? Json() : to_json(*value);
  };
  Json factor = of("rope.scaling.factor");
  if (factor.is_null()) factor = of("rope.scale_linear");
  Json kind = of("rope.scaling.type");
  Json long_factor = factors(checkpoint, "rope_factors_long.weight");
  if (kind.is_null()) kind = !long_factor.is_null() ? "longrope" : factor.is_null() ? "none" : "linear";
  if (kind == "none" && long_factor.is_null()) return nullptr;
  Json scaling = {{"rope_type", long_factor.is_null() ? kind : Json("longrope")}};
  if (long_factor.is_null()) scaling["factor"] = factor.is_null() ? Json(1.0) : factor;
  if (Json original = of("rope.scaling.original_context_length"); !original.is_null()) {
    scaling["original_max_position_embeddings"] = std::move(original);
  }
  if (long_factor.is_null()) return scaling;
  scaling["short_factor"] = factors(checkpoint, "rope_factors_short.weight");
  scaling["long_factor"] = std::move(long_factor);
  if (Json magnitude = of("rope.scaling.attn_factor"); !magnitude.is_null()) {
    scaling["attention_factor"] = std::move(magnitude);
  }
  return scaling;
}

// Heads that turn only in part: the share, under both spellings. Files whose q and k rows lie in
// interleaved pairs are refused, since the pairs of a part lie otherwise.
Status read_rotary(const Metadata& metadata, std::string_view architecture, bool interleaved,
                   const std::string& origin, Json& json) {
  const MetaValue* rotary = find_value(metadata, architecture, "rope.dimension_count");
  if (rotary == nullptr) return {};
  const auto of = [&](const char* key) { return json.contains(key) ? json[key] : Json(); };
  Json head = of("head_dim");
  const Json hidden = of("hidden_size"), heads = of("num_attention_heads");
  if (head.is_null() && hidden.is_number_unsigned() && heads.is_number_unsigned() && heads != 0) {
    head = hidden.get<uint64_t>() / heads.get<uint64_t>();
  }
  const Json count = to_json(*rotary);
  if (head.is_null() || count == head) {
    if (!interleaved) json["rotary_pct"] = json["partial_rotary_factor"] = 1.0;
    return {};
  }
  const bool numbers = count.is_number_unsigned() && head.is_number_unsigned() && head != 0;
  if (interleaved || !numbers || count > head) {
    return bad_input(cat(origin, ": metadata ", printable(architecture), ".rope.dimension_count is ",
                         printable(dump_json(count), 60), ", expected the head size ",
                         printable(dump_json(head), 60)));
  }
  const double share = count.get<double>() / head.get<double>();
  json["rotary_pct"] = share;
  json["partial_rotary_factor"] = share;
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
  const MetaValue* experts = find_value(metadata, *architecture, "expert_count");
  const Json expert_count = experts == nullptr ? Json(0) : to_json(*experts);
  const Family* family = find_gguf_family(*architecture, expert_count != 0);
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
  // Biases have no key of their own.
  const auto has = [&](const char* name) { return checkpoint.find(name) != nullptr; };
  const bool qkv_bias = has("blk.0.attn_q.bias") || has("blk.0.attn_qkv.bias");
  json["attention_bias"] = qkv_bias;
  if (qkv_bias) json["use_qkv_bias"] = true;
  if (has("blk.0.attn_output.bias")) json["use_bias"] = json["bias"] = true;
  json["mlp_bias"] = has("blk.0.ffn_gate.bias");
  AWQ_TRY(read_rotary(metadata, *architecture, family->gguf_interleaves_qk, origin, json));
  if (Json scaling = rope_scaling(checkpoint, *architecture); !scaling.is_null()) {
    json["rope_scaling"] = std::move(scaling);
  }
  if (family->complete_gguf != nullptr) family->complete_gguf(checkpoint, json);
  return Config(std::move(json), origin);
}

}  // namespace awq
