// The product of one row with a packed weight, panel by panel, as the planned decode step does it. It has
// the bits that matmul gives the row.
#pragma once

#include "kernels/cpu/weights.h"

namespace awq::cpu {

/// What the kernels of a weight read of a row: its values, or their codes.
struct RowOperand {
  const float* x = nullptr;  ///< [in]
  IntRows codes = {};
};

/// Memory for the codes of a row of `w`.
size_t operand_bytes(const KernelTable& kernels, const CpuWeight& w);
/// Whether both read the same operand of the same row.
bool same_operand(const CpuWeight& a, const CpuWeight& b);
/// The operand of x [in]; codes lie in `memory` of operand_bytes, aligned to 64.
RowOperand make_operand(const KernelTable& kernels, const CpuWeight& w, const float* x, void* memory);
/// sums [kPanel] of panel `p`; rows past the end of the weight give what their zeros give.
void multiply_panel(const KernelTable& kernels, const CpuWeight& w, const RowOperand& operand,
                    int64_t p, float* sums);
const std::byte* panel_memory(const CpuWeight& w, int64_t p);
size_t panel_bytes(const CpuWeight& w);

}  // namespace awq::cpu
