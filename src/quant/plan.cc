#include "quant/plan.h"

#include <algorithm>
#include <set>

#include "base/progress.h"
#include "model/weights.h"
#include "quant/calibrate.h"
#include "quant/gptq.h"
#include "quant/hessian_loss.h"

namespace awq {
namespace {

constexpr uint64_t kProgram = uint64_t{48} << 20;  // code, libraries, tokenizer, allocator slack

int64_t block_elements(const Arch& arch) {
  int64_t elements = 0;
  for (const Linear& linear : block_linears(arch.block)) {
    elements += linear_shape(arch, linear).elements();
  }
  return elements;
}

uint64_t packed_bytes(const Arch& arch, const FormatPlan& formats, const Linear& linear,
                      const std::optional<QuantFormat>& format) {
  const Shape shape = linear_shape(arch, linear);
  if (!format) {
    return dtype_bytes(float_type(linear), static_cast<uint64_t>(shape.elements()));
  }
  uint64_t bytes = 0;
  for (const TensorDeclaration& tensor :
       packed_tensors(formats.packed(), *format, shape[0], shape[1], "m")) {
    bytes += dtype_bytes(tensor.dtype, static_cast<uint64_t>(tensor.shape.elements()));
  }
  return bytes;
}

uint64_t packed_block_bytes(const Arch& arch, const FormatPlan& formats, int64_t layer) {
  uint64_t bytes = 0;
  for (const Linear& linear : block_linears(arch.block)) {
    bytes += packed_bytes(arch, formats, linear, formats.of(layer, linear.slot));
    if (linear.bias) bytes += static_cast<uint64_t>(linear_shape(arch, linear)[0]) * sizeof(float);
  }
  if (keeps_activation_scale(arch.block)) {
    bytes += static_cast<uint64_t>(arch.sizes.ffn) * sizeof(float);
  }
  for (const Norm& norm : block_norms(arch.block)) {
    bytes += static_cast<uint64_t>(norm_size(arch, norm)) * sizeof(float);
  }
  return bytes;
}

// Multiply-adds of the block's forward pass per token, attention over half a sequence included.
double forward_flops(const Arch& arch, int64_t length) {
  const double attention = 2.0 * 2.0 * static_cast<double>(arch.sizes.heads * arch.sizes.head_dim) *
                           static_cast<double>(length) / 2;
  return 2.0 * static_cast<double>(block_elements(arch)) + attention;
}

double search_flops(const Arch& arch, const QuantizeOptions& options, int64_t tokens) {
  double flops = 0;
  std::set<Slot> inputs;
  for (const Linear& linear : block_linears(arch.block)) {
    const Shape shape = linear_shape(arch, linear);
    const auto in = static_cast<double>(shape[1]), out = static_cast<double>(shape[0]);
    const bool first = inputs.insert(input_slot(arch.block, linear.slot)).second;
    if (first) {
      flops += in * in * static_cast<double>(tokens);  // one triangle
    }
    if (options.scaled()) {
      flops += 2.0 * out * in * in * (options.grid + (options.clip ? 2 : 0) + 2);
      if (options.clip) flops += 2.0 * 10 * out * in * static_cast<double>(
                                     options.formats.base().group_size(shape[1]));
    }
    // In double precision: the columns' updates and, for each input, two thirds of a cube.
    if (options.compensated()) flops += 2 * (out * in * in + (first ? in * in * in : 0)) + 6 * out * in * in;
  }
  return flops;
}

// The search's rounding errors, on the host and on the device, and each thread's product with H.
uint64_t search_bytes(const Arch& arch, int threads) {
  uint64_t elements = 0;
  for (const Linear& linear : block_linears(arch.block)) {
    const Shape shape = linear_shape(arch, linear);
    const int64_t rows = std::min(HessianLoss::rows_at_once(threads), shape[0]);
    const int64_t products = int64_t{threads} * HessianLoss::kPerThread;
    elements = std::max(elements, static_cast<uint64_t>((2 * rows + products) * shape[1]));
  }
  return elements * sizeof(float);
}

// GPTQ's factor, a copy of H, the codes of a block, two tries of linears that read one input and their
// values, and what threads carry; with `best` the H of the sequences that judge.
uint64_t compensation_bytes(const Arch& arch, int threads, bool best) {
  int64_t widest = 0;
  uint64_t judging = 0;  // elements of every input's H: each expert has its own
  for (const Linear& linear : block_linears(arch.block)) {
    const int64_t in = linear_shape(arch, linear)[1];
    widest = std::max(widest, in);
    if (input_slot(arch.block, linear.slot) == linear.slot) judging += static_cast<uint64_t>(in * in);
  }
  judging = std::max(judging, 4 * static_cast<uint64_t>(widest * widest));
  const uint64_t more = best ? judging * sizeof(float) : 0;
  return more + InverseFactor::bytes(widest) + static_cast<uint64_t>(widest * widest) * sizeof(float) +
         static_cast<uint64_t>(block_elements(arch)) * (3 + sizeof(float)) +
         gptq_scratch_bytes(widest, threads);
}

}  // namespace

uint64_t with_allocator_slack(uint64_t bytes) { return bytes + bytes / 16; }

QuantizePlan plan_quantize(const TensorReader& reader, const QuantizeOptions& options,
                           int64_t tokens, int threads) {
  const Arch& arch = reader.arch();
  const auto layers = static_cast<uint64_t>(arch.sizes.layers);
  const auto table = static_cast<uint64_t>(arch.sizes.vocab * arch.sizes.hidden) * 2;
  uint64_t tables = arch.tied_head ? table : 2 * table;
  if (const auto head = options.formats.head()) {
    tables = table + packed_bytes(arch, options.formats, arch.lm_head, head);
  }
  // Held in the stored type, which may be f32.
  const TensorInfo* raw = reader.raw_weight(Slot::embed, 0);
  const uint64_t held = raw != nullptr && raw->dtype == DType::f32 ? 2 * table : table;
  const auto block = static_cast<uint64_t>(block_elements(arch)) * sizeof(float);
  int64_t largest = 0;
  for (const Linear& linear : block_linears(arch.block)) {
    largest = std::max(largest, linear_shape(arch, linear).elements());
  }
  QuantizePlan plan;
  plan.output_bytes = tables;
  for (int64_t layer = 0; layer < arch.sizes.layers; ++layer) {
    plan.output_bytes += packed_block_bytes(arch, options.formats, layer);
  }
  // No table outlives the frame: the output's are written one after the other, and the embedding is
  // read, packed and dropped once it has given the tokens' hidden states.
  const uint64_t hidden = static_cast<uint64_t>(tokens * arch.sizes.hidden) * sizeof(float);
  const uint64_t frame_peak = kProgram + held + std::max(2 * table, hidden);
  uint64_t work = kProgram + 2 * block + static_cast<uint64_t>(largest) * (sizeof(float) + 2);
  if (options.calibrated()) {
    work += Calibration::bytes(arch, tokens, options.calibration_length) +
            search_bytes(arch, threads);
    if (options.compensated()) work += compensation_bytes(arch, threads, options.best);
    const double passes = options.compensated() ? 2 : 1;  // then on, through the quantized block
    plan.flops = static_cast<double>(layers) *
                 (passes * forward_flops(arch, options.calibration_length) *
                      static_cast<double>(tokens) +
                  search_flops(arch, options, tokens));
    if (options.scaled() && options.search_loss == SearchLoss::module) {
      work += 4 * hidden;  // of all tokens: both modules' inputs, an output and its expected value
      plan.flops += static_cast<double>(layers) * options.grid * static_cast<double>(tokens) *
                    forward_flops(arch, options.calibration_length);
    }
  }
  plan.peak_bytes = with_allocator_slack(std::max(frame_peak, work));
  return plan;
}

double measure_flops(const Ops& ops) {
  constexpr int64_t kRows = 1024, kWidth = 512;
  const std::vector<float> x(kRows * kWidth, 0.5f), zeros(kWidth * kWidth, 0.0f);
  const DeviceBuffer input = upload_floats(*ops.device, x);
  const DeviceBuffer gram = upload_floats(*ops.device, zeros);
  double best = 0;
  for (int i = 0; i < 3; ++i) {
    const Timer timer;
    ops.gram(*ops.device, {input.as<float>(), kRows, kWidth}, gram.as<float>());
    ops.device->synchronize();
    best = std::max(best, static_cast<double>(kWidth * kWidth * kRows) / timer.seconds());
  }
  return best;
}

}  // namespace awq
