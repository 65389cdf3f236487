// Llama 1/2/3, TinyLlama, SmolLM2: RMSNorm, RoPE, grouped-query attention, gated SiLU feed-forward.
#include "model/families/llama.h"
#include "model/families/registry.h"

namespace awq {

static constexpr SlotName kLlamaNames[] = {
    {Slot::embed, "model.embed_tokens"},
    {Slot::lm_head, "lm_head"},
    {Slot::final_norm, "model.norm"},
    {Slot::attn_norm, "model.layers.{}.input_layernorm"},
    {Slot::q, "model.layers.{}.self_attn.q_proj"},
    {Slot::k, "model.layers.{}.self_attn.k_proj"},
    {Slot::v, "model.layers.{}.self_attn.v_proj"},
    {Slot::q_norm, "model.layers.{}.self_attn.q_norm"},
    {Slot::k_norm, "model.layers.{}.self_attn.k_norm"},
    {Slot::o, "model.layers.{}.self_attn.o_proj"},
    {Slot::ffn_norm, "model.layers.{}.post_attention_layernorm"},
    {Slot::gate, "model.layers.{}.mlp.gate_proj"},
    {Slot::up, "model.layers.{}.mlp.up_proj"},
    {Slot::down, "model.layers.{}.mlp.down_proj"},
};

std::span<const SlotName> llama_names() { return kLlamaNames; }

Result<Arch> describe_llama(const Config& config) { return describe_llama(config, {}); }

Result<Arch> describe_llama(const Config& config, const SizeKeys& keys) {
  Arch arch;
  arch.family = "llama";
  AWQ_ASSIGN(arch.sizes, read_sizes(config, keys));
  AWQ_ASSIGN(const Activation activation, read_activation(config, {"hidden_act"}, Activation::silu));
  AWQ_ASSIGN(const bool attention_bias, config.boolean_or("attention_bias", false));
  AWQ_ASSIGN(const bool mlp_bias, config.boolean_or("mlp_bias", false));
  AWQ_ASSIGN(arch.tied_head, config.boolean_or("tie_word_embeddings", false));
  AWQ_ASSIGN(arch.norm_epsilon, read_float(config, "rms_norm_eps", 1e-6, 0, 1));
  AWQ_ASSIGN(Rope rope, read_rope(config, arch.sizes));
  set_frame(arch, rms_norm(Slot::attn_norm));
  arch.block.attention = attention(attention_bias, attention_bias, std::move(rope));
  arch.block.ffn = gated_ffn(activation, mlp_bias);
  return arch;
}

Family llama_family() {
  return {"llama", {"LlamaForCausalLM", "LLaMAForCausalLM"}, {"llama"}, true, kLlamaNames,
          describe_llama};
}

}  // namespace awq
