// Mistral: Llama's block. The sliding window of the first release is not run yet, and is refused.
#include "model/families/llama.h"

namespace awq {

static Result<Arch> describe_mistral(const Config& config) {
  AWQ_ASSIGN(Arch arch, describe_llama(config));
  arch.family = "mistral";
  const auto window = config.json().find("sliding_window");
  const bool disabled = window != config.json().end() && window->is_null();
  AWQ_ASSIGN(const int64_t keys, config.integer_or("sliding_window", 4096, 1, int64_t{1} << 40));
  if (!disabled && keys < arch.sizes.context) {
    return bad_input(cat(config.origin(), ": a sliding window of ", keys,
                         " positions is not supported yet; models with \"sliding_window\": null "
                         "(Mistral 7B v0.2 and later) are"));
  }
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
