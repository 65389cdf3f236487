// Phi-3, Phi-3.5, Phi-4: Llama's block with q, k, v in one tensor and gate, up in another.
#include "model/families/llama.h"
#include "model/families/registry.h"

namespace awq {

static constexpr SlotName kPhi3Names[] = {
    {Slot::embed, "model.embed_tokens"},
    {Slot::lm_head, "lm_head"},
    {Slot::final_norm, "model.norm"},
    {Slot::attn_norm, "model.layers.{}.input_layernorm"},
    {Slot::q, "model.layers.{}.self_attn.qkv_proj", Fusion::stacked},
    {Slot::k, "model.layers.{}.self_attn.qkv_proj", Fusion::stacked},
    {Slot::v, "model.layers.{}.self_attn.qkv_proj", Fusion::stacked},
    {Slot::o, "model.layers.{}.self_attn.o_proj"},
    {Slot::ffn_norm, "model.layers.{}.post_attention_layernorm"},
    {Slot::gate, "model.layers.{}.mlp.gate_up_proj", Fusion::stacked},
    {Slot::up, "model.layers.{}.mlp.gate_up_proj", Fusion::stacked},
    {Slot::down, "model.layers.{}.mlp.down_proj"},
};
static constexpr SlotName kPhi3GgufNames[] = {
    {Slot::q, "blk.{}.attn_qkv", Fusion::stacked}, {Slot::k, "blk.{}.attn_qkv", Fusion::stacked},
    {Slot::v, "blk.{}.attn_qkv", Fusion::stacked}, {Slot::gate, "blk.{}.ffn_up", Fusion::stacked},
    {Slot::up, "blk.{}.ffn_up", Fusion::stacked},
};

static Result<Arch> describe_phi3(const Config& config) {
  AWQ_ASSIGN(Arch arch, describe_llama(config));
  arch.family = "phi3";
  AWQ_ASSIGN(arch.norm_epsilon, read_float(config, "rms_norm_eps", 1e-5, 0, 1));
  AWQ_ASSIGN(arch.block.attention.kinds.front().window, read_window(config));
  return arch;
}

Family phi3_family() {
  return {"phi3", {"Phi3ForCausalLM"}, {"phi3"}, false, kPhi3Names, describe_phi3, kPhi3GgufNames};
}

}  // namespace awq
