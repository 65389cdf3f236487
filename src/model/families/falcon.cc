// Falcon: parallel branches, one key/value head (7B), groups of them with a norm for each branch (40B,
// 180B), or all heads with ALiBi (RW).
#include <cmath>

#include "model/families/parts.h"
#include "model/families/registry.h"

namespace awq {
namespace {

std::vector<SlotName> falcon_names(Fusion fusion, std::string_view attn_norm,
                                   std::string_view ffn_norm) {
  constexpr std::string_view kQkv = "transformer.h.{}.self_attention.query_key_value";
  return {{Slot::embed, "transformer.word_embeddings"},
          {Slot::lm_head, "lm_head"},
          {Slot::final_norm, "transformer.ln_f"},
          {Slot::attn_norm, attn_norm},
          {Slot::q, kQkv, fusion},
          {Slot::k, kQkv, fusion},
          {Slot::v, kQkv, fusion},
          {Slot::o, "transformer.h.{}.self_attention.dense"},
          {Slot::ffn_norm, ffn_norm},
          {Slot::up, "transformer.h.{}.mlp.dense_h_to_4h"},
          {Slot::act, "transformer.h.{}.mlp.act"},
          {Slot::down, "transformer.h.{}.mlp.dense_4h_to_h"}};
}

constexpr std::string_view kInputNorm = "transformer.h.{}.input_layernorm";
constexpr std::string_view kSecondNorm = "transformer.h.{}.post_attention_layernorm";

bool is_true(const Config& config, std::string_view key, bool fallback) {
  const auto value = config.boolean_or(key, fallback);
  return value.ok() ? *value : fallback;
}
// RefinedWeb's configs say it by having the key of grouped heads.
bool grouped(const Config& config) {
  return is_true(config, "new_decoder_architecture", config.has("n_head_kv"));
}
bool two_norms(const Config& config) {
  const auto norms = config.integer_or("num_ln_in_parallel_attn", 2, 1, 2);
  return grouped(config) && is_true(config, "parallel_attn", true) && (!norms.ok() || *norms == 2);
}
bool one_kv_head(const Config& config) {
  return !grouped(config) && is_true(config, "multi_query", true);
}

Result<Arch> describe_falcon(const Config& config) {
  Arch arch;
  arch.family = "falcon";
  AWQ_ASSIGN(const bool is_new,
             config.boolean_or("new_decoder_architecture", config.has("n_head_kv")));
  AWQ_ASSIGN(const bool multi_query, config.boolean_or("multi_query", true));
  AWQ_ASSIGN(const bool parallel, config.boolean_or("parallel_attn", true));
  AWQ_ASSIGN(const bool bias, config.boolean_or("bias", false));
  AWQ_ASSIGN(const bool alibi, config.boolean_or("alibi", false));
  AWQ_ASSIGN(const int64_t norms, config.integer_or("num_ln_in_parallel_attn", 2, 1, 2));
  Json json = config.json();
  if (!is_new) {  // the number of key/value heads follows from the switch alone
    json.erase("num_kv_heads"), json.erase("n_head_kv"), json.erase("num_key_value_heads");
    if (multi_query) json["num_kv_heads"] = 1;
  }
  const std::string_view kv_key = json.contains("n_head_kv") ? "n_head_kv" : "num_kv_heads";
  const bool old_keys = config.has("n_layer");  // RefinedWeb's
  AWQ_ASSIGN(arch.sizes,
             read_sizes(Config(std::move(json), config.origin()),
                        {.layers = old_keys ? "n_layer" : "num_hidden_layers",
                         .heads = old_keys ? "n_head" : "num_attention_heads", .kv_heads = kv_key,
                         .ffn = "ffn_hidden_size", .ffn_ratio = 4}));
  AWQ_ASSIGN(const Activation activation, read_activation(config, {"activation"}, Activation::gelu));
  AWQ_ASSIGN(arch.tied_head, config.boolean_or("tie_word_embeddings", true));
  AWQ_ASSIGN(arch.norm_epsilon, read_float(config, "layer_norm_epsilon", 1e-5, 0, 1));
  Positions positions;
  if (alibi) {  // the bias is scaled with the scores
    positions = Alibi{8, 1 / std::sqrt(static_cast<float>(arch.sizes.head_dim))};
  } else {
    AWQ_ASSIGN(positions, read_rope(config, arch.sizes));
  }
  set_frame(arch, layer_norm(Slot::attn_norm));
  Block& block = arch.block;
  if (parallel) {
    const bool two = is_new && norms == 2;
    block.residual = two ? Residual::parallel_two_norms : Residual::parallel_one_norm;
    if (!two) block.ffn_norm.reset();
  }
  block.attention = attention(bias, bias, std::move(positions));
  block.ffn = plain_ffn(activation, bias);
  return arch;
}

constexpr std::string_view kGgufQkv = "blk.{}.attn_qkv";
constexpr SlotName kFalconGgufNames[] = {{Slot::q, kGgufQkv, Fusion::stacked},
                                         {Slot::k, kGgufQkv, Fusion::stacked},
                                         {Slot::v, kGgufQkv, Fusion::stacked}};
constexpr SlotName kFalconTwoNormsGgufNames[] = {{Slot::attn_norm, "blk.{}.attn_norm_2"},
                                                 {Slot::ffn_norm, "blk.{}.attn_norm"},
                                                 {Slot::q, kGgufQkv, Fusion::stacked},
                                                 {Slot::k, kGgufQkv, Fusion::stacked},
                                                 {Slot::v, kGgufQkv, Fusion::stacked}};

void complete_falcon(const Checkpoint& checkpoint, Json& config) {
  const bool two = checkpoint.find("blk.0.attn_norm_2.weight") != nullptr;
  const bool one_head = config.contains("num_key_value_heads") && config["num_key_value_heads"] == 1;
  config["new_decoder_architecture"] = two || !one_head;
  config["num_ln_in_parallel_attn"] = two ? 2 : 1;
}

Family falcon_variant(const std::vector<SlotName>& names, std::span<const SlotName> gguf_names,
                      bool (*applies)(const Config&)) {
  return {"falcon", {"FalconForCausalLM", "RWForCausalLM"}, {"falcon"}, false, names,
          describe_falcon, gguf_names, applies, complete_falcon};
}

}  // namespace

Family falcon_two_norms_family() {
  static const auto kNames = falcon_names(Fusion::kv_groups, "transformer.h.{}.ln_attn",
                                          "transformer.h.{}.ln_mlp");
  return falcon_variant(kNames, kFalconTwoNormsGgufNames, two_norms);
}
Family falcon_one_kv_head_family() {
  static const auto kNames = falcon_names(Fusion::stacked, kInputNorm, kSecondNorm);
  return falcon_variant(kNames, kFalconGgufNames, one_kv_head);
}
Family falcon_heads_family() {
  static const auto kNames = falcon_names(Fusion::kv_groups, kInputNorm, kSecondNorm);
  return falcon_variant(kNames, kFalconGgufNames, nullptr);
}

}  // namespace awq
