// One decoder block in float32 on the host: what folding, searching and rounding work on.
#pragma once

#include <algorithm>
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

/// One T for each slot of a block, grown as slots are named. References stay valid until a slot
/// beyond all others is named for the first time.
template <class T>
class SlotTable {
 public:
  T& operator[](Slot slot) {
    const auto at = static_cast<size_t>(slot);
    if (at >= values_.size()) values_.resize(std::max(at + 1, kSlots));
    return values_[at];
  }
  const T& operator[](Slot slot) const {
    AWQ_CHECK(static_cast<size_t>(slot) < values_.size(), slot_name(slot));
    return values_[static_cast<size_t>(slot)];
  }
  auto begin() const { return values_.begin(); }
  auto end() const { return values_.end(); }

 private:
  std::vector<T> values_ = std::vector<T>(kSlots);
};

/// Empty where the block has no such tensor.
using FloatBlock = SlotTable<FloatWeights>;

}  // namespace awq
