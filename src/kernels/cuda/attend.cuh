// What the attention kernels share: their argument, and which keys a query sees.
//
// Work is cut into pairs (row, query head) that read the same keys: pair p of a kv head is row
// p / shared, head kv_head * shared + p % shared, where `shared` query heads have one kv head.
#pragma once

#include <cuda_fp16.h>

#include "kernels/cuda/device.h"

namespace awq::cuda {

/// One segment of a batch.
struct Attend {
  const float* q;
  float* out;
  int64_t q_stride, out_stride;
  const void *k, *v;  // f32, f16 or codes, head_stride elements from head to head
  int64_t head_stride;
  int heads, kv_heads, head_dim, rows;
  int64_t past, window;
  float scale, softcap;
  const float* slopes;  // device memory, or null
  bool causal;
  int splits;      // of the keys: gridDim.z
  float* partial;  // [splits][partial_rows * heads][head_dim + 2]: sums, largest score, total; or null
  int partial_rows;
  const float *k_scales = nullptr, *v_scales = nullptr;  // of codes, see KvView
  bool exact = true;  // products as good as in f32: else q and the weights may become halves
  const int32_t* position = nullptr;  // of the one row, where only the device knows it: not `past`

  __host__ __device__ int shared_heads() const { return heads / kv_heads; }
  __host__ __device__ int pairs() const { return rows * shared_heads(); }
};

__device__ inline int64_t first_key(const Attend& a, int64_t position) {
  return a.window > 0 && position + 1 > a.window ? position + 1 - a.window : 0;
}
__device__ inline int64_t end_key(const Attend& a, int64_t position) {
  return a.causal ? position + 1 : a.past + a.rows;
}

/// Where the sums of a row and head go when the keys are split; the largest score and the total
/// follow them.
__device__ inline float* partial_sums(const Attend& a, int split, int64_t row, int64_t head) {
  return a.partial + ((static_cast<int64_t>(split) * a.partial_rows + row) * a.heads + head) *
                         (a.head_dim + 2);
}

/// A pair of this block's kv head in the course of its softmax.
struct Pair {
  int64_t row, position, first, end;  // keys it sees
  int head;
  float slope, most = -INFINITY, total = 0;

  __device__ Pair(const Attend& a, int pair)
      : row(pair / a.shared_heads()),
        position(a.past + row),
        first(first_key(a, position)),
        end(end_key(a, position)),
        head(static_cast<int>(blockIdx.y) * a.shared_heads() + pair % a.shared_heads()),
        slope(a.slopes == nullptr ? 0 : a.slopes[head]) {}

  /// The score of a dot product of q and the key at `at`; -INFINITY where it is not to be seen. `whole`: it sees
  /// every key that is asked for.
  __device__ float score(const Attend& a, float dot, int64_t at, bool whole) const {
    float score = dot * a.scale;
    if (a.softcap > 0) score = a.softcap * tanhf(score / a.softcap);
    if (a.slopes != nullptr) score += slope * static_cast<float>(at - position);
    return !whole && (at < first || at >= end) ? -INFINITY : score;
  }
};

/// Runs a kernel whose blocks take `pairs` pairs and `bytes` of shared memory each.
inline void launch_attend(CudaDevice& device, const Attend& a, void (*kernel)(Attend), int pairs,
                          int threads, size_t bytes, const char* what) {
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(bytes)),
        "attention's shared memory");
  const dim3 grid(static_cast<unsigned>((a.pairs() + pairs - 1) / pairs),
                  static_cast<unsigned>(a.kv_heads), static_cast<unsigned>(a.splits));
  kernel<<<grid, threads, bytes, device.stream()>>>(a);
  check_launch(what);
}

/// Pairs of a block of attend_tiles and attend_floats.
constexpr int kTilePairs = 64;

/// Many pairs of an f32 cache, in f32 (attend_floats.cu): rows of whole 16-byte words.
bool floats_attend(const Attend& a);
void launch_floats(CudaDevice& device, const Attend& a);

/// Whether the tensor cores take it: f16 caches whose rows are whole 16-byte words.
bool tiles_attend(const Attend& a);
void launch_tiles(CudaDevice& device, const Attend& a);
/// The same where `exact` is not asked for (attend_prompt.cu).
bool prompt_attends(const CudaDevice& device, const Attend& a);
void launch_prompt(CudaDevice& device, const Attend& a);

}  // namespace awq::cuda
