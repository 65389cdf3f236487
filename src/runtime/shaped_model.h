// Random decoders of chosen sizes and weights, for tests of the planned decode step.
#pragma once

#include <cmath>

#include "base/float16.h"
#include "model/synthetic.h"
#include "model/test_model.h"

namespace awq {

// Decoders of other sizes than Llama's own, with random weights.
struct DecoderShape {
  const char* name;
  Sizes sizes;
  int64_t group;
  DType head = DType::f16;  // u8: as the linears
  RopePairing pairing = RopePairing::half;
  int bits = 4;  // 16: halves of the type of the head
  int head_bits = 0;  // of a head like the linears; 0: as many as they have
  void (*rewire)(Arch&) = nullptr;  // what is not as in Llama's block
};

inline Model shaped_model(const DecoderShape& shape, const Ops& ops) {
  Model model;
  model.arch = test_arch({});
  model.arch.sizes = shape.sizes;
  Rope rope;
  rope.rotary_dim = shape.sizes.head_dim;
  rope.pairing = shape.pairing;
  model.arch.block.attention.kinds = {{rope}};
  model.arch.tied_head = false;
  if (shape.rewire != nullptr) shape.rewire(model.arch);
  model.ops = ops;
  prepare_tables(model);
  const Sizes& sizes = shape.sizes;
  TestRandom random(7);
  const auto table = [&](DType dtype, float scale, int64_t out, int64_t in) {
    const auto values = random.values(out * in, scale);
    std::vector<uint16_t> halves(values.size());
    for (size_t i = 0; i < values.size(); ++i) {
      halves[i] = dtype == DType::f16 ? float_to_half(values[i]) : float_to_bfloat(values[i]);
    }
    return ops.pack_float(*ops.device, {halves.data(), dtype, out, in});
  };
  uint64_t seed = 0;
  const auto packed = [&](int64_t out, int64_t in, int bits) {
    if (bits == 16) return table(shape.head, 2 / std::sqrt(static_cast<float>(in)), out, in);
    return random_packed_weight(ops, QuantFormat{bits, shape.group, false}, out, in, ++seed);
  };
  const auto norm = [&](const Norm& record) {
    const int64_t size = norm_size(model.arch, record);
    NormWeights made;
    made.weight = upload_floats(*ops.device, random.values(size, 0.3f, 1 - record.weight_offset));
    if (record.bias) made.bias = upload_floats(*ops.device, random.values(size, 0.3f));
    return made;
  };
  model.embed.weight = table(DType::f16, 1, sizes.vocab, sizes.hidden);
  model.lm_head.weight = shape.head == DType::u8
                             ? packed(sizes.vocab, sizes.hidden,
                                      shape.head_bits > 0 ? shape.head_bits : shape.bits)
                             : table(shape.head, 2 / std::sqrt(static_cast<float>(sizes.hidden)),
                                     sizes.vocab, sizes.hidden);
  model.final_norm = norm(*model.arch.final_norm);
  for (int64_t layer = 0; layer < sizes.layers; ++layer) {
    BlockWeights block;
    for (const Norm& n : block_norms(model.arch.block)) block.norm(n.slot) = norm(n);
    for (const Linear& linear : block_linears(model.arch.block)) {
      const Shape dims = linear_shape(model.arch, linear);
      block.linear(linear.slot).weight = packed(dims[0], dims[1], shape.bits);
      if (!linear.bias) continue;
      block.linear(linear.slot).bias = upload_floats(*ops.device, random.values(dims[0], 0.3f));
    }
    model.blocks.push_back(std::move(block));
  }
  return model;
}

}  // namespace awq
