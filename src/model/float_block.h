// One decoder block in float32 on the host: what folding, searching and rounding work on.
#pragma once

#include <array>
#include <vector>

#include "model/arch.h"

namespace awq {

struct FloatTensor {
  Shape shape;
  std::vector<float> values;  ///< row-major
  bool empty() const { return values.empty(); }
};

/// weight: [out, in] of a linear or [dim] of a norm; bias: [out] or [dim], or empty.
struct FloatWeights {
  FloatTensor weight, bias;
};

struct FloatBlock {
  std::array<FloatWeights, kSlots> slots;  ///< empty where the block has no such tensor
  FloatWeights& operator[](Slot slot) { return slots[static_cast<size_t>(slot)]; }
  const FloatWeights& operator[](Slot slot) const { return slots[static_cast<size_t>(slot)]; }
};

}  // namespace awq
