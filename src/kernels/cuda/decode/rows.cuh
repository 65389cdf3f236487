// Half-precision weights: rows as they lie in memory, a few to a slot, a warp a row. A warp has whole
// rows, so it finishes them itself: no sums between warps, no units that go on in other shares.
#pragma once

#include <type_traits>

#include "kernels/cuda/decode/matrix.cuh"

namespace awq::cuda::fused {

template <class T>
__device__ __forceinline__ float2 floats_of_pair(uint32_t word) {
  if constexpr (std::is_same_v<T, __half>) {
    return floats_of(word);
  } else {
    return {__uint_as_float(word << 16), __uint_as_float(word & 0xffff0000u)};
  }
}

/// The product of a row of T at shared address `w` and halves at `x`, both plus 16 bytes per lane;
/// the same in all lanes.
template <class T>
__device__ __forceinline__ float row_product(uint32_t w, uint32_t x, int lane, int inputs) {
  float a = 0, b = 0;
#pragma unroll 4
  for (int i = lane * 8; i < inputs; i += 256) {
    const uint32_t offset = (i - lane * 8) * 2;
    const uint4 u = shared_load4(w + offset), v = shared_load4(x + offset);
    const uint32_t us[4] = {u.x, u.y, u.z, u.w}, vs[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
    for (int n = 0; n < 4; ++n) {
      const float2 weights = floats_of_pair<T>(us[n]), values = floats_of(vs[n]);
      a += weights.x * values.x;
      b += weights.y * values.y;
    }
  }
  return warp_sum(a + b);
}

template <class S>
__device__ __forceinline__ float Consumer<S>::slot_row(const Cursor& c, int row, int inputs) const {
  const uint32_t w = ring_.slot(c) + row * inputs * 2 + lane_ * 16;
  const uint32_t x = ring_.base + p_.at.x + lane_ * 16;
  return p_.linear_kind == Table::f16 ? row_product<__half>(w, x, lane_, inputs)
                                      : row_product<__nv_bfloat16>(w, x, lane_, inputs);
}

// The row's value, from one lane to all blocks; `word` is what its residual was when asked for.
template <class S>
__device__ __forceinline__ void Consumer<S>::finish_row(int product, int row, float v, float up,
                                                        int layer, uint32_t epoch, uint32_t word) {
  if (product == kQkv) {
    post(p_.qkv + row, v * inverse_, epoch);
  } else if (product == kGateUp) {
    const float gate = v * inverse_;
    post(p_.act + row, gate / (1 + __expf(-gate)) * (up * inverse_), epoch);
  } else {
    float residual;
    if (product == kO && layer == 0) {
      residual =
          embedded_one(p_.embed, p_.embed_kind, static_cast<int64_t>(token_) * p_.hidden + row);
    } else {
      const float* from = (product == kO ? p_.x_attn : p_.x_ffn) + row;
      residual = await(from, product == kO ? epoch - 1 : epoch, word);
    }
    post((product == kO ? p_.x_ffn : p_.x_attn) + row, residual + v, epoch);
  }
}

template <class S>
__device__ __forceinline__ void Consumer<S>::run_rows(int product, int layer, uint32_t epoch) {
  const MatrixArgs& m = p_.matrix[product];
  const Share share(p_, starts_, product, layer);
  const bool residual = product == kDown || (product == kO && layer > 0);
  sync();  // the activations of all warps
  if (product == kQkv || product == kGateUp) read_squares();
  Cursor c = cursor_;
  int count = 0;
#pragma unroll 1
  for (int first = share.begin; first < share.end; first += count) {
    count = rows_of_slot(p_, kHeadDim, product, first, share.end);
    // At most one row of a slot is this warp's.
    const int mine = (warp_ - (first - share.begin)) & (kWarps - 1), row = first + mine;
    const bool live = mine < count;
    uint32_t word = 0;
    if (residual && live) word = load_word((product == kO ? p_.x_attn : p_.x_ffn) + row);
    warp_wait(ring_.full(c), c.phase, "rows");
    float v = 0, up = 0;
    if (live) v = slot_row(c, mine, m.inputs);
    __syncwarp();
    if (lane_ == 0) barrier_arrive(ring_.empty(c));
    c.advance(1, p_.stages);
    if (product == kGateUp) {
      warp_wait(ring_.full(c), c.phase, "rows");
      if (live) up = slot_row(c, mine, m.inputs);
      __syncwarp();
      if (lane_ == 0) barrier_arrive(ring_.empty(c));
      c.advance(1, p_.stages);
    }
    if (live && lane_ == 0) finish_row(product, row, v, up, layer, epoch, word);
  }
  cursor_ = c;
  mark(op_index(product, layer), 3);
  sync();  // nobody reads these activations any more
  mark(op_index(product, layer), 1);
}

}  // namespace awq::cuda::fused
