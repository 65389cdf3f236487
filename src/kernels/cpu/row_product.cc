#include "kernels/cpu/row_product.h"

namespace awq::cpu {

static const QuantPanels& quant(const CpuWeight& w) { return static_cast<const QuantPanels&>(w); }
static const FloatPanels& plain(const CpuWeight& w) { return static_cast<const FloatPanels&>(w); }

static size_t code_bytes(const QuantPanels& w) {
  return static_cast<size_t>(w.blocks().units) * kUnit * sizeof(int16_t);
}

size_t operand_bytes(const CpuWeight& w) {
  if (!w.quantized) return 0;
  return 2 * code_bytes(quant(w)) + 4 * static_cast<size_t>(quant(w).blocks().count) * sizeof(float);
}

bool same_operand(const CpuWeight& a, const CpuWeight& b) {
  if (a.quantized != b.quantized || a.in != b.in) return false;
  return !a.quantized || (quant(a).begin == quant(b).begin && quant(a).length == quant(b).length);
}

RowOperand make_operand(const KernelTable& kernels, const CpuWeight& w, const float* x, void* memory) {
  if (!w.quantized) return {x};
  const BlockList blocks = quant(w).blocks();
  const size_t codes = code_bytes(quant(w)) / sizeof(int16_t);
  auto* at = static_cast<int16_t*>(memory);
  auto* scales = reinterpret_cast<float*>(at + 2 * codes);
  auto* sums = reinterpret_cast<int32_t*>(scales + 2 * blocks.count);
  const RowOperand operand = {
      x, {at, at + codes, scales, scales + blocks.count, sums, sums + blocks.count}};
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
