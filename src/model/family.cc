#include "model/family.h"

#include <algorithm>

namespace awq {
namespace {

// GGUF names depend on the slot only.
constexpr SlotName kGgufNames[] = {
    {Slot::embed, "token_embd"},           {Slot::lm_head, "output"},
    {Slot::final_norm, "output_norm"},     {Slot::attn_norm, "blk.{}.attn_norm"},
    {Slot::q, "blk.{}.attn_q"},            {Slot::k, "blk.{}.attn_k"},
    {Slot::v, "blk.{}.attn_v"},            {Slot::o, "blk.{}.attn_output"},
    {Slot::ffn_norm, "blk.{}.ffn_norm"},   {Slot::gate, "blk.{}.ffn_gate"},
    {Slot::up, "blk.{}.ffn_up"},           {Slot::down, "blk.{}.ffn_down"},
};

}  // namespace

const std::vector<Family>& families() {
  static const std::vector<Family> kFamilies = {
      llama_family(),
      mistral_family(),
  };
  return kFamilies;
}

Error unsupported_architecture(std::string_view origin, std::string_view architecture) {
  std::string known;
  for (const Family& family : families()) {
    for (const std::string_view name : family.architectures) {
      append_item(known, name);
    }
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
    if (std::find(names.begin(), names.end(), architecture) != names.end()) return &family;
  }
  return unsupported_architecture(config.origin(), architecture);
}

const Family* find_gguf_family(std::string_view architecture) {
  for (const Family& family : families()) {
    if (std::find(family.gguf.begin(), family.gguf.end(), architecture) != family.gguf.end()) {
      return &family;
    }
  }
  return nullptr;
}

std::string module_name(const Family& family, Container container, Slot slot, int64_t layer) {
  const std::span<const SlotName> names =
      container == Container::gguf ? std::span<const SlotName>(kGgufNames) : family.names;
  for (const SlotName& name : names) {
    if (name.slot != slot) continue;
    const size_t hole = name.module.find("{}");
    if (hole == std::string_view::npos) return std::string(name.module);
    return cat(name.module.substr(0, hole), layer, name.module.substr(hole + 2));
  }
  AWQ_CHECK(false, family.name, " has no name for ", slot_name(slot));
  return {};
}

}  // namespace awq
