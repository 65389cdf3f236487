// Which format each linear of a model is quantized to: one for all, and what is to differ.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "checkpoint/quantization.h"
#include "model/float_block.h"
#include "tensor/quant_format.h"

namespace awq {

/// What a linear without a format is written in: routers keep what they have.
inline DType float_type(const Linear& linear) { return linear.keep_float ? DType::f32 : DType::f16; }

class FormatPlan {
 public:
  FormatPlan() = default;
  /// Every linear of the blocks in `format`, but for those of Linear::keep_float; the head stays in
  /// float.
  FormatPlan(const Arch& arch, const QuantFormat& format);

  /// `bits`: "4", or NAME=BITS[,...]: the first name that fits a linear counts. A name is a slot
  /// ("down", "lm_head", "expert_up.3"; "expert_up" of every expert), a layer and a slot ("0.down",
  /// "0.*"), or "*": every linear of the blocks.
  /// `keep`: NAME[,...] that stay in float. `base` gives group and symmetry. Usage errors name what
  /// is not there, or has no number of bits.
  static Result<FormatPlan> parse(const Arch& arch, QuantFormat base, std::string_view bits,
                                  std::string_view keep);

  /// Nothing: stays in float, as it was asked for or because Linear::keep_float says so.
  std::optional<QuantFormat> of(int64_t layer, Slot slot) const {
    return with_bits(bits_[static_cast<size_t>(layer)][slot]);
  }
  std::optional<QuantFormat> head() const { return with_bits(head_bits_); }
  /// `slot`: of a linear that may be quantized. `bits` 0: stays in float.
  void set(int64_t layer, Slot slot, int bits) {
    bits_[static_cast<size_t>(layer)][slot] = static_cast<uint8_t>(bits);
  }

  /// Makes base() the most frequent width again, after set(); false when nothing is quantized.
  bool choose_base(const Arch& arch);
  /// The most frequent bit width with the group and symmetry of all.
  const QuantFormat& base() const { return base_; }
  /// Whether every linear of the blocks has the format base().
  bool uniform() const;
  /// AutoAWQ's layout where every quantized linear is 4-bit asymmetric and the head is not, else GPTQ's.
  PackedFormat packed() const;
  /// "INT4-g128", "INT3-g64, mixed".
  std::string name() const;
  /// Bits of every linear, layer by layer in the order of slots; 0: in float.
  std::vector<int> widths() const;
  /// Bits per weight of the blocks' linears, scales and zero points included, floats as written.
  double bits_per_weight(const Arch& arch) const;

 private:
  std::optional<QuantFormat> with_bits(int bits) const {
    if (bits == 0) return std::nullopt;
    return QuantFormat{bits, base_.group, base_.symmetric};
  }

  QuantFormat base_;
  std::vector<SlotTable<uint8_t>> bits_;  // per layer; 0: float, or no such linear
  std::vector<Slot> linears_;             // that may be quantized
  int head_bits_ = 0;
};

}  // namespace awq
