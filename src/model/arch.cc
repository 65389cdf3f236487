#include "model/arch.h"

#include <array>

namespace awq {

std::string slot_name(Slot slot) {
  static constexpr std::array<std::string_view, kSlots> kNames = {
      "embed",       "position_table", "embed_norm", "project_in",    "final_norm",
      "project_out", "lm_head",        "attn_norm",  "q",             "k",
      "v",           "q_norm",         "k_norm",     "o",             "attn_out_norm",
      "ffn_norm",    "gate",           "up",         "act",           "down",
      "ffn_out_norm", "router",      "shared_gate",    "shared_up",  "shared_down",   "shared_router",
      "expert_gate", "expert_up",      "expert_down"};
  const auto [of_first, expert] = expert_place(slot);
  const std::string_view name = kNames[static_cast<size_t>(of_first)];
  return of_first < Slot::expert_gate ? std::string(name) : cat(name, ".", expert);
}

Slot expert_slot(Slot of_first, int64_t e) {
  return static_cast<Slot>(static_cast<int64_t>(of_first) + 3 * e);
}

ExpertPlace expert_place(Slot slot) {
  if (slot < Slot::expert_gate) return {slot, 0};
  const int64_t beyond = static_cast<int64_t>(slot) - static_cast<int64_t>(Slot::expert_gate);
  return {static_cast<Slot>(static_cast<int64_t>(Slot::expert_gate) + beyond % 3), beyond / 3};
}

int64_t axis_size(const Sizes& sizes, Axis axis) {
  switch (axis) {
    case Axis::embed: return sizes.hidden;
    case Axis::heads: return sizes.heads * sizes.head_dim;
    case Axis::kv_heads: return sizes.kv_heads * sizes.head_dim;
    case Axis::head_dim: return sizes.head_dim;
    case Axis::ffn: return sizes.ffn;
    case Axis::vocab: return sizes.vocab;
    case Axis::token_embed: return sizes.token_embed == 0 ? sizes.hidden : sizes.token_embed;
    case Axis::positions: return sizes.position_rows;
    case Axis::experts: return sizes.experts;
    case Axis::expert_ffn: return sizes.expert_ffn;
    case Axis::shared_ffn: return sizes.shared_ffn;
    case Axis::one: return 1;
  }
  AWQ_CHECK(false, static_cast<int>(axis));
  return 0;
}

std::string_view axis_key(Axis axis) {
  switch (axis) {
    case Axis::embed: return "hidden_size";
    case Axis::heads: return "num_attention_heads x head_dim";
    case Axis::kv_heads: return "num_key_value_heads x head_dim";
    case Axis::head_dim: return "head_dim";
    case Axis::ffn: return "intermediate_size";
    case Axis::vocab: return "vocab_size";
    case Axis::token_embed: return "word_embed_proj_dim";
    case Axis::positions: return "max_position_embeddings";
    case Axis::experts: return "number of experts";
    case Axis::expert_ffn: return "moe_intermediate_size";
    case Axis::shared_ffn: return "shared_expert_intermediate_size";
    case Axis::one: return "1";
  }
  return "";
}

Shape linear_shape(const Arch& arch, const Linear& linear) {
  return {axis_size(arch.sizes, linear.out_axis), axis_size(arch.sizes, linear.in_axis)};
}

int64_t norm_size(const Arch& arch, const Norm& norm) { return axis_size(arch.sizes, norm.axis); }

Shape norm_shape(const Arch& arch, const Norm& norm) {
  const int64_t size = norm_size(arch, norm), dim = arch.sizes.head_dim;
  return norm.own_head_weights ? Shape{size / dim, dim} : Shape{size};
}

std::vector<Linear> block_linears(const Block& block) {
  const Attention& attention = block.attention;
  std::vector<Linear> linears = {attention.q, attention.k, attention.v, attention.o};
  if (const auto* gated = std::get_if<GatedFfn>(&block.ffn)) {
    linears.insert(linears.end(), {gated->gate, gated->up, gated->down});
  } else if (const auto* plain = std::get_if<PlainFfn>(&block.ffn)) {
    linears.insert(linears.end(), {plain->up, plain->down});
  } else {
    const auto& moe = std::get<MoeFfn>(block.ffn);
    linears.push_back(moe.router);
    for (int64_t e = 0; e < moe.experts; ++e) {
      for (Linear linear : {moe.expert.gate, moe.expert.up, moe.expert.down}) {
        linear.slot = expert_slot(linear.slot, e);
        linears.push_back(linear);
      }
    }
  }
  return linears;
}

std::vector<Norm> block_norms(const Block& block) {
  std::vector<Norm> norms;
  const auto add = [&norms](const std::optional<Norm>& norm) {
    if (norm) norms.push_back(*norm);
  };
  add(block.attn_norm);
  add(block.attention.q_norm);
  add(block.attention.k_norm);
  add(block.attn_out_norm);
  if (block.residual != Residual::parallel_one_norm) add(block.ffn_norm);
  add(block.ffn_out_norm);
  return norms;
}

std::vector<Linear> frame_linears(const Arch& arch) {
  std::vector<Linear> linears;
  if (arch.learned_positions) linears.push_back(arch.learned_positions->table);
  if (arch.project_in) linears.push_back(*arch.project_in);
  if (arch.project_out) linears.push_back(*arch.project_out);
  return linears;
}

std::vector<Norm> frame_norms(const Arch& arch) {
  std::vector<Norm> norms;
  if (arch.embed_norm) norms.push_back(*arch.embed_norm);
  if (arch.final_norm) norms.push_back(*arch.final_norm);
  return norms;
}

std::optional<Linear> find_linear(const Block& block, Slot slot) {
  for (const Linear& linear : block_linears(block)) {
    if (linear.slot == slot) return linear;
  }
  return std::nullopt;
}

bool keeps_activation_scale(const Block& block) {
  const auto* plain = std::get_if<PlainFfn>(&block.ffn);
  return plain != nullptr && plain->activation != Activation::relu;
}

std::optional<Norm> find_norm(const Block& block, Slot slot) {
  for (const Norm& norm : block_norms(block)) {
    if (norm.slot == slot) return norm;
  }
  return std::nullopt;
}

Slot ffn_input_slot(const Block& block) {
  if (std::holds_alternative<MoeFfn>(block.ffn)) return Slot::router;
  return std::holds_alternative<GatedFfn>(block.ffn) ? Slot::gate : Slot::up;
}

Slot input_slot(const Block& block, Slot slot) {
  const auto [of_first, expert] = expert_place(slot);
  switch (of_first) {
    case Slot::k:
    case Slot::v: return Slot::q;
    case Slot::gate:
    case Slot::up:
    case Slot::router:
      if (block.residual == Residual::parallel_one_norm) return Slot::q;
      return ffn_input_slot(block);
    case Slot::expert_up: return expert_slot(Slot::expert_gate, expert);
    default: return slot;
  }
}

int64_t parameter_count(const Arch& arch) {
  const auto linear = [&](const Linear& l) {
    const Shape shape = linear_shape(arch, l);
    return shape.elements() + (l.bias ? shape[0] : 0);
  };
  const auto norm = [&](const Norm& n) { return norm_size(arch, n) * (n.bias ? 2 : 1); };
  int64_t block = 0, frame = linear(arch.embed) + (arch.tied_head ? 0 : linear(arch.lm_head));
  for (const Linear& l : block_linears(arch.block)) block += linear(l);
  for (const Norm& n : block_norms(arch.block)) block += norm(n);
  for (const Linear& l : frame_linears(arch)) frame += linear(l);
  for (const Norm& n : frame_norms(arch)) frame += norm(n);
  return arch.sizes.layers * block + frame;
}

}  // namespace awq
