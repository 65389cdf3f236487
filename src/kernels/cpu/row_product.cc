#include "kernels/cpu/row_product.h"

#include "kernels/cpu/int_rows.h"

namespace awq::cpu {

static const QuantPanels& quant(const CpuWeight& w) { return static_cast<const QuantPanels&>(w); }
static const FloatPanels& plain(const CpuWeight& w) { return static_cast<const FloatPanels&>(w); }

size_t operand_bytes(const KernelTable& kernels, const CpuWeight& w) {
  return w.quantized ? IntRowsLayout(quant(w).blocks(), 1, kernels.planes).bytes() : 0;
}

bool same_operand(const CpuWeight& a, const CpuWeight& b) {
  if (a.quantized != b.quantized || a.in != b.in) return false;
  return !a.quantized || (quant(a).begin == quant(b).begin && quant(a).length == quant(b).length &&
                          quant(a).unit == quant(b).unit);
}

RowOperand make_operand(const KernelTable& kernels, const CpuWeight& w, const float* x, void* memory) {
  if (!w.quantized) return {x};
  const BlockList blocks = quant(w).blocks();
  const RowOperand operand = {x, IntRowsLayout(blocks, 1, kernels.planes).at(memory)};
  kernels.quantize(x, blocks, operand.codes);
  return operand;
}

void multiply_panel(const KernelTable& kernels, const CpuWeight& w, const RowOperand& operand,
                    int64_t p, float* sums) {
  if (w.quantized) {
    const QuantPanels& weight = quant(w);
    kernels.quant_vector[weight.format](weight.panel(p), weight.blocks(), operand.codes, 1, sums);
  } else {
    const FloatPanels& weight = plain(w);
    kernels.float_vector[weight.format](weight.panel(p), w.in, operand.x, w.in, 1, sums);
  }
}

const std::byte* panel_memory(const CpuWeight& w, int64_t p) {
  return w.quantized ? quant(w).data.data() + static_cast<size_t>(p) * quant(w).panel_bytes
                     : plain(w).panel(p);
}

size_t panel_bytes(const CpuWeight& w) {
  return w.quantized ? quant(w).panel_bytes : static_cast<size_t>(w.in * kPanel) * plain(w).element;
}

}  // namespace awq::cpu
