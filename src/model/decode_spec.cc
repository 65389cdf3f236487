#include "model/decode_spec.h"

#include <cmath>

namespace awq {
namespace {

bool plain_norm(const Norm& norm) {
  return norm.kind == NormKind::rms && norm.weight_offset == 0 && !norm.bias;
}

bool without_biases(const BlockWeights& weights) {
  for (const LinearWeights& linear : weights.linears) {
    if (linear.bias.data() != nullptr) return false;
  }
  return true;
}

}  // namespace

std::optional<DecodeSpec> decode_spec(const Model& model, std::span<const KvView> caches,
                                      int64_t capacity) {
  const Arch& arch = model.arch;
  const Block& block = arch.block;
  const auto* rope = std::get_if<Rope>(&block.attention.positions);
  const auto* ffn = std::get_if<GatedFfn>(&block.ffn);
  if (block.residual != Residual::sequential || rope == nullptr || ffn == nullptr ||
      !plain_norm(block.attn_norm) || !plain_norm(block.ffn_norm) ||
      !plain_norm(arch.final_norm)) {
    return std::nullopt;
  }
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
  spec.activation = ffn->activation;
  spec.rotary_dim = rope->rotary_dim;
  spec.pairing = rope->pairing;
  spec.inverse_frequency = model.inverse_frequency;
  spec.embed = model.embed.weight.get();
  spec.head = &model.head();
  spec.final_norm = model.final_norm.weight.as<float>();
  for (size_t i = 0; i < model.blocks.size(); ++i) {
    const BlockWeights& weights = model.blocks[i];
    if (!without_biases(weights)) return std::nullopt;
    const auto linear = [&](Slot slot) { return weights.linear(slot).weight.get(); };
    spec.layers.push_back({weights.norm(block.attn_norm.slot).weight.as<float>(),
                           weights.norm(block.ffn_norm.slot).weight.as<float>(), linear(Slot::q),
                           linear(Slot::k), linear(Slot::v), linear(Slot::o), linear(Slot::gate),
                           linear(Slot::up), linear(Slot::down), caches[i]});
  }
  if (model.lm_head.bias.data() != nullptr) return std::nullopt;
  return spec;
}

}  // namespace awq
