// A matrix of the layer: this block's chunks from the ring, one reduction over the warps per batch
// of strips, then a warp a strip finishes it: bias-free epilogues of the five kinds, posted as
// messages.
#pragma once

#include "kernels/cuda/decode/consumer.cuh"

namespace awq::cuda::fused {

// Chunks [begin, end) of a strip; the cursor moves on past them.
template <class S>
__device__ __forceinline__ void Consumer<S>::multiply(int tiles, int begin, int end,
                                                      float (&y)[2][2]) {
  const int team = warp_ / kChunkTiles, place = warp_ % kChunkTiles;
  const int skip = (team - begin) & (S::kTeams - 1);
  const uint32_t x = ring_.base + p_.at.x + (lane_ & 3) * 16;
  const uint32_t sums = ring_.base + p_.at.sums_of_x;
  Cursor c = cursor_;
  c.advance(skip, p_.stages);
  for (int chunk = begin + skip; chunk < end; chunk += S::kTeams) {
    barrier_wait(ring_.full(c), c.phase, "a chunk");
    __syncwarp();
    const int tile = chunk * kChunkTiles + place;
    if (tile < tiles) {
      const uint32_t slot = ring_.slot(c);
      multiply_tile<S::kGroups, S::kRaw>(
          slot + place * kCodeBytes,
          slot + kChunkTiles * kCodeBytes + place * (S::kGroups * kMetaBytes), x + tile * 256,
          sums + tile * (S::kGroups * 4), lane_, y);
    }
    __syncwarp();
    if (lane_ == 0) barrier_arrive(ring_.empty(c));
    c.advance(S::kTeams, p_.stages);
  }
  cursor_.advance(end - begin, p_.stages);
}

template <class S>
template <Product kProduct>
__device__ __forceinline__ const float* Consumer<S>::residual_of(int row) const {
  return (kProduct == kO ? p_.x_attn : p_.x_ffn) + row;
}

template <class S>
template <Product kProduct>
__device__ __forceinline__ void Consumer<S>::run_matrix(int layer, uint32_t epoch) {
  constexpr int kWide = kProduct == kGateUp ? 2 : 1;
  constexpr bool kNorm = kProduct == kQkv || kProduct == kGateUp || kProduct == kHead;
  constexpr bool kResidual = kProduct == kO || kProduct == kDown;
  forget();
  const MatrixArgs& m = p_.matrix[kProduct];
  const Share share(p_, starts_, kProduct, layer);
  const int first_unit = share.begin / m.chunks;
  const int count = share.begin < share.end ? (share.end - 1) / m.chunks + 1 - first_unit : 0;
  // Item i is warp i % kWarps's to finish. Its residual has been there for long: on its way
  // already.
  uint32_t word = 0;
  if (kResidual && warp_ < count) {
    const int row = (first_unit + warp_) * 32 + lane_;
    if (row < m.rows && (kProduct == kDown || layer > 0)) {
      word = load_word(residual_of<kProduct>(row));
    }
  }
  int first = 0;
  do {
    // The end of a unit that the share before began goes out at once: somebody waits for it.
    int end = min(count, first + kBatchStrips / kWide);
    if (first == 0 && count > 1 && share.begin > first_unit * m.chunks) end = 1;
    float* sums = at<float>(p_.at.sums_of_rows) + sums_ * (kBatchStrips * kWarps * 32);
    for (int item = first; item < end; ++item) {
      const int start = (first_unit + item) * m.chunks;
      const int from = max(share.begin - start, 0), to = min(share.end - start, m.chunks);
      for (int s = 0; s < kWide; ++s) {
        float y[2][2] = {};
        multiply(m.tiles, from, to, y);
        float* mine = sums + (((item - first) * kWide + s) * kWarps + warp_) * 32 + lane_ / 4;
        if (lane_ % 4 == 0) {
          mine[0] = y[0][0];
          mine[8] = y[0][1];
          mine[16] = y[1][0];
          mine[24] = y[1][1];
        }
      }
    }
    sync();
    if (first == 0) mark(op_index<kProduct>(layer), 1);
    if (kNorm && first == 0) read_squares();
    for (int item = first + ((warp_ - first) & (kWarps - 1)); item < end; item += kWarps) {
      finish<kProduct>(share, first_unit + item, item - first, layer, epoch, item == warp_, word);
    }
    sums_ ^= 1;
    first = end;
  } while (first < count);
}

// Unit `unit`, whose partial sums lie at place `slot` of the batch: lane = row.
template <class S>
template <Product kProduct>
__device__ __forceinline__ void Consumer<S>::finish(const Share& share, int unit, int slot,
                                                    int layer, uint32_t epoch, bool prefetched,
                                                    uint32_t word) {
  constexpr int kWide = kProduct == kGateUp ? 2 : 1;
  constexpr bool kNorm = kProduct == kQkv || kProduct == kGateUp || kProduct == kHead;
  const MatrixArgs& m = p_.matrix[kProduct];
  const float* sums = at<float>(p_.at.sums_of_rows) + sums_ * (kBatchStrips * kWarps * 32) +
                      slot * kWide * kWarps * 32 + lane_;
  float* parts = p_.parts + kProduct * static_cast<int>(gridDim.x) * 64 + lane_;
  const int begin = unit * m.chunks, end = begin + m.chunks;
  float v[kWide];
#pragma unroll
  for (int s = 0; s < kWide; ++s) {
    float a = 0, b = 0;
#pragma unroll
    for (int w = 0; w < kWarps; w += 2) {
      a += sums[(s * kWarps + w) * 32];
      b += sums[(s * kWarps + w + 1) * 32];
    }
    v[s] = kNorm ? (a + b) * inverse_ : a + b;
    if (share.begin > begin) post(parts + share.index * 64 + s * 32, v[s], epoch);
  }
  if (share.begin > begin) return;
  if (share.end < end) {  // the unit goes on in the shares that follow
    const uint32_t* starts = starts_ + kProduct * (gridDim.x + 1);
    for (int k = share.index + 1; k < gridDim.x && static_cast<int>(starts[k]) < end; ++k) {
      if (starts[k] == starts[k + 1]) continue;
#pragma unroll
      for (int s = 0; s < kWide; ++s) v[s] += await(parts + k * 64 + s * 32, epoch);
    }
  }
  const int row = unit * 32 + lane_;
  if (row >= m.rows) return;
  if constexpr (kProduct == kQkv) {
    post(p_.qkv + row, v[0], epoch);
  } else if constexpr (kProduct == kGateUp) {
    post(p_.act + row, v[0] / (1 + __expf(-v[0])) * v[1], epoch);
  } else if constexpr (kProduct == kHead) {
    p_.logits[row] = v[0];
    best_.take(v[0], row);
  } else {
    float residual;
    if (kProduct == kO && layer == 0) {
      residual =
          embedded_one(p_.embed, p_.embed_kind, static_cast<int64_t>(token_) * p_.hidden + row);
    } else {
      // x_attn of this layer was posted as the output of the layer before.
      const uint32_t posted = kProduct == kO ? epoch - 1 : epoch;
      const float* from = residual_of<kProduct>(row);
      residual = await(from, posted, prefetched ? word : load_word(from));
    }
    const float x = residual + v[0];
    post((kProduct == kO ? p_.x_ffn : p_.x_attn) + row, x, epoch);
  }
}

}  // namespace awq::cuda::fused
