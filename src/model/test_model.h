// Small random models for tests, in every wiring that the records can describe.
#pragma once

#include <cmath>
#include <vector>

#include "model/forward.h"
#include "model/weights.h"

namespace awq {

struct TestOptions {
  int64_t kv_heads = 4;
  NormKind norm = NormKind::rms;
  float weight_offset = 0;
  Residual residual = Residual::sequential;
  bool plain_ffn = false;
  Activation activation = Activation::silu;
  bool bias = false;
};

/// Uniform in [-1, 1), the same everywhere.
class TestRandom {
 public:
  explicit TestRandom(uint64_t seed) : state_(seed * 2654435761u + 88172645463325252u) {}
  float next() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return static_cast<float>(static_cast<double>(state_ >> 11) * 0x1p-52 - 1);
  }
  std::vector<float> values(int64_t count, float scale, float offset = 0) {
    std::vector<float> out(static_cast<size_t>(count));
    for (float& value : out) value = offset + scale * next();
    return out;
  }

 private:
  uint64_t state_;
};

/// 4 heads of 8, hidden 32, ffn 48, vocabulary 64, 2 layers.
inline Arch test_arch(const TestOptions& options) {
  using enum Axis;
  Arch arch;
  arch.family = "test";
  arch.sizes = {2, 32, 4, options.kv_heads, 8, 48, 64, 128};
  const auto norm = [&](Slot slot) {
    return Norm{slot, options.norm, options.bias, options.weight_offset};
  };
  const bool b = options.bias;
  Rope rope;
  rope.rotary_dim = 8;
  arch.block.residual = options.residual;
  arch.block.attn_norm = norm(Slot::attn_norm);
  arch.block.ffn_norm = norm(Slot::ffn_norm);
  arch.block.attention = {{Slot::q, heads, embed, b}, {Slot::k, kv_heads, embed, b},
                          {Slot::v, kv_heads, embed, b}, {Slot::o, embed, heads, b}, {{rope}}};
  const Linear up{Slot::up, ffn, embed, b}, down{Slot::down, embed, ffn, b};
  if (options.plain_ffn) {
    arch.block.ffn = PlainFfn{options.activation, up, down};
  } else {
    arch.block.ffn = GatedFfn{options.activation, {Slot::gate, ffn, embed, b}, up, down};
  }
  arch.final_norm = norm(Slot::final_norm);
  arch.embed = {Slot::embed, vocab, embed};
  arch.lm_head = {Slot::lm_head, vocab, embed};
  arch.tied_head = true;
  return arch;
}

inline FloatBlock test_block(const Arch& arch, uint64_t seed) {
  TestRandom random(seed);
  FloatBlock block;
  for (const Norm& norm : block_norms(arch.block)) {
    const int64_t dim = norm_size(arch, norm);
    block[norm.slot].weight = {{dim}, random.values(dim, 0.5f, 1.0f - norm.weight_offset)};
    if (norm.bias) block[norm.slot].bias = {{dim}, random.values(dim, 0.3f)};
  }
  for (const Linear& linear : block_linears(arch.block)) {
    const Shape shape = linear_shape(arch, linear);
    const float scale = 2.0f / std::sqrt(static_cast<float>(shape[1]));
    block[linear.slot].weight = {shape, random.values(shape.elements(), scale)};
    if (linear.bias) block[linear.slot].bias = {{shape[0]}, random.values(shape[0], 0.3f)};
  }
  return block;
}

/// Embedding, final norm and the blocks of test_block(layer).
inline Model test_model(const Arch& arch, const Ops& ops) {
  Model model;
  model.arch = arch;
  model.ops = ops;
  TestRandom random(99);
  const std::vector<float> table = random.values(arch.sizes.vocab * arch.sizes.hidden, 1);
  model.embed.weight = ops.pack_float(
      *ops.device, {table.data(), DType::f32, arch.sizes.vocab, arch.sizes.hidden});
  model.final_norm.weight = upload_floats(*ops.device, random.values(arch.sizes.hidden, 0.3f, 1));
  if (arch.final_norm->bias) {
    model.final_norm.bias = upload_floats(*ops.device, random.values(arch.sizes.hidden, 0.3f));
  }
  prepare_tables(model);
  for (int64_t layer = 0; layer < arch.sizes.layers; ++layer) {
    model.blocks.push_back(
        pack_block(arch, test_block(arch, static_cast<uint64_t>(layer) + 1), ops));
  }
  return model;
}

/// One block over 5 random rows with an empty cache.
inline std::vector<float> run_test_block(const Model& model, const BlockWeights& weights) {
  constexpr int64_t kTokens = 5;
  const Sizes& sizes = model.arch.sizes;
  TestRandom random(5);
  std::vector<float> x = random.values(kTokens * sizes.hidden, 1);
  std::vector<float> kv(static_cast<size_t>(2 * sizes.kv_heads * kTokens * sizes.head_dim));
  const int64_t stride = kTokens * sizes.head_dim;
  const Segment segment{0, kTokens, 0,
                        {kv.data(), kv.data() + sizes.kv_heads * stride, DType::f32, stride}};
  const std::vector<int32_t> positions = {0, 1, 2, 3, 4};
  Workspace workspace(*model.ops.device);
  forward_block(model, weights, 0, {x.data(), kTokens, sizes.hidden}, {positions, {&segment, 1}},
                workspace);
  return x;
}

}  // namespace awq
