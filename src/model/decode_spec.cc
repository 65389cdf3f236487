#include "model/decode_spec.h"

#include <cmath>

namespace awq {
namespace {

// Everything that a DecodeSpec has no word for must be absent.
bool expressible(const Arch& arch) {
  const Block& block = arch.block;
  const bool parallel = block.residual != Residual::sequential;
  if (block.residual == Residual::post_norm || std::holds_alternative<MoeFfn>(block.ffn)) return false;
  if (arch.project_in || arch.project_out) return false;
  if (parallel && (block.attn_out_norm || block.ffn_out_norm)) return false;
  for (const auto* norm : {&block.attention.q_norm, &block.attention.k_norm}) {
    if (*norm && (*norm)->own_head_weights && (*norm)->bias) return false;
  }
  for (const LayerAttention& kind : block.attention.kinds) {
    const auto* rope = std::get_if<Rope>(&kind.positions);
    if (rope != nullptr && (rope->scaling.kind == RopeScaling::Kind::dynamic ||
                            rope->scaling.kind == RopeScaling::Kind::longrope)) {
      return false;
    }
  }
  return true;
}

std::vector<DecodeAttention> attention_kinds(const Model& model) {
  std::vector<DecodeAttention> kinds;
  for (size_t i = 0; i < model.arch.block.attention.kinds.size(); ++i) {
    const LayerAttention& from = model.arch.block.attention.kinds[i];
    DecodeAttention kind;
    if (const auto* rope = std::get_if<Rope>(&from.positions)) {
      kind.rotary_dim = rope->rotary_dim;
      kind.pairing = rope->pairing;
      kind.magnitude = rope->magnitude;
    }
    kind.inverse_frequency = model.positions[i].inverse_frequency;
    kind.alibi_slopes = model.positions[i].alibi_slopes;
    kind.window = from.window;
    kinds.push_back(kind);
  }
  return kinds;
}

DecodeNorm norm_of(const Arch& arch, const std::optional<Norm>& record, const NormWeights& weights) {
  const Sizes& sizes = arch.sizes;
  const bool heads = record->axis == Axis::head_dim || record->own_head_weights;
  return {weights.weight.as<float>(), weights.bias.as<float>(), record->kind, record->weight_offset,
          heads ? sizes.head_dim : axis_size(sizes, record->axis), record->own_head_weights};
}

DecodeLayer layer_of(const Model& model, int64_t index, const KvView& cache) {
  const Arch& arch = model.arch;
  const Block& block = arch.block;
  const BlockWeights& weights = model.blocks[static_cast<size_t>(index)];
  DecodeLayer layer;
  const auto norm = [&](const std::optional<Norm>& record) {
    return record ? norm_of(arch, record, weights.norm(record->slot)) : DecodeNorm{};
  };
  layer.attn_norm = norm(block.attn_norm);
  layer.ffn_norm = block.residual == Residual::parallel_one_norm ? layer.attn_norm : norm(block.ffn_norm);
  layer.attn_out_norm = norm(block.attn_out_norm);
  layer.ffn_out_norm = norm(block.ffn_out_norm);
  layer.q_norm = norm(block.attention.q_norm);
  layer.k_norm = norm(block.attention.k_norm);
  const auto linear = [&](Slot slot, const PackedWeight*& weight, const float*& bias) {
    weight = weights.linear(slot).weight.get();
    bias = weights.linear(slot).bias.as<float>();
  };
  linear(Slot::q, layer.q, layer.q_bias);
  linear(Slot::k, layer.k, layer.k_bias);
  linear(Slot::v, layer.v, layer.v_bias);
  linear(Slot::o, layer.o, layer.o_bias);
  if (std::holds_alternative<GatedFfn>(block.ffn)) linear(Slot::gate, layer.gate, layer.gate_bias);
  linear(Slot::up, layer.up, layer.up_bias);
  linear(Slot::down, layer.down, layer.down_bias);
  if (std::holds_alternative<PlainFfn>(block.ffn)) {
    layer.activation_factor = weights.activation_factor.as<float>();
  }
  layer.kind = block.attention.kind(index);
  layer.kv = cache;
  return layer;
}

}  // namespace

std::optional<DecodeSpec> decode_spec(const Model& model, std::span<const KvView> caches,
                                      int64_t capacity) {
  const Arch& arch = model.arch;
  const Block& block = arch.block;
  if (!expressible(arch)) return std::nullopt;
  const Sizes& sizes = arch.sizes;
  DecodeSpec spec;
  spec.hidden = sizes.hidden;
  spec.heads = sizes.heads;
  spec.kv_heads = sizes.kv_heads;
  spec.head_dim = sizes.head_dim;
  spec.ffn = sizes.ffn;
  spec.vocab = sizes.vocab;
  spec.capacity = capacity;
  spec.epsilon = arch.norm_epsilon;
  spec.attention_scale = block.attention.scale > 0
                             ? block.attention.scale
                             : 1.0f / std::sqrt(static_cast<float>(sizes.head_dim));
  spec.attention_softcap = block.attention.softcap;
  spec.qkv_clip = block.attention.clip;
  const auto* gated = std::get_if<GatedFfn>(&block.ffn);
  spec.activation = gated != nullptr ? gated->activation : std::get<PlainFfn>(block.ffn).activation;
  spec.parallel = block.residual != Residual::sequential;
  spec.branch_multiplier = block.branch_multiplier;
  spec.kinds = attention_kinds(model);
  spec.embed = model.embed.weight.get();
  spec.embed_multiplier = arch.embed_multiplier;
  if (arch.learned_positions) {
    spec.position_table = model.position_table.weight.get();
    spec.position_offset = arch.learned_positions->offset;
  }
  if (arch.embed_norm) spec.embed_norm = norm_of(arch, arch.embed_norm, model.embed_norm);
  if (arch.final_norm) spec.final_norm = norm_of(arch, arch.final_norm, model.final_norm);
  spec.head = &model.head();
  if (!arch.tied_head) spec.head_bias = model.lm_head.bias.as<float>();
  spec.logit_multiplier = arch.logit_multiplier;
  spec.logit_softcap = arch.logit_softcap;
  for (size_t i = 0; i < model.blocks.size(); ++i) {
    spec.layers.push_back(layer_of(model, static_cast<int64_t>(i), caches[i]));
  }
  return spec;
}

}  // namespace awq
