// Qwen2 and Qwen2.5: Llama's block with biases on q, k and v; a window on the upper layers if asked.
#include "model/families/llama.h"
#include "model/families/qwen.h"
#include "model/families/registry.h"

namespace awq {

// Layers from max_window_layers on slide, unless "layer_types" says which.
Status read_qwen_window(const Config& config, Arch& arch) {
  AWQ_ASSIGN(const bool used, config.boolean_or("use_sliding_window", false));
  if (!used) return {};
  const int64_t layers = arch.sizes.layers;
  AWQ_ASSIGN(const int64_t window, read_window(config, 4096));
  AWQ_ASSIGN(const int64_t first, config.integer_or("max_window_layers", 28, 0, 1 << 20));
  AWQ_ASSIGN(std::vector<bool> sliding, read_sliding_layers(config, layers));
  for (int64_t i = static_cast<int64_t>(sliding.size()); i < layers; ++i) {
    sliding.push_back(i >= first);
  }
  Attention& attention = arch.block.attention;
  set_second_kind(attention, {attention.kinds.front().positions, window}, sliding);
  return {};
}

static Result<Arch> describe_qwen2(const Config& config) {
  AWQ_ASSIGN(Arch arch, describe_llama(config));
  arch.family = "qwen2";
  Attention& attention = arch.block.attention;
  attention.q.bias = attention.k.bias = attention.v.bias = true;
  attention.o.bias = false;
  AWQ_TRY(read_qwen_window(config, arch));
  return arch;
}

Family qwen2_family() {
  return {"qwen2", {"Qwen2ForCausalLM"}, {"qwen2"}, false, llama_names(), describe_qwen2};
}

}  // namespace awq
