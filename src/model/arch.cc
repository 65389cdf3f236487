#include "model/arch.h"

#include <array>
#include <cmath>
#include <numbers>

namespace awq {

std::string_view slot_name(Slot slot) {
  static constexpr std::array<std::string_view, kSlots> kNames = {
      "embed", "lm_head", "final_norm", "attn_norm", "q", "k", "v", "o", "ffn_norm",
      "gate",  "up",      "down"};
  return kNames[static_cast<size_t>(slot)];
}

int64_t axis_size(const Sizes& sizes, Axis axis) {
  switch (axis) {
    case Axis::embed: return sizes.hidden;
    case Axis::heads: return sizes.heads * sizes.head_dim;
    case Axis::kv_heads: return sizes.kv_heads * sizes.head_dim;
    case Axis::ffn: return sizes.ffn;
    case Axis::vocab: return sizes.vocab;
  }
  AWQ_CHECK(false, static_cast<int>(axis));
  return 0;
}

Shape linear_shape(const Arch& arch, const Linear& linear) {
  return {axis_size(arch.sizes, linear.out_axis), axis_size(arch.sizes, linear.in_axis)};
}

std::vector<Linear> block_linears(const Block& block) {
  const Attention& attention = block.attention;
  std::vector<Linear> linears = {attention.q, attention.k, attention.v, attention.o};
  if (const auto* gated = std::get_if<GatedFfn>(&block.ffn)) {
    linears.insert(linears.end(), {gated->gate, gated->up, gated->down});
  } else {
    const auto& plain = std::get<PlainFfn>(block.ffn);
    linears.insert(linears.end(), {plain.up, plain.down});
  }
  return linears;
}

std::vector<Norm> block_norms(const Block& block) {
  if (block.residual == Residual::parallel_one_norm) return {block.attn_norm};
  return {block.attn_norm, block.ffn_norm};
}

std::optional<Linear> find_linear(const Block& block, Slot slot) {
  for (const Linear& linear : block_linears(block)) {
    if (linear.slot == slot) return linear;
  }
  return std::nullopt;
}

Slot input_slot(const Block& block, Slot slot) {
  const bool gated = std::holds_alternative<GatedFfn>(block.ffn);
  switch (slot) {
    case Slot::k:
    case Slot::v: return Slot::q;
    case Slot::gate:
    case Slot::up:
      if (block.residual == Residual::parallel_one_norm) return Slot::q;
      return gated ? Slot::gate : Slot::up;
    default: return slot;
  }
}

int64_t parameter_count(const Arch& arch) {
  const auto linear = [&](const Linear& l) {
    const Shape shape = linear_shape(arch, l);
    return shape.elements() + (l.bias ? shape[0] : 0);
  };
  const auto norm = [&](const Norm& n) { return arch.sizes.hidden * (n.bias ? 2 : 1); };
  int64_t block = 0;
  for (const Linear& l : block_linears(arch.block)) block += linear(l);
  for (const Norm& n : block_norms(arch.block)) block += norm(n);
  return arch.sizes.layers * block + norm(arch.final_norm) + linear(arch.embed) +
         (arch.tied_head ? 0 : linear(arch.lm_head));
}

// The llama3 rule: wavelengths beyond the original context are stretched by `factor`, short ones
// are kept, those between are blended (Llama 3.1 model card; transformers' "llama3" rope type).
static double llama3_frequency(double frequency, const RopeScaling& scaling) {
  const double wavelength = 2 * std::numbers::pi / frequency;
  const double longest = scaling.original_context / scaling.low_frequency;
  const double shortest = scaling.original_context / scaling.high_frequency;
  if (wavelength > longest) return frequency / scaling.factor;
  if (wavelength < shortest) return frequency;
  const double blend = (scaling.original_context / wavelength - scaling.low_frequency) /
                       (scaling.high_frequency - scaling.low_frequency);
  return (1 - blend) * frequency / scaling.factor + blend * frequency;
}

std::vector<float> inverse_frequencies(const Rope& rope) {
  std::vector<float> frequencies(static_cast<size_t>(rope.rotary_dim / 2));
  for (size_t i = 0; i < frequencies.size(); ++i) {
    double frequency = std::pow(rope.theta, -2.0 * static_cast<double>(i) /
                                                static_cast<double>(rope.rotary_dim));
    if (!rope.divisors.empty()) {
      frequency /= rope.divisors[i];
    } else if (rope.scaling.kind == RopeScaling::Kind::linear) {
      frequency /= rope.scaling.factor;
    } else if (rope.scaling.kind == RopeScaling::Kind::llama3) {
      frequency = llama3_frequency(frequency, rope.scaling);
    }
    frequencies[i] = static_cast<float>(frequency);
  }
  return frequencies;
}

}  // namespace awq
