// The products of the planned decode step: weights that multiply the same row, and how their panels are
// cut among threads.
#pragma once

#include <array>
#include <initializer_list>
#include <vector>

#include "kernels/cpu/row_product.h"

namespace awq::cpu {

struct BiasedWeight {
  const PackedWeight* weight = nullptr;
  const float* bias = nullptr;  ///< [out] or null
};

/// Items are panels one after the other, or, of a pair, panel i of both.
struct StepProduct {
  StepProduct(std::initializer_list<BiasedWeight> weights, bool pair, int threads);

  int64_t items() const;
  const CpuWeight& weight(int i) const { return *weights[static_cast<size_t>(i)]; }
  /// sums [kPanel] of panel `panel` of weight `i`, the bias added.
  void multiply(const KernelTable& kernels, int i, const RowOperand& operand, int64_t panel,
                float* sums) const;

  std::array<const CpuWeight*, 3> weights = {};
  std::array<const float*, 3> biases = {};
  int count = 0;
  bool pair = false;
  std::array<int, 3> operand = {};  ///< the first weight with the same one
  std::vector<int32_t> bounds;      ///< PhaseItems
  int32_t step = 1;

 private:
  void cut(int threads);
};

}  // namespace awq::cpu
