// Cohere (Command R): both branches from one LayerNorm without bias, interleaved rotary pairs, scaled
// logits; Command R+ norms each head with weights of its own.
#include "model/families/llama.h"
#include "model/families/registry.h"

namespace awq {

static Result<Arch> describe_cohere(const Config& config) {
  AWQ_ASSIGN(Arch arch, describe_llama(config));
  arch.family = "cohere";
  AWQ_ASSIGN(arch.tied_head, config.boolean_or("tie_word_embeddings", true));
  AWQ_ASSIGN(arch.norm_epsilon, read_float(config, "layer_norm_eps", 1e-5, 0, 1));
  AWQ_ASSIGN(arch.logit_multiplier, read_float(config, "logit_scale", 0.0625, -1e6, 1e6));
  AWQ_ASSIGN(const bool normed, config.boolean_or("use_qk_norm", false));
  AWQ_ASSIGN(Rope rope, read_rope(config, arch.sizes, {.default_theta = 500000}));
  rope.pairing = RopePairing::interleaved;
  set_frame(arch, layer_norm(Slot::attn_norm, false));
  Block& block = arch.block;
  block.residual = Residual::parallel_one_norm;
  block.ffn_norm.reset();
  block.attention.kinds.front().positions = std::move(rope);
  if (normed) {
    block.attention.q_norm = {Slot::q_norm, NormKind::layer, false, 0, Axis::heads, true};
    block.attention.k_norm = {Slot::k_norm, NormKind::layer, false, 0, Axis::kv_heads, true};
  }
  return arch;
}

static void complete_cohere(const Checkpoint& checkpoint, Json& config) {
  config["use_qk_norm"] = checkpoint.find("blk.0.attn_q_norm.weight") != nullptr;
}

Family cohere_family() {
  return {"cohere", {"CohereForCausalLM"}, {"command-r"}, false, llama_names(), describe_cohere,
          {}, nullptr, complete_cohere};
}

}  // namespace awq
