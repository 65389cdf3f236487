// GLM-4 (9B, "glm" in transformers): Llama's block with biases on q, k and v, half of each head turned
// in interleaved pairs, gate and up in one tensor.
#include "model/families/llama.h"
#include "model/families/registry.h"

namespace awq {

static constexpr SlotName kGlmNames[] = {
    {Slot::embed, "model.embed_tokens"},
    {Slot::lm_head, "lm_head"},
    {Slot::final_norm, "model.norm"},
    {Slot::attn_norm, "model.layers.{}.input_layernorm"},
    {Slot::q, "model.layers.{}.self_attn.q_proj"},
    {Slot::k, "model.layers.{}.self_attn.k_proj"},
    {Slot::v, "model.layers.{}.self_attn.v_proj"},
    {Slot::o, "model.layers.{}.self_attn.o_proj"},
    {Slot::ffn_norm, "model.layers.{}.post_attention_layernorm"},
    {Slot::gate, "model.layers.{}.mlp.gate_up_proj", Fusion::stacked},
    {Slot::up, "model.layers.{}.mlp.gate_up_proj", Fusion::stacked},
    {Slot::down, "model.layers.{}.mlp.down_proj"},
};

static Result<Arch> describe_glm(const Config& config) {
  AWQ_ASSIGN(Arch arch, describe_llama(config, {.head_dim = 128}));
  arch.family = "glm";
  AWQ_ASSIGN(arch.norm_epsilon, read_float(config, "rms_norm_eps", 1.5625e-7, 0, 1));
  AWQ_ASSIGN(const bool bias, config.boolean_or("attention_bias", true));
  AWQ_ASSIGN(Rope rope, read_rope(config, arch.sizes, {.default_partial = 0.5}));
  rope.pairing = RopePairing::interleaved;
  arch.block.attention = attention(bias, false, std::move(rope));
  return arch;
}

Family glm_family() { return {"glm", {"GlmForCausalLM"}, {}, false, kGlmNames, describe_glm}; }

}  // namespace awq
