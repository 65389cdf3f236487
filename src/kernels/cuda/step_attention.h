// Attention of one row whose position only the device knows, for captured steps.
#pragma once

#include "kernels/cuda/device.h"
#include "kernels/ops.h"

namespace awq::cuda {

struct StepAttention {
  const float* q;           ///< [heads, head_dim]
  float* out;               ///< [heads, head_dim]
  int64_t heads, kv_heads, head_dim;
  float scale;
  KvView kv;                ///< already holds the row's own key
  const int32_t* position;  ///< device memory
  float* partial;           ///< step_attention_floats() floats
};

/// The keys are split for positions up to `most`; others are right too, only slower.
int64_t step_attention_floats(CudaDevice& device, const StepAttention& step, int64_t most);
void step_attention(CudaDevice& device, const StepAttention& step, int64_t most);

}  // namespace awq::cuda
