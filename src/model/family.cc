#include "model/family.h"

#include <algorithm>

#include "model/families/registry.h"

namespace awq {
namespace {

// GGUF names depend on the slot only.
constexpr SlotName kGgufNames[] = {
    {Slot::position_table, "position_embd"},
    {Slot::embed_norm, "token_embd_norm"},
    {Slot::q_norm, "blk.{}.attn_q_norm"},
    {Slot::k_norm, "blk.{}.attn_k_norm"},
    {Slot::attn_out_norm, "blk.{}.post_attention_norm"},
    {Slot::ffn_out_norm, "blk.{}.post_ffw_norm"},
    {Slot::router, "blk.{}.ffn_gate_inp"},
    {Slot::embed, "token_embd"},           {Slot::lm_head, "output"},
    {Slot::final_norm, "output_norm"},     {Slot::attn_norm, "blk.{}.attn_norm"},
    {Slot::q, "blk.{}.attn_q"},            {Slot::k, "blk.{}.attn_k"},
    {Slot::v, "blk.{}.attn_v"},            {Slot::o, "blk.{}.attn_output"},
    {Slot::ffn_norm, "blk.{}.ffn_norm"},   {Slot::gate, "blk.{}.ffn_gate"},
    {Slot::up, "blk.{}.ffn_up"},           {Slot::down, "blk.{}.ffn_down"},
    {Slot::expert_gate, "blk.{}.ffn_gate_exps", Fusion::experts},
    {Slot::expert_up, "blk.{}.ffn_up_exps", Fusion::experts},
    {Slot::expert_down, "blk.{}.ffn_down_exps", Fusion::experts},
};

}  // namespace

const std::vector<Family>& families() {
  static const std::vector<Family> kFamilies = {
      llama_family(),
      mistral_family(),
      qwen2_family(),
      qwen3_family(),
      gemma_family(),
      gemma2_family(),
      gemma3_family(),
      phi3_family(),
      opt_family(),
      mpt_family(),
      falcon_two_norms_family(),
      falcon_one_kv_head_family(),
      falcon_heads_family(),
      gpt_neox_family(),
      bloom_family(),
      gpt2_family(),
      gpt_bigcode_heads_family(),
      gpt_bigcode_family(),
      starcoder2_family(),
      stablelm_family(),
      olmo2_family(),
      granite_family(),
      cohere_family(),
      smollm3_family(),
      mixtral_family(),
      qwen3_moe_family(),
      glm_family(),
  };
  return kFamilies;
}

Error unsupported_architecture(std::string_view origin, std::string_view architecture) {
  std::string known;
  for (const Family& family : families()) {
    // Variants of a family stand beside each other under one name.
    if (&family != &families().front() && family.name == (&family - 1)->name) continue;
    for (const std::string_view name : family.architectures) append_item(known, name);
  }
  return bad_input(cat(origin, ": architecture \"", printable(architecture),
                       "\" is not supported; supported: ", known));
}

Result<const Family*> find_family(const Config& config) {
  const auto list = config.json().find("architectures");
  if (list == config.json().end() || !list->is_array() || list->empty() ||
      !list->front().is_string()) {
    return bad_input(cat(config.origin(), ": \"architectures\" is missing; is this the config.json "
                         "of a language model?"));
  }
  const auto architecture = list->front().get<std::string>();
  for (const Family& family : families()) {
    const auto& names = family.architectures;
    if (std::find(names.begin(), names.end(), architecture) == names.end()) continue;
    if (family.applies == nullptr || family.applies(config)) return &family;
  }
  return unsupported_architecture(config.origin(), architecture);
}

const Family* find_gguf_family(std::string_view architecture, bool experts) {
  for (const Family& family : families()) {
    if (family.experts != experts) continue;
    if (std::find(family.gguf.begin(), family.gguf.end(), architecture) != family.gguf.end()) {
      return &family;
    }
  }
  return nullptr;
}

const SlotName& slot_entry(const Family& family, Container container, Slot slot) {
  const Slot of_first = expert_place(slot).of_first;
  const auto search = [of_first](std::span<const SlotName> names) -> const SlotName* {
    for (const SlotName& name : names) {
      if (name.slot == of_first) return &name;
    }
    return nullptr;
  };
  const bool gguf = container == Container::gguf;
  const SlotName* found = search(gguf ? family.gguf_names : family.names);
  if (found == nullptr && gguf) found = search(kGgufNames);
  AWQ_CHECK(found != nullptr, family.name, " has no name for ", slot_name(slot));
  return *found;
}

std::string fill_name(std::string_view pattern, int64_t first, int64_t second) {
  std::string name(pattern);
  for (const int64_t number : {first, second}) {
    const size_t hole = name.find("{}");
    if (hole != std::string::npos) name.replace(hole, 2, cat(number));
  }
  return name;
}

std::string module_name(const Family& family, Container container, Slot slot, int64_t layer) {
  return fill_name(slot_entry(family, container, slot).module, layer, expert_place(slot).expert);
}

}  // namespace awq
