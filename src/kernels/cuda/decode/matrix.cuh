// A matrix of the layer: this block's chunks from the ring, one reduction over the warps per batch
// of strips, then a warp a strip finishes it: bias-free epilogues of the five kinds, posted as
// messages.
#pragma once

#include "kernels/cuda/decode/consumer.cuh"

namespace awq::cuda::fused {

// Chunks [begin, end) of a strip; the cursor moves on past them. A warp has kWarpTiles neighbouring
// tiles of a chunk, all loaded before the first is multiplied.
template <class S>
template <int kTileBits, int kWarpTiles>
__device__ __forceinline__ void Consumer<S>::multiply(int tiles, int begin, int end,
                                                      float (&y)[2][2]) {
  using Bytes = TileBytes<kTileBits, kGroups>;
  constexpr int kTiles = kWarpTiles * kTeamWarps;  // of a chunk
  const int team = warp_ / kTeamWarps, place = warp_ % kTeamWarps * kWarpTiles;
  const int skip = (team - begin) & (S::kTeams - 1);
  const uint32_t x = ring_.base + p_.at.x + lane_planes(lane_);
  const uint32_t facts = ring_.base + p_.at.facts;
  Cursor c = cursor_;
  c.advance(skip, p_.stages);
#pragma unroll 1
  for (int chunk = begin + skip; chunk < end; chunk += S::kTeams) {
    const int tile = chunk * kTiles + place;
    const uint32_t codes = ring_.slot(c) + place * Bytes::kCodes;
    const uint32_t meta = ring_.slot(c) + kTiles * Bytes::kCodes + place * Bytes::kMeta;
    warp_wait(ring_.full(c), c.phase, "a chunk");
    if (kWarpTiles == 2 && tile + 1 < tiles) {
      TileCodes<kTileBits> first, second;
      first.load(codes, lane_);
      second.load(codes + Bytes::kCodes, lane_);
      multiply_tile<kTileBits, kGroups>(first, meta, x + tile * 256, facts + tile * kFactBytes,
                                        lane_, y);
      multiply_tile<kTileBits, kGroups>(second, meta + Bytes::kMeta, x + tile * 256 + 256,
                                        facts + (tile + 1) * kFactBytes, lane_, y);
    } else if (tile < tiles) {
      TileCodes<kTileBits> first;
      first.load(codes, lane_);
      multiply_tile<kTileBits, kGroups>(first, meta, x + tile * 256, facts + tile * kFactBytes,
                                        lane_, y);
    }
    __syncwarp();
    if (lane_ == 0) barrier_arrive(ring_.empty(c), S::kTeams);
    c.advance(S::kTeams, p_.stages);
  }
  cursor_.advance(end - begin, p_.stages);
}

template <class S>
__device__ __forceinline__ void Consumer<S>::run_matrix(int product, int layer, uint32_t epoch) {
  forget();
  const int wide = product == kGateUp ? 2 : 1;
  const MatrixArgs& m = p_.matrix[product];
  const Share share(p_, starts_, product, layer);
  const int first_unit = m.unit_of(share.begin);
  const int count = share.begin < share.end ? m.unit_of(share.end - 1) + 1 - first_unit : 0;
  // Item i is warp i % kWarps's to finish. Its residual has been there for long: on its way
  // already.
  uint32_t word = 0;
  if ((product == kDown || (product == kO && layer > 0)) && warp_ < count) {
    const int row = (first_unit + warp_) * 32 + lane_;
    if (row < m.rows) word = load_word((product == kO ? p_.x_attn : p_.x_ffn) + row);
  }
  constexpr bool kMayBeWide = kBits == 4 && S::kExtras;
  bool wide_head = false;
  if constexpr (kMayBeWide) wide_head = product == kHead && p_.wide_head;
  if (wide_head) sync();  // its tiles are dealt to other warps than those that fetched their inputs
  int first = 0;
  do {
    // The end of a unit that the share before began goes out at once: somebody waits for it.
    int end = min(count, first + kBatchStrips / wide);
    if (first == 0 && count > 1 && share.begin > first_unit * m.chunks) end = 1;
    float* sums = at<float>(p_.at.sums_of_rows) + sums_ * (kBatchStrips * kWarps * 32) +
                  warp_ * 32 + lane_ / 4;
#pragma unroll 1
    for (int strip = first * wide; strip < end * wide; ++strip) {
      const int start = (first_unit + (product == kGateUp ? strip / 2 : strip)) * m.chunks;
      float y[2][2] = {};
      const int begin = max(share.begin - start, 0), chunks = min(share.end - start, m.chunks);
      if constexpr (kMayBeWide) {
        if (wide_head) {
          multiply<kHeadBits, kHeadChunkTiles / kTeamWarps>(m.tiles, begin, chunks, y);
        } else {
          multiply<kBits, kChunkTiles / kTeamWarps>(m.tiles, begin, chunks, y);
        }
      } else {
        multiply<kBits, kChunkTiles / kTeamWarps>(m.tiles, begin, chunks, y);
      }
      if (lane_ % 4 == 0) {
        float* mine = sums + (strip - first * wide) * (kWarps * 32);
        mine[0] = y[0][0];
        mine[8] = y[0][1];
        mine[16] = y[1][0];
        mine[24] = y[1][1];
      }
    }
    if (first == 0) mark(op_index(product, layer), 3);
    sync();
    if (first == 0) {
      mark(op_index(product, layer), 1);
      if (product == kQkv || product == kGateUp || product == kHead) read_squares();
    }
#pragma unroll 1
    for (int item = first + ((warp_ - first) & (kWarps - 1)); item < end; item += kWarps) {
      finish(product, share, first_unit + item, item - first, layer, epoch, item == warp_, word);
    }
    sums_ ^= 1;
    first = end;
  } while (first < count);
}

// Unit `unit`, whose partial sums lie at place `slot` of the batch: lane = row.
template <class S>
__device__ __forceinline__ void Consumer<S>::finish(int product, const Share& share, int unit,
                                                    int slot, int layer, uint32_t epoch,
                                                    bool prefetched, uint32_t word) {
  const bool norm = product == kQkv || product == kGateUp || product == kHead;
  const bool wide = product == kGateUp;
  const MatrixArgs& m = p_.matrix[product];
  const float* sums = at<float>(p_.at.sums_of_rows) + sums_ * (kBatchStrips * kWarps * 32) +
                      (wide ? 2 * slot : slot) * kWarps * 32 + lane_;
  float* parts = p_.parts + product * static_cast<int>(gridDim.x) * 64 + lane_;
  const int begin = unit * m.chunks, end = begin + m.chunks;
  float v[2] = {};
#pragma unroll
  for (int s = 0; s < 2; ++s) {
    if (s == 1 && !wide) break;
    float a = 0, b = 0;
#pragma unroll
    for (int w = 0; w < kWarps; w += 2) {
      a += sums[(s * kWarps + w) * 32];
      b += sums[(s * kWarps + w + 1) * 32];
    }
    v[s] = norm ? (a + b) * inverse_ : a + b;
    if (share.begin > begin) post(parts + share.index * 64 + s * 32, v[s], epoch);
  }
  if (share.begin > begin) return;
  if (share.end < end) {  // the unit goes on in the shares that follow
    const uint32_t* starts = starts_ + product * (gridDim.x + 1);
#pragma unroll 1
    for (int k = share.index + 1; k < gridDim.x && static_cast<int>(starts[k]) < end; ++k) {
      if (starts[k] == starts[k + 1]) continue;
      v[0] += await(parts + k * 64, epoch);
      if (wide) v[1] += await(parts + k * 64 + 32, epoch);
    }
  }
  const int row = unit * 32 + lane_;
  if (row >= m.rows) return;
  if (product == kQkv) {
    post(p_.qkv + row, v[0], epoch);
  } else if (product == kGateUp) {
    post(p_.act + row, v[0] / (1 + __expf(-v[0])) * v[1], epoch);
  } else if (product == kHead) {
    p_.logits[row] = v[0];
    best_.take(v[0], row);
  } else {
    float residual;
    if (product == kO && layer == 0) {
      residual =
          embedded_one(p_.embed, p_.embed_kind, static_cast<int64_t>(token_) * p_.hidden + row);
    } else {
      // x_attn of this layer was posted as the output of the layer before.
      const float* from = (product == kO ? p_.x_attn : p_.x_ffn) + row;
      residual = await(from, product == kO ? epoch - 1 : epoch,
                       prefetched ? word : load_word(from));
    }
    post((product == kO ? p_.x_ffn : p_.x_attn) + row, residual + v[0], epoch);
  }
}

}  // namespace awq::cuda::fused
