// What the warps that calculate have in common, and how activations reach them.
//
// A warp has two neighbouring tiles of every chunk of its team. It needs only its own tiles'
// activations, fetches them itself and waits for nobody else of its block. Activations lie in shared memory in
// fixed point (tile.cuh), times the norm's weight; the norm's 1 / rms is applied to the sums. A
// head of halves takes halves, times a power of two as well that keeps them in range.
#pragma once

#include <cuda_bf16.h>

#include "kernels/cuda/decode/ring.cuh"
#include "kernels/cuda/decode/tile.cuh"

namespace awq::cuda::fused {

/// kExtras: also keys of codes and a wide head. Instances of their own: what others run through keeps its
/// size and its registers.
template <int kBits_, int kGroups_, int kHeadDim_, bool kExtras_>
struct Shape {
  static constexpr bool kExtras = kExtras_;
  static constexpr bool kHalves = kBits_ == 16;  ///< weights of half precision: rows.cuh
  static constexpr int kWarps = 8, kBits = kBits_, kGroups = kGroups_, kHeadDim = kHeadDim_;
  static constexpr int kTeams = kWarps / kTeamWarps;  ///< each takes every kTeams-th chunk
  static constexpr int kThreads = kWarps * 32;
};

__device__ __forceinline__ float warp_sum(float v, int lanes = 32) {
  for (int s = lanes / 2; s > 0; s /= 2) v += __shfl_xor_sync(~0u, v, s);
  return v;
}

struct Best {
  float value = -INFINITY;
  int index = 0x3fffffff;                                 // of none
  __device__ __forceinline__ void take(float v, int i) {  // the first of the largest; never a NaN
    if (v > value || (v == value && i < index)) {
      value = v;
      index = i;
    }
  }
  __device__ __forceinline__ void across(int lanes = 32) {
    for (int s = lanes / 2; s > 0; s /= 2) {
      const float v = __shfl_xor_sync(~0u, value, s);
      const int i = __shfl_xor_sync(~0u, index, s);
      take(v, i);
    }
  }
};

/// Four values of a row of the embedding.
__device__ __forceinline__ float4 embedded(const void* table, Table kind, int64_t at) {
  if (kind == Table::f32)
    return __ldg(reinterpret_cast<const float4*>(static_cast<const float*>(table) + at));
  const uint2 v = __ldg(reinterpret_cast<const uint2*>(static_cast<const uint16_t*>(table) + at));
  if (kind == Table::f16) {
    const float2 a = floats_of(v.x), b = floats_of(v.y);
    return {a.x, a.y, b.x, b.y};
  }
  return {__uint_as_float(v.x << 16), __uint_as_float(v.x & 0xffff0000u),
          __uint_as_float(v.y << 16), __uint_as_float(v.y & 0xffff0000u)};
}
__device__ __forceinline__ float embedded_one(const void* table, Table kind, int64_t at) {
  if (kind == Table::f32) return __ldg(static_cast<const float*>(table) + at);
  if (kind == Table::f16) return __half2float(__ldg(static_cast<const __half*>(table) + at));
  return __bfloat162float(__ldg(static_cast<const __nv_bfloat16*>(table) + at));
}

template <class S>
class Consumer {
 public:
  __device__ __forceinline__ Consumer(const StepParams& p, uint8_t* shared)
      : p_(p),
        shared_(shared),
        ring_(p, shared_address(shared)),
        starts_(reinterpret_cast<const uint32_t*>(shared + p.at.starts)),
        warp_(threadIdx.x / 32),
        lane_(threadIdx.x % 32) {}

  __device__ __forceinline__ void run();  // kernel.cuh

 private:
  __device__ __forceinline__ void run_product(int product, int layer, uint32_t epoch);  // kernel.cuh

  static constexpr int kWarps = S::kWarps, kHeadDim = S::kHeadDim;
  static constexpr int kBits = S::kBits, kGroups = S::kGroups;
  static constexpr int kUnitKeys = slot_keys(kBits, kHeadDim);
  static constexpr int kFactBytes = 4 * (1 + kGroups);  // of a tile's activations

  __device__ __forceinline__ bool key_codes() const { return S::kExtras && p_.key_codes; }

  // All warps but the producer's.
  __device__ __forceinline__ void sync() const {
    asm volatile("bar.sync 1, %0;" ::"n"(S::kThreads) : "memory");
  }
  // Makes the compiler forget what it knows of these: else it keeps every address of every phase of
  // a layer in registers across all layers, which there are none for.
  __device__ __forceinline__ void forget() { asm volatile("" : "+r"(lane_), "+r"(warp_)); }
  // A warp's tiles: two, then two more kPairStride further on.
  static constexpr int kPairStride = S::kTeams * kChunkTiles;
  __device__ __forceinline__ int first_tile() const {
    return warp_ / kTeamWarps * kChunkTiles + warp_ % kTeamWarps * 2;
  }
  __device__ __forceinline__ int thread() const { return warp_ * 32 + lane_; }
  template <class T>
  __device__ __forceinline__ T* at(int offset) const {
    return reinterpret_cast<T*>(shared_ + offset);
  }
  // Where a matrix stands in `times`: qkv, attention, o, gate/up, down of each layer, then the
  // head.
  __device__ __forceinline__ int op_index(int product, int layer) const {
    if (product == kHead) return p_.layers * 5;
    return layer * 5 + (product == kQkv ? 0 : product + 1);
  }
  // Clocks of a token: 0 the first warp has its input, 3 it has multiplied, 1 all have, 2 posted.
  __device__ __forceinline__ void mark(int op, int event) const {
    if (p_.times != nullptr && threadIdx.x == 0) {
      p_.times[(op * 4 + event) * gridDim.x + blockIdx.x] = clock64();
    }
  }

  // consumer.cuh: activations.
  template <bool kHalves, int kCount>
  __device__ __forceinline__ void store_tiles(const int (&tile)[kCount], int tiles,
                                              const float (&v)[kCount][4]);
  template <bool kNorm, bool kHalves = false>
  __device__ __forceinline__ void stage(const float* message, uint32_t epoch, const float* norm,
                                        const MatrixArgs& m);
  __device__ __forceinline__ void stage_embedding(const float* norm);
  __device__ __forceinline__ void scale_of_embedding();
  __device__ __forceinline__ void keep_squares(float squares);
  __device__ __forceinline__ void read_squares();

  // matrix.cuh
  template <int kTileBits, int kWarpTiles>
  __device__ __forceinline__ void multiply(int tiles, int begin, int end, float (&y)[2][2]);
  __device__ __forceinline__ void run_matrix(int product, int layer, uint32_t epoch);
  __device__ __forceinline__ void finish(int product, const Share& share, int unit, int slot,
                                         int layer, uint32_t epoch, bool prefetched, uint32_t word);

  // rows.cuh
  __device__ __forceinline__ float slot_row(const Cursor& c, int row, int inputs) const;
  __device__ __forceinline__ void finish_row(int product, int row, float v, float up, int layer,
                                             uint32_t epoch, uint32_t word);
  __device__ __forceinline__ void run_rows(int product, int layer, uint32_t epoch);

  // attend.cuh
  struct Flash;
  __device__ __forceinline__ void prepare_rope();
  __device__ __forceinline__ void stage_query(int head, bool last, int layer, uint32_t epoch);
  __device__ __forceinline__ void append_codes(int head, int layer);
  __device__ __forceinline__ void walk_keys(Flash& f, int part, int splits);
  __device__ __forceinline__ void merge_warps(const Flash& f, int unit, bool whole, uint32_t epoch);
  __device__ __forceinline__ void merge_blocks(int head, int part, int splits, uint32_t epoch);
  __device__ __forceinline__ void attend(int layer, uint32_t epoch);

  // head.cuh
  template <class T>
  __device__ __forceinline__ void run_table();
  __device__ __forceinline__ void run_head_table(uint32_t epoch);
  __device__ __forceinline__ void next_token(int step);

  const StepParams& p_;
  uint8_t* shared_;
  Ring ring_;
  const uint32_t* starts_;
  int warp_, lane_;
  Cursor cursor_;
  int sums_ = 0;       // which half of sums_of_rows
  int squares_ = 0;    // which half of squares
  float scale_ = 1;    // of staged activations under a norm: a power of two
  float inverse_ = 1;  // undoes it and divides by the rms
  int token_ = 0, position_ = 0;
  uint32_t step_ = 0;  // of all launches, from 1
  Best best_;
};

// Four values of each lane become the activations of a tile, or halves: of kCount tiles at once.
template <class S>
template <bool kHalves, int kCount>
__device__ __forceinline__ void Consumer<S>::store_tiles(const int (&tile)[kCount], int tiles,
                                                         const float (&v)[kCount][4]) {
  if constexpr (kHalves) {
    constexpr float kMost = 65504;  // a half's; beyond it there would be infinities
    const auto clamp = [](float x) { return fminf(fmaxf(x, -kMost), kMost); };
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      if (tile[i] >= tiles) continue;
      const __half2 a = __floats2half2_rn(clamp(v[i][0]), clamp(v[i][1]));
      const __half2 b = __floats2half2_rn(clamp(v[i][2]), clamp(v[i][3]));
      *at<uint2>(p_.at.x + tile[i] * 256 + lane_ * 8) = {*reinterpret_cast<const uint32_t*>(&a),
                                                        *reinterpret_cast<const uint32_t*>(&b)};
    }
  } else {
    TilePlace to[kCount];
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      to[i] = {ring_.base + p_.at.x + tile[i] * 256, ring_.base + p_.at.facts + tile[i] * kFactBytes,
               tile[i] < tiles};
    }
    store_activations<kBits, kGroups, kCount>(to, lane_, v);
  }
}

template <class S>
__device__ __forceinline__ void Consumer<S>::keep_squares(float squares) {
  squares = warp_sum(squares);
  if (lane_ == 0) at<float>(p_.at.squares)[squares_ * kWarps + warp_] = squares;
}

// After a barrier: every warp learns 1 / rms, and the power of two for the next norm's activations:
// near 1 / rms, less 2^4 of headroom for residuals that grow.
template <class S>
__device__ __forceinline__ void Consumer<S>::read_squares() {
  float total = lane_ < kWarps ? at<float>(p_.at.squares)[squares_ * kWarps + lane_] : 0;
  total = warp_sum(total);
  squares_ ^= 1;
  const float inverse = rsqrtf(total / static_cast<float>(p_.hidden) + p_.epsilon);
  inverse_ = inverse / scale_;
  scale_ = __uint_as_float(__float_as_uint(inverse) & 0x7f800000u) * 0.0625f;
}

// This warp's tiles of a message, four at a time: the loads of the next four are on their way while
// these are worked on. What was not there yet is asked for again, all together.
template <class S>
template <bool kNorm, bool kHalves>
__device__ __forceinline__ void Consumer<S>::stage(const float* message, uint32_t epoch,
                                                   const float* norm, const MatrixArgs& m) {
  constexpr int kCount = 4, kRound = kCount / 2 * kPairStride;
  const auto tile_of = [](int i) { return i / 2 * kPairStride + i % 2; };  // from a round's first
  forget();
  float squares = 0;
  uint4 v[kCount];
  float4 w[kNorm ? kCount : 1];
  const auto load = [&](int first) {
    const int place = first * 128 + lane_ * 4;
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      const bool live = place + tile_of(i) * 128 < m.inputs;
      v[i] = make_uint4(epoch, epoch, epoch, epoch);  // fresh zeros, nearly, where there is nothing
      load_words_if(live, v[i], message + place + tile_of(i) * 128);
      if constexpr (kNorm) {
        w[i] = make_float4(0, 0, 0, 0);
        if (live) w[i] = __ldg(reinterpret_cast<const float4*>(norm + place + tile_of(i) * 128));
      }
    }
  };
  int first = first_tile();
  if (first < m.tiles) load(first);
#pragma unroll 1
  for (; first < m.tiles; first += kRound) {
    const float* from = message + first * 128 + lane_ * 4;
    Spin spin;
    while (true) {
      bool all = true;
#pragma unroll
      for (int i = 0; i < kCount; ++i) all &= fresh(v[i], epoch);
      if (__all_sync(~0u, all)) break;
#pragma unroll
      for (int i = 0; i < kCount; ++i) {
        load_words_if(!fresh(v[i], epoch), v[i], from + tile_of(i) * 128);
      }
      spin.turn("activations of width", m.inputs);
    }
    int tile[kCount];
    float x[kCount][4];
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      tile[i] = first + tile_of(i);
      const bool live = tile[i] * 128 + lane_ * 4 < m.inputs;
      const uint32_t words[4] = {v[i].x, v[i].y, v[i].z, v[i].w};
#pragma unroll
      for (int k = 0; k < 4; ++k) x[i][k] = live ? value_of(words[k]) : 0;
      if constexpr (kNorm) {
        squares += (x[i][0] * x[i][0] + x[i][1] * x[i][1]) +
                   (x[i][2] * x[i][2] + x[i][3] * x[i][3]);
        x[i][0] *= w[i].x * scale_;
        x[i][1] *= w[i].y * scale_;
        x[i][2] *= w[i].z * scale_;
        x[i][3] *= w[i].w * scale_;
      }
    }
    if (first + kRound < m.tiles) load(first + kRound);
    __syncwarp();
    store_tiles<kHalves, kCount>(tile, m.tiles, x);
  }
  if (kNorm) keep_squares(squares);
  __syncwarp();
}

template <class S>
__device__ __forceinline__ void Consumer<S>::stage_embedding(const float* norm) {
  const MatrixArgs& m = p_.matrix[kQkv];
  forget();
  float squares = 0;
#pragma unroll 1
  for (int i = 0, tile = first_tile(); tile < m.tiles; ++i, tile += i % 2 ? 1 : kPairStride - 1) {
    const int place = tile * 128 + lane_ * 4;
    float x[4] = {};
    if (place < m.inputs) {
      const float4 v =
          embedded(p_.embed, p_.embed_kind, static_cast<int64_t>(token_) * p_.hidden + place);
      const float4 w = __ldg(reinterpret_cast<const float4*>(norm + place));
      squares += (v.x * v.x + v.y * v.y) + (v.z * v.z + v.w * v.w);
      x[0] = v.x * w.x * scale_;
      x[1] = v.y * w.y * scale_;
      x[2] = v.z * w.z * scale_;
      x[3] = v.w * w.w * scale_;
    }
    const int one[1] = {tile};
    const float values[1][4] = {{x[0], x[1], x[2], x[3]}};
    store_tiles<S::kHalves, 1>(one, m.tiles, values);
  }
  keep_squares(squares);
  __syncwarp();
}

// The first norm of a token has no norm before it to take the scale from.
template <class S>
__device__ __forceinline__ void Consumer<S>::scale_of_embedding() {
  forget();
  float squares = 0;
#pragma unroll 1
  for (int place = thread() * 4; place < p_.hidden; place += S::kThreads * 4) {
    const float4 v =
        embedded(p_.embed, p_.embed_kind, static_cast<int64_t>(token_) * p_.hidden + place);
    squares += (v.x * v.x + v.y * v.y) + (v.z * v.z + v.w * v.w);
  }
  keep_squares(squares);
  sync();
  scale_ = 1;
  read_squares();
}

}  // namespace awq::cuda::fused
