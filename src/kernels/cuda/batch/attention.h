// Attention of one new row of each of several sequences, RoPE and the append to the caches included.
#pragma once

#include "kernels/cuda/batch/inputs.cuh"
#include "kernels/cuda/device.h"
#include "kernels/ops.h"

namespace awq::cuda::batch {

/// The caches of a sequence in one layer, of half or of codes with scales (KvView).
struct Cache {
  void *k, *v;
  float *k_scales, *v_scales;  ///< of I8
  int64_t head_stride;         ///< elements

  bool operator==(const Cache&) const = default;
};

struct AttentionStep {
  Matrix q, k, v;  ///< [sequences, heads * head_dim], not yet turned
  const Cache* caches;       ///< device, [sequences]
  const int32_t* positions;  ///< device, [sequences]
  const float* frequency;    ///< device, [half]
  int heads, kv_heads, head_dim;
  int half;  ///< pairs of a head that turn
  bool interleaved;
  DType dtype;  ///< of the caches: F16 or I8
  float scale;
  int splits;      ///< of the keys
  float* partial;  ///< attention_floats() with more than one split
  Inputs out;
};

/// Heads of 64 or 128, at most 8 query heads for a kv head.
bool can_attend(int64_t heads, int64_t kv_heads, int64_t head_dim);
/// Parts of the keys that fill the device when no sequence is longer than `most`.
int choose_splits(const CudaDevice& device, int64_t sequences, int64_t kv_heads, int64_t most);
int64_t attention_floats(const AttentionStep& step);
void attend(CudaDevice& device, const AttentionStep& step);

/// RoPE of the rows of one sequence from position `past` on: q in place, k and v to the cache.
void rotate_and_append(CudaDevice& device, const AttentionStep& step, const KvView& kv,
                       int64_t past);

}  // namespace awq::cuda::batch
