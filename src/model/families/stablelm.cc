// StableLM 2: Llama's block with LayerNorms and partly rotated heads; the 12B model runs both branches
// from one norm and norms each head with weights of its own.
#include "model/families/llama.h"
#include "model/families/registry.h"

namespace awq {

static constexpr SlotName kStablelmNames[] = {
    {Slot::embed, "model.embed_tokens"},
    {Slot::lm_head, "lm_head"},
    {Slot::final_norm, "model.norm"},
    {Slot::attn_norm, "model.layers.{}.input_layernorm"},
    {Slot::q, "model.layers.{}.self_attn.q_proj"},
    {Slot::k, "model.layers.{}.self_attn.k_proj"},
    {Slot::v, "model.layers.{}.self_attn.v_proj"},
    {Slot::q_norm, "model.layers.{}.self_attn.q_layernorm.norms.{}", Fusion::tensor_per_head},
    {Slot::k_norm, "model.layers.{}.self_attn.k_layernorm.norms.{}", Fusion::tensor_per_head},
    {Slot::o, "model.layers.{}.self_attn.o_proj"},
    {Slot::ffn_norm, "model.layers.{}.post_attention_layernorm"},
    {Slot::gate, "model.layers.{}.mlp.gate_proj"},
    {Slot::up, "model.layers.{}.mlp.up_proj"},
    {Slot::down, "model.layers.{}.mlp.down_proj"},
};

static Result<Arch> describe_stablelm(const Config& config) {
  Arch arch;
  arch.family = "stablelm";
  AWQ_ASSIGN(arch.sizes, read_sizes(config, {.default_context = 4096}));
  AWQ_ASSIGN(const Activation activation, read_activation(config, {"hidden_act"}, Activation::silu));
  AWQ_ASSIGN(const bool bias, config.boolean_or("use_qkv_bias", false));
  AWQ_ASSIGN(const bool normed, config.boolean_or("qk_layernorm", false));
  AWQ_ASSIGN(const bool parallel, config.boolean_or("use_parallel_residual", false));
  AWQ_ASSIGN(arch.tied_head, config.boolean_or("tie_word_embeddings", false));
  AWQ_ASSIGN(arch.norm_epsilon, read_float(config, "layer_norm_eps", 1e-5, 0, 1));
  const bool old_key = config.has("rope_pct");
  AWQ_ASSIGN(Rope rope,
             read_rope(config, arch.sizes,
                       {.partial = old_key ? "rope_pct" : "partial_rotary_factor",
                        .default_partial = 0.25}));
  set_frame(arch, layer_norm(Slot::attn_norm));
  Block& block = arch.block;
  block.attention = attention(bias, false, std::move(rope));
  if (normed) {
    block.attention.q_norm = {Slot::q_norm, NormKind::layer, false, 0, Axis::heads, true};
    block.attention.k_norm = {Slot::k_norm, NormKind::layer, false, 0, Axis::kv_heads, true};
  }
  if (parallel) {
    block.residual = Residual::parallel_one_norm;
    block.ffn_norm.reset();
  }
  block.ffn = gated_ffn(activation);
  return arch;
}

static void complete_stablelm(const Checkpoint& checkpoint, Json& config) {
  config["qk_layernorm"] = checkpoint.find("blk.0.attn_q_norm.weight") != nullptr;
  config["use_parallel_residual"] = checkpoint.find("blk.0.ffn_norm.weight") == nullptr;
}

Family stablelm_family() {
  return {"stablelm", {"StableLmForCausalLM"}, {"stablelm"}, false, kStablelmNames,
          describe_stablelm, {}, nullptr, complete_stablelm};
}

}  // namespace awq
