// Where the activations of a batch lie for the product that reads them: written by the kernel that
// makes them, so that no copy stands between.
#pragma once

#include <cuda_bf16.h>

#include "kernels/cuda/few_product.h"
#include "kernels/cuda/tile_math.cuh"
#include "kernels/cuda/transpose.cuh"

namespace awq::cuda::batch {

enum class Layout {
  floats,      ///< rows of f32
  halves,      ///< rows of half
  bfloats,     ///< rows of bfloat16
  warpgroups,  ///< as store_warpgroup_inputs()
  shares,      ///< halves as share_place()
};

/// Activations of a product: `words` runs of 8 inputs a row, zeros beyond the weight's inputs.
struct Inputs {
  Layout layout = Layout::floats;
  void* data = nullptr;
  int64_t padded_rows = 0;  ///< of Layout::warpgroups; of Layout::shares the tokens
  int words = 0;
  int share = 0;  ///< of Layout::shares, inputs of the first
};

/// Stores inputs 8 * word .. 8 * word + 7 of a row. All lanes of the warp come here, neighbours with
/// neighbouring words from a multiple of four on; `inside` says whose are stored.
__device__ __forceinline__ void store_inputs(const Inputs& to, int64_t row, int word, bool inside,
                                             const float (&v)[8]) {
  if (to.layout == Layout::floats) {
    if (!inside) return;
    auto* y = static_cast<float4*>(to.data) + (row * to.words + word) * 2;
    y[0] = {v[0], v[1], v[2], v[3]};
    y[1] = {v[4], v[5], v[6], v[7]};
    return;
  }
  if (to.layout == Layout::bfloats) {
    if (!inside) return;
    auto* y = static_cast<__nv_bfloat162*>(to.data) + (row * to.words + word) * 4;
#pragma unroll
    for (int i = 0; i < 4; ++i) y[i] = __floats2bfloat162_rn(v[2 * i], v[2 * i + 1]);
    return;
  }
  uint32_t p[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) p[i] = activation_halves(v[2 * i], v[2 * i + 1]);
  auto* y = static_cast<uint4*>(to.data);
  if (to.layout == Layout::halves) {
    if (inside) y[row * to.words + word] = {p[0], p[1], p[2], p[3]};
    return;
  }
  if (to.layout == Layout::shares) {
    if (inside) {
      y[share_place(to.padded_rows, to.share, row, word * 8) / 8] = {p[0], p[1], p[2], p[3]};
    }
    return;
  }
  transpose_pairs(p);
  if (inside) {
    y[(word / 8 * to.padded_rows + row) * 8 + ((word % 8) ^ (row % 8))] = {p[0], p[1], p[2], p[3]};
  }
}

/// Eight neighbouring floats, 16-byte aligned, that another kernel wrote.
__device__ __forceinline__ void load_8(const float* from, float (&v)[8]) {
  const float4 a = __ldcg(reinterpret_cast<const float4*>(from)),
               b = __ldcg(reinterpret_cast<const float4*>(from) + 1);
  v[0] = a.x, v[1] = a.y, v[2] = a.z, v[3] = a.w, v[4] = b.x, v[5] = b.y, v[6] = b.z, v[7] = b.w;
}

}  // namespace awq::cuda::batch
