// OLMo 2: norms after each module instead of before it, and over all query and key heads at once.
#include "model/families/llama.h"
#include "model/families/registry.h"

namespace awq {

static constexpr SlotName kOlmo2Names[] = {
    {Slot::embed, "model.embed_tokens"},
    {Slot::lm_head, "lm_head"},
    {Slot::final_norm, "model.norm"},
    {Slot::q, "model.layers.{}.self_attn.q_proj"},
    {Slot::k, "model.layers.{}.self_attn.k_proj"},
    {Slot::v, "model.layers.{}.self_attn.v_proj"},
    {Slot::q_norm, "model.layers.{}.self_attn.q_norm"},
    {Slot::k_norm, "model.layers.{}.self_attn.k_norm"},
    {Slot::o, "model.layers.{}.self_attn.o_proj"},
    {Slot::attn_out_norm, "model.layers.{}.post_attention_layernorm"},
    {Slot::gate, "model.layers.{}.mlp.gate_proj"},
    {Slot::up, "model.layers.{}.mlp.up_proj"},
    {Slot::down, "model.layers.{}.mlp.down_proj"},
    {Slot::ffn_out_norm, "model.layers.{}.post_feedforward_layernorm"},
};

static Result<Arch> describe_olmo2(const Config& config) {
  AWQ_ASSIGN(Arch arch, describe_llama(config));
  arch.family = "olmo2";
  AWQ_ASSIGN(arch.norm_epsilon, read_float(config, "rms_norm_eps", 1e-5, 0, 1));
  Block& block = arch.block;
  block.attn_norm.reset();
  block.ffn_norm.reset();
  block.attn_out_norm = rms_norm(Slot::attn_out_norm);
  block.ffn_out_norm = rms_norm(Slot::ffn_out_norm);
  block.attention.q_norm = {Slot::q_norm, NormKind::rms, false, 0, Axis::heads};
  block.attention.k_norm = {Slot::k_norm, NormKind::rms, false, 0, Axis::kv_heads};
  return arch;
}

Family olmo2_family() {
  return {"olmo2", {"Olmo2ForCausalLM"}, {"olmo2"}, false, kOlmo2Names, describe_olmo2};
}

}  // namespace awq
