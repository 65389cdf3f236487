// SmolLM3: Llama's block; every fourth layer knows no positions.
#include "model/families/llama.h"
#include "model/families/registry.h"

namespace awq {

static Result<Arch> describe_smollm3(const Config& config) {
  AWQ_ASSIGN(Arch arch, describe_llama(config));
  arch.family = "smollm3";
  AWQ_ASSIGN(arch.tied_head, config.boolean_or("tie_word_embeddings", true));
  AWQ_ASSIGN(Rope rope, read_rope(config, arch.sizes, {.default_theta = 2e6}));
  arch.block.attention.kinds.front().positions = std::move(rope);
  AWQ_TRY(require_boolean(config, "use_sliding_window", false));
  const int64_t layers = arch.sizes.layers;
  AWQ_ASSIGN(const int64_t interval, config.integer_or("no_rope_layer_interval", 4, 1, 1 << 20));
  std::vector<bool> unaware;
  if (config.has("no_rope_layers")) {  // 1: with positions
    AWQ_ASSIGN(const std::vector<double> marks, config.numbers("no_rope_layers", 0, 1));
    if (static_cast<int64_t>(marks.size()) != layers) {
      return bad_input(cat(config.origin(), ": \"no_rope_layers\" has ", marks.size(),
                           " entries, the config tells ", layers, " layers"));
    }
    for (const double mark : marks) unaware.push_back(mark == 0);
  } else {
    for (int64_t i = 0; i < layers; ++i) unaware.push_back((i + 1) % interval == 0);
  }
  set_second_kind(arch.block.attention, {NoPositions{}}, unaware);
  return arch;
}

Family smollm3_family() {
  return {"smollm3", {"SmolLM3ForCausalLM"}, {"smollm3"}, true, llama_names(), describe_smollm3};
}

}  // namespace awq
