// Mistral: Llama's block; the first release looks back over a sliding window.
#include "model/families/llama.h"
#include "model/families/registry.h"

namespace awq {

static Result<Arch> describe_mistral(const Config& config) {
  AWQ_ASSIGN(Arch arch, describe_llama(config));
  arch.family = "mistral";
  AWQ_ASSIGN(arch.block.attention.kinds.front().window, read_window(config, 4096));
  return arch;
}

Family mistral_family() {
  Family family = llama_family();
  family.name = "mistral";
  family.architectures = {"MistralForCausalLM"};
  family.gguf = {};  // GGUF files of Mistral say "llama"
  family.gguf_interleaves_qk = false;
  family.describe = describe_mistral;
  return family;
}

}  // namespace awq
