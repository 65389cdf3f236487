// Granite: Llama's block with multipliers for the embedding, the scores, both branches and the logits.
#include "model/families/llama.h"
#include "model/families/registry.h"

namespace awq {

static Result<Arch> describe_granite(const Config& config) {
  AWQ_ASSIGN(Arch arch, describe_llama(config));
  arch.family = "granite";
  AWQ_ASSIGN(arch.embed_multiplier, read_float(config, "embedding_multiplier", 1, -1e6, 1e6));
  AWQ_ASSIGN(arch.block.branch_multiplier, read_float(config, "residual_multiplier", 1, -1e6, 1e6));
  AWQ_ASSIGN(arch.block.attention.scale, read_float(config, "attention_multiplier", 1, 1e-9, 1e6));
  AWQ_ASSIGN(const float divisor, read_float(config, "logits_scaling", 1, 1e-9, 1e9));
  arch.logit_multiplier = 1 / divisor;
  return arch;
}

Family granite_family() {
  return {"granite", {"GraniteForCausalLM"}, {"granite"}, true, llama_names(), describe_granite};
}

}  // namespace awq
