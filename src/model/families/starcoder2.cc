// StarCoder2: LayerNorms, RoPE, grouped-query attention over a window, plain GELU feed-forward.
#include "model/families/parts.h"
#include "model/families/registry.h"

namespace awq {

static constexpr SlotName kStarcoder2Names[] = {
    {Slot::embed, "model.embed_tokens"},
    {Slot::lm_head, "lm_head"},
    {Slot::final_norm, "model.norm"},
    {Slot::attn_norm, "model.layers.{}.input_layernorm"},
    {Slot::q, "model.layers.{}.self_attn.q_proj"},
    {Slot::k, "model.layers.{}.self_attn.k_proj"},
    {Slot::v, "model.layers.{}.self_attn.v_proj"},
    {Slot::o, "model.layers.{}.self_attn.o_proj"},
    {Slot::ffn_norm, "model.layers.{}.post_attention_layernorm"},
    {Slot::up, "model.layers.{}.mlp.c_fc"},
    {Slot::act, "model.layers.{}.mlp.act"},
    {Slot::down, "model.layers.{}.mlp.c_proj"},
};

static Result<Arch> describe_starcoder2(const Config& config) {
  Arch arch;
  arch.family = "starcoder2";
  AWQ_ASSIGN(arch.sizes, read_sizes(config, {.default_context = 4096}));
  AWQ_ASSIGN(const Activation activation,
             read_activation(config, {"hidden_act"}, Activation::gelu_tanh));
  AWQ_ASSIGN(const bool bias, config.boolean_or("use_bias", true));
  AWQ_ASSIGN(arch.tied_head, config.boolean_or("tie_word_embeddings", true));
  AWQ_ASSIGN(arch.norm_epsilon, read_float(config, "norm_epsilon", 1e-5, 0, 1));
  AWQ_ASSIGN(Rope rope, read_rope(config, arch.sizes));
  set_frame(arch, layer_norm(Slot::attn_norm));
  arch.block.attention = attention(bias, bias, std::move(rope));
  AWQ_ASSIGN(arch.block.attention.kinds.front().window, read_window(config));
  arch.block.ffn = plain_ffn(activation, bias);
  return arch;
}

Family starcoder2_family() {
  return {"starcoder2", {"Starcoder2ForCausalLM"}, {"starcoder2"}, false, kStarcoder2Names,
          describe_starcoder2};
}

}  // namespace awq
