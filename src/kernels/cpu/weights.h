// Weights in 16-row panels, the layout of every table of cpu/isa/.
#pragma once

#include "kernels/cpu/kernel_table.h"
#include "kernels/ops.h"
#include "tensor/buffer.h"

namespace awq::cpu {

class CpuWeight : public PackedWeight {
 public:
  explicit CpuWeight(bool quantized_) : quantized(quantized_) {}
  int64_t panels() const { return (out + kPanel - 1) / kPanel; }
  const bool quantized;
};

/// Panel p holds rows [16 p, 16 p + 16) as [in, 16] elements; missing rows are 0.
class FloatPanels : public CpuWeight {
 public:
  FloatPanels() : CpuWeight(false) {}
  const std::byte* panel(int64_t p) const {
    return data.data() + static_cast<size_t>(p * in * kPanel) * element;
  }
  FloatFormat format = kFloat32;
  size_t element = 4;  ///< bytes
  Buffer data;
};

/// Panel p: scales of all blocks, zeros of all blocks, then the units.
class QuantPanels : public CpuWeight {
 public:
  QuantPanels() : CpuWeight(true) {}
  BlockList blocks() const;
  QuantPanel panel(int64_t p) const;

  CodeFormat format = kInt4;
  size_t panel_bytes = 0, zeros_at = 0, codes_at = 0;  ///< offsets in a panel
  std::vector<int32_t> begin, length, unit;            ///< BlockList
  Buffer data;
};

std::unique_ptr<PackedWeight> pack_float(Device& device, const FloatWeight& weight);
std::unique_ptr<PackedWeight> pack_quant(Device& device, const QuantWeight& weight);
std::unique_ptr<PackedWeight> pack_words(Device& device, const QuantWeight& facts,
                                         const QuantWords& words);
void embed(Device& device, std::span<const int32_t> ids, const PackedWeight& table, Matrix y);

}  // namespace awq::cpu
