// GPT-NeoX, Pythia, RedPajama-INCITE: LayerNorms, partly rotated heads, both branches beside each
// other with a norm each; q, k, v interleaved per head.
#include "model/families/parts.h"
#include "model/families/registry.h"

namespace awq {

static constexpr SlotName kNeoxNames[] = {
    {Slot::embed, "gpt_neox.embed_in"},
    {Slot::lm_head, "embed_out"},
    {Slot::final_norm, "gpt_neox.final_layer_norm"},
    {Slot::attn_norm, "gpt_neox.layers.{}.input_layernorm"},
    {Slot::q, "gpt_neox.layers.{}.attention.query_key_value", Fusion::kv_groups},
    {Slot::k, "gpt_neox.layers.{}.attention.query_key_value", Fusion::kv_groups},
    {Slot::v, "gpt_neox.layers.{}.attention.query_key_value", Fusion::kv_groups},
    {Slot::o, "gpt_neox.layers.{}.attention.dense"},
    {Slot::ffn_norm, "gpt_neox.layers.{}.post_attention_layernorm"},
    {Slot::up, "gpt_neox.layers.{}.mlp.dense_h_to_4h"},
    {Slot::act, "gpt_neox.layers.{}.mlp.act"},
    {Slot::down, "gpt_neox.layers.{}.mlp.dense_4h_to_h"},
};
static constexpr SlotName kNeoxGgufNames[] = {
    {Slot::q, "blk.{}.attn_qkv", Fusion::stacked},
    {Slot::k, "blk.{}.attn_qkv", Fusion::stacked},
    {Slot::v, "blk.{}.attn_qkv", Fusion::stacked},
};

static Result<Arch> describe_neox(const Config& config) {
  Arch arch;
  arch.family = "gpt_neox";
  AWQ_ASSIGN(arch.sizes, read_sizes(config));
  AWQ_ASSIGN(const Activation activation, read_activation(config, {"hidden_act"}, Activation::gelu));
  AWQ_ASSIGN(const bool parallel, config.boolean_or("use_parallel_residual", true));
  AWQ_ASSIGN(const bool bias, config.boolean_or("attention_bias", true));
  AWQ_ASSIGN(arch.tied_head, config.boolean_or("tie_word_embeddings", false));
  AWQ_ASSIGN(arch.norm_epsilon, read_float(config, "layer_norm_eps", 1e-5, 0, 1));
  AWQ_ASSIGN(Rope rope, read_rope(config, arch.sizes,
                                  {.theta = "rotary_emb_base", .partial = "rotary_pct",
                                   .default_partial = 0.25}));
  set_frame(arch, layer_norm(Slot::attn_norm));
  arch.block.residual = parallel ? Residual::parallel_two_norms : Residual::sequential;
  arch.block.attention = attention(bias, bias, std::move(rope));
  arch.block.ffn = plain_ffn(activation, true);
  return arch;
}

Family gpt_neox_family() {
  return {"gpt_neox", {"GPTNeoXForCausalLM"}, {"gptneox"}, false, kNeoxNames, describe_neox,
          kNeoxGgufNames};
}

}  // namespace awq
