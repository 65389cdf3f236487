#include "model/decode_spec.h"

#include <cmath>

namespace awq {
namespace {

bool plain_norm(const std::optional<Norm>& norm) {
  return norm && norm->kind == NormKind::rms && norm->weight_offset == 0 && !norm->bias;
}

// Everything that a DecodeSpec has no word for must be absent.
bool expressible(const Arch& arch) {
  const Block& block = arch.block;
  const Attention& attention = block.attention;
  const bool plain_attention = attention.kinds.size() == 1 && attention.kinds[0].window == 0 &&
                               attention.softcap == 0 && attention.clip == 0 &&
                               !attention.q_norm && !attention.k_norm;
  const bool plain_block = block.residual == Residual::sequential && plain_norm(block.attn_norm) &&
                           plain_norm(block.ffn_norm) && !block.attn_out_norm &&
                           !block.ffn_out_norm && block.branch_multiplier == 1;
  const bool plain_frame = plain_norm(arch.final_norm) && arch.embed_multiplier == 1 &&
                           !arch.learned_positions && !arch.embed_norm && !arch.project_in &&
                           !arch.project_out && arch.logit_multiplier == 1 &&
                           arch.logit_softcap == 0;
  return plain_attention && plain_block && plain_frame;
}

// The same frequencies at every length, cos and sin as they are.
bool plain_rope(const Rope* rope) {
  return rope != nullptr && rope->magnitude == 1 &&
         rope->scaling.kind != RopeScaling::Kind::dynamic &&
         rope->scaling.kind != RopeScaling::Kind::longrope;
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
  const auto* rope = std::get_if<Rope>(&block.attention.kinds.front().positions);
  const auto* ffn = std::get_if<GatedFfn>(&block.ffn);
  if (!expressible(arch) || !plain_rope(rope) || ffn == nullptr) return std::nullopt;
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
  spec.inverse_frequency = model.positions.front().inverse_frequency;
  spec.embed = model.embed.weight.get();
  spec.head = &model.head();
  spec.final_norm = model.final_norm.weight.as<float>();
  for (size_t i = 0; i < model.blocks.size(); ++i) {
    const BlockWeights& weights = model.blocks[i];
    if (!without_biases(weights)) return std::nullopt;
    const auto linear = [&](Slot slot) { return weights.linear(slot).weight.get(); };
    spec.layers.push_back({weights.norm(block.attn_norm->slot).weight.as<float>(),
                           weights.norm(block.ffn_norm->slot).weight.as<float>(), linear(Slot::q),
                           linear(Slot::k), linear(Slot::v), linear(Slot::o), linear(Slot::gate),
                           linear(Slot::up), linear(Slot::down), caches[i]});
  }
  if (model.lm_head.bias.data() != nullptr) return std::nullopt;
  return spec;
}

}  // namespace awq
