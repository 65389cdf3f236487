// GPT-BigCode (StarCoder, SantaCoder): GPT-2's block with one key/value head, or with q, k, v
// interleaved per head.
#include "model/families/gpt2.h"
#include "model/families/registry.h"

namespace awq {
namespace {

std::vector<SlotName> bigcode_names(Fusion fusion) {
  constexpr std::string_view kQkv = "transformer.h.{}.attn.c_attn";
  return {{Slot::embed, "transformer.wte"},
          {Slot::position_table, "transformer.wpe"},
          {Slot::lm_head, "lm_head"},
          {Slot::final_norm, "transformer.ln_f"},
          {Slot::attn_norm, "transformer.h.{}.ln_1"},
          {Slot::q, kQkv, fusion},
          {Slot::k, kQkv, fusion},
          {Slot::v, kQkv, fusion},
          {Slot::o, "transformer.h.{}.attn.c_proj"},
          {Slot::ffn_norm, "transformer.h.{}.ln_2"},
          {Slot::up, "transformer.h.{}.mlp.c_fc"},
          {Slot::act, "transformer.h.{}.mlp.act"},
          {Slot::down, "transformer.h.{}.mlp.c_proj"}};
}
constexpr SlotName kBigcodeGgufNames[] = {
    {Slot::q, "blk.{}.attn_qkv", Fusion::stacked},
    {Slot::k, "blk.{}.attn_qkv", Fusion::stacked},
    {Slot::v, "blk.{}.attn_qkv", Fusion::stacked},
};

bool multi_head(const Config& config) {
  const auto value = config.boolean_or("multi_query", true);
  return value.ok() && !*value;
}

Result<Arch> describe_bigcode(const Config& config) {
  AWQ_ASSIGN(const bool multi_query, config.boolean_or("multi_query", true));
  return describe_gpt2_like(config, "gpt_bigcode", multi_query ? 1 : 0, Activation::gelu_tanh);
}

}  // namespace

Family gpt_bigcode_heads_family() {
  static const auto kNames = bigcode_names(Fusion::kv_groups);
  return {"gpt_bigcode", {"GPTBigCodeForCausalLM"}, {}, false, kNames, describe_bigcode, {},
          multi_head};
}
Family gpt_bigcode_family() {
  static const auto kNames = bigcode_names(Fusion::stacked);
  return {"gpt_bigcode", {"GPTBigCodeForCausalLM"}, {"starcoder"}, false, kNames, describe_bigcode,
          kBigcodeGgufNames};
}

}  // namespace awq
