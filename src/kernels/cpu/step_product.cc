#include "kernels/cpu/step_product.h"

#include <algorithm>

namespace awq::cpu {

StepProduct::StepProduct(std::initializer_list<BiasedWeight> list, bool pair_, int threads) : pair(pair_) {
  for (const BiasedWeight& each : list) {
    const auto& weight = static_cast<const CpuWeight&>(*each.weight);
    const auto i = static_cast<size_t>(count++);
    weights[i] = &weight;
    biases[i] = each.bias;
    for (size_t j = 0; j <= i; ++j) {
      if (!same_operand(*weights[j], weight)) continue;
      operand[i] = static_cast<int>(j);
      break;
    }
  }
  cut(threads);
}

int64_t StepProduct::items() const {
  int64_t sum = 0;
  for (int i = 0; i < (pair ? 1 : count); ++i) sum += weight(i).panels();
  return sum;
}

// Ranges of about the same number of bytes, and steps small enough to help a slow thread out.
void StepProduct::cut(int threads) {
  constexpr int64_t kSteps = 4;              // of a range
  constexpr int64_t kStepBytes = 128 << 10;  // at most, of a large weight
  std::vector<int64_t> bytes = {0};          // before each item
  for (int i = 0; i < (pair ? 1 : count); ++i) {
    auto each = static_cast<int64_t>(panel_bytes(weight(i)));
    if (pair) each += static_cast<int64_t>(panel_bytes(weight(1)));
    for (int64_t panel = 0; panel < weight(i).panels(); ++panel) bytes.push_back(bytes.back() + each);
  }
  const int64_t total = bytes.back();
  for (int t = 0; t <= threads; ++t) {
    const auto at = std::lower_bound(bytes.begin(), bytes.end(), total * t / threads);
    bounds.push_back(static_cast<int32_t>(at - bytes.begin()));
  }
  const int64_t by_bytes = kStepBytes * items() / std::max<int64_t>(total, 1);
  step = static_cast<int32_t>(std::clamp<int64_t>(items() / (threads * kSteps), 1,
                                                  std::max<int64_t>(by_bytes, 1)));
}

void StepProduct::multiply(const KernelTable& kernels, int i, const RowOperand& x, int64_t panel,
                           float* sums) const {
  const CpuWeight& w = weight(i);
  multiply_panel(kernels, w, x, panel, sums);
  if (const float* bias = biases[static_cast<size_t>(i)]) {
    kernels.add(bias + panel * kPanel, sums, std::min<int64_t>(kPanel, w.out - panel * kPanel));
  }
}

}  // namespace awq::cpu
