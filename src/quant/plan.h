// What a quantization run will need, before it starts: --dry-run prints it, --max-ram enforces it.
#pragma once

#include <cstdint>

#include "model/tensor_reader.h"
#include "quant/method.h"

namespace awq {

struct QuantizePlan {
  uint64_t peak_bytes = 0;         ///< resident memory, the program itself included
  uint64_t output_bytes = 0;       ///< of the safetensors files
  double flops = 0;                ///< floating-point operations, multiply-add as two
};

/// `tokens` of calibration (0 for RTN); `threads` that the search will use.
QuantizePlan plan_quantize(const TensorReader& reader, const QuantizeOptions& options,
                           int64_t tokens, int threads);

/// `bytes` that a program asks for, as the resident memory that they become.
uint64_t with_allocator_slack(uint64_t bytes);

/// Operations per second of the Gram product on this machine, measured in a fraction of a second.
double measure_flops(const Ops& ops);

}  // namespace awq
