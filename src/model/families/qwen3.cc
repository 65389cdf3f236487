// Qwen3: Llama's block with a norm on each query and key head.
#include "model/families/llama.h"
#include "model/families/qwen.h"
#include "model/families/registry.h"

namespace awq {

Result<Arch> describe_qwen3(const Config& config) {
  AWQ_ASSIGN(Arch arch, describe_llama(config, {.head_dim = 128}));
  arch.family = "qwen3";
  Attention& attention = arch.block.attention;
  attention.q_norm = {Slot::q_norm, NormKind::rms, false, 0, Axis::head_dim};
  attention.k_norm = {Slot::k_norm, NormKind::rms, false, 0, Axis::head_dim};
  AWQ_TRY(read_qwen_window(config, arch));
  return arch;
}

Family qwen3_family() {
  return {"qwen3", {"Qwen3ForCausalLM"}, {"qwen3"}, false, llama_names(), describe_qwen3};
}

}  // namespace awq
