// Attention of many rows over an f16 cache with the tensor cores: 64 pairs a block, 16 a warp, keys
// and values in tiles that are fetched while the other ones are multiplied.
//
// Products are as good as in f32: q and the softmax's weights are split into two halves whose sum
// they are, keys and values are halves to begin with, and sums are f32.
#include "kernels/cuda/attend.cuh"
#include "kernels/cuda/tile_math.cuh"

namespace awq::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int kPad = 8;  // halves a row in shared memory, so that ldmatrix meets no bank twice
constexpr float kLog2e = 1.44269504f;

__device__ inline void copy_16(__half* to, const __half* from, bool there) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from),
               "r"(there ? 16 : 0));
}
__device__ inline void wait_for_copies() { asm volatile("cp.async.wait_all;" ::: "memory"); }

__device__ inline void load_matrices(uint32_t (&r)[4], const __half* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
}
__device__ inline void load_transposed(uint32_t (&r)[4], const __half* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
}

// Two floats as halves, and what the halves left of them.
__device__ inline void split(float x, float y, uint32_t& high, uint32_t& low) {
  const __half2 h = __floats2half2_rn(x, y);
  const __half2 l = __floats2half2_rn(x - __low2float(h), y - __high2float(h));
  high = *reinterpret_cast<const uint32_t*>(&h);
  low = *reinterpret_cast<const uint32_t*>(&l);
}

// Pairs of a block, keys of a tile and its place in shared memory.
template <int kDim>
struct Tiling {
  static constexpr int kKeys = kDim <= 128 ? 64 : 16;  // what 100 KB of shared memory allow
  static constexpr int kStride = kDim + kPad;
  static constexpr size_t kBytes =
      static_cast<size_t>(2 * kTilePairs + 2 * kKeys) * kStride * sizeof(__half);
};

template <int kDim>
__device__ inline void load_queries(const Attend& a, int first, __half* high, __half* low) {
  for (int i = threadIdx.x; i < kTilePairs * kDim; i += kThreads) {
    const int r = i / kDim, c = i % kDim, pair = first + r;
    float value = 0;
    if (pair < a.pairs() && c < a.head_dim) {
      const int head = static_cast<int>(blockIdx.y) * a.shared_heads() + pair % a.shared_heads();
      value = a.q[pair / a.shared_heads() * a.q_stride + head * a.head_dim + c];
    }
    const __half rounded = __float2half_rn(value);
    high[r * Tiling<kDim>::kStride + c] = rounded;
    low[r * Tiling<kDim>::kStride + c] = __float2half_rn(value - __half2float(rounded));
  }
}

// Keys or values key .. key + kKeys - 1; zeros beyond `end` and beyond the head.
template <int kDim>
__device__ inline void fetch(__half* to, const __half* from, int64_t key, int64_t end,
                             int head_dim) {
  constexpr int kWords = kDim / 8;
  for (int i = threadIdx.x; i < Tiling<kDim>::kKeys * kWords; i += kThreads) {
    const int r = i / kWords, c = i % kWords * 8;
    const bool there = key + r < end && c < head_dim;
    copy_16(to + r * Tiling<kDim>::kStride + c, from + (there ? (key + r) * head_dim + c : 0),
            there);
  }
}

// s[n] = 16 pairs x 8 keys: q k^T.
template <int kDim, int kTiles>
__device__ inline void dot_keys(float (&s)[kTiles][4], const __half* high, const __half* low,
                                const __half* keys) {
  constexpr int kStride = Tiling<kDim>::kStride;
  const int lane = threadIdx.x % 32;
  const int a_at = lane % 16 * kStride + lane / 16 * 8;
  const int b_at = (lane % 8 + lane / 16 * 8) * kStride + lane / 8 % 2 * 8;
#pragma unroll
  for (int n = 0; n < kTiles; ++n) s[n][0] = s[n][1] = s[n][2] = s[n][3] = 0;
#pragma unroll 4
  for (int k = 0; k < kDim; k += 16) {
    uint32_t h[4], l[4], b[4];
    load_matrices(h, high + a_at + k);
    load_matrices(l, low + a_at + k);
#pragma unroll
    for (int n = 0; n < kTiles; n += 2) {
      load_matrices(b, keys + b_at + n * 8 * kStride + k);
      mma(s[n], h, b[0], b[1]);
      mma(s[n], l, b[0], b[1]);
      mma(s[n + 1], h, b[2], b[3]);
      mma(s[n + 1], l, b[2], b[3]);
    }
  }
}

// out += p v, p as dot_keys and the softmax left it.
template <int kDim, int kTiles>
__device__ inline void add_values(float (&out)[kDim / 8][4], const float (&p)[kTiles][4],
                                  const __half* values) {
  constexpr int kStride = Tiling<kDim>::kStride;
  const int lane = threadIdx.x % 32;
  const int b_at = lane % 16 * kStride + lane / 16 * 8;
#pragma unroll
  for (int k = 0; k < kTiles; k += 2) {
    uint32_t h[4], l[4], b[4];
    split(p[k][0], p[k][1], h[0], l[0]);
    split(p[k][2], p[k][3], h[1], l[1]);
    split(p[k + 1][0], p[k + 1][1], h[2], l[2]);
    split(p[k + 1][2], p[k + 1][3], h[3], l[3]);
#pragma unroll
    for (int n = 0; n < kDim / 8; n += 2) {
      load_transposed(b, values + b_at + k * 8 * kStride + n * 8);
      mma(out[n], h, b[0], b[1]);
      mma(out[n], l, b[0], b[1]);
      mma(out[n + 1], h, b[2], b[3]);
      mma(out[n + 1], l, b[2], b[3]);
    }
  }
}

// A thread holds parts of the scores of two pairs: rows g and g + 8 of its warp's 16. Scores to weights of a
// softmax in progress; returns what the sums so far are multiplied by. `e`
// is the first of the pair's two elements of each s[n]; `whole`: it sees every key of the tile.
template <int kTiles>
__device__ inline float weigh(const Attend& a, Pair& pair, float (&s)[kTiles][4], int e,
                              int64_t key, bool whole) {
  float most = pair.most;
#pragma unroll
  for (int n = 0; n < kTiles; ++n) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int64_t at = key + n * 8 + threadIdx.x % 4 * 2 + i;
      s[n][e + i] = pair.score(a, s[n][e + i], at, whole);
      most = fmaxf(most, s[n][e + i]);
    }
  }
  most = fmaxf(most, __shfl_xor_sync(~0u, most, 1));
  most = fmaxf(most, __shfl_xor_sync(~0u, most, 2));
  const float base = most == -INFINITY ? 0 : most;  // nothing seen yet: all weights are 0
  const float kept = exp2f((pair.most - base) * kLog2e);
  float total = 0;
#pragma unroll
  for (int n = 0; n < kTiles; ++n) {
#pragma unroll
    for (int i = 0; i < 2; ++i) total += s[n][e + i] = exp2f((s[n][e + i] - base) * kLog2e);
  }
  pair.total = pair.total * kept + total;
  pair.most = most;
  return kept;
}

template <int kDim>
__device__ inline void store(const Attend& a, Pair& pair, const float (&out)[kDim / 8][4], int e) {
  pair.total += __shfl_xor_sync(~0u, pair.total, 1);
  pair.total += __shfl_xor_sync(~0u, pair.total, 2);
  if (pair.row >= a.rows) return;
  float* to = a.out + pair.row * a.out_stride + pair.head * a.head_dim;
  float factor = 1 / pair.total;
  if (a.partial != nullptr) {
    to = partial_sums(a, static_cast<int>(blockIdx.z), pair.row, pair.head);
    factor = 1;
    if (threadIdx.x % 4 == 0) {
      to[a.head_dim] = pair.most;
      to[a.head_dim + 1] = pair.total;
    }
  }
#pragma unroll
  for (int n = 0; n < kDim / 8; ++n) {
    const int i = n * 8 + threadIdx.x % 4 * 2;
    if (i >= a.head_dim) continue;
    to[i] = out[n][e] * factor;
    to[i + 1] = out[n][e + 1] * factor;
  }
}

template <int kDim>
__global__ void __launch_bounds__(kThreads) attend_tiles(Attend a) {
  constexpr int kKeys = Tiling<kDim>::kKeys, kStride = Tiling<kDim>::kStride, kTiles = kKeys / 8;
  extern __shared__ __align__(16) __half memory[];
  __half *high = memory, *low = high + kTilePairs * kStride;
  __half *keys = low + kTilePairs * kStride, *values = keys + kKeys * kStride;
  const int warp = threadIdx.x / 32, own = warp * 16 * kStride;
  // The last rows see the most keys: they go first.
  const int first = static_cast<int>(gridDim.x - 1 - blockIdx.x) * kTilePairs;
  const int last = min(first + kTilePairs, a.pairs()) - 1;
  const int64_t first_position = a.past + first / a.shared_heads();
  const int64_t last_position = a.past + last / a.shared_heads();
  const __half* k = static_cast<const __half*>(a.k) + blockIdx.y * a.head_stride;
  const __half* v = static_cast<const __half*>(a.v) + blockIdx.y * a.head_stride;

  const int64_t begin = first_key(a, first_position), end = end_key(a, last_position);
  const int64_t tiles = (end - begin + kKeys - 1) / kKeys;
  const int64_t part = (tiles + a.splits - 1) / a.splits;
  const int64_t from = blockIdx.z * part, to = min(tiles, from + part);

  const int pair = first + warp * 16 + threadIdx.x % 32 / 4;
  Pair upper(a, pair), lower(a, pair + 8);
  float out[kDim / 8][4] = {};
  if (from < to) fetch<kDim>(keys, k, begin + from * kKeys, end, a.head_dim);
  load_queries<kDim>(a, first, high, low);
  for (int64_t tile = from; tile < to; ++tile) {
    const int64_t key = begin + tile * kKeys;
    wait_for_copies();
    __syncthreads();  // the keys are there, and nobody needs the last values
    fetch<kDim>(values, v, key, end, a.head_dim);
    float s[kTiles][4];
    dot_keys<kDim>(s, high + own, low + own, keys);
    const bool whole =
        key >= first_key(a, last_position) && key + kKeys <= end_key(a, first_position);
    const float keep_upper = weigh(a, upper, s, 0, key, whole);
    const float keep_lower = weigh(a, lower, s, 2, key, whole);
#pragma unroll
    for (int n = 0; n < kDim / 8; ++n) {
      out[n][0] *= keep_upper, out[n][1] *= keep_upper;
      out[n][2] *= keep_lower, out[n][3] *= keep_lower;
    }
    wait_for_copies();
    __syncthreads();  // the values are there, and nobody needs these keys
    if (tile + 1 < to) fetch<kDim>(keys, k, key + kKeys, end, a.head_dim);
    add_values<kDim>(out, s, values);
  }
  store<kDim>(a, upper, out, 0);
  store<kDim>(a, lower, out, 2);
}

template <int kDim>
void launch(CudaDevice& device, const Attend& a) {
  launch_attend(device, a, attend_tiles<kDim>, kTilePairs, kThreads, Tiling<kDim>::kBytes,
                "attention");
}

}  // namespace

bool tiles_attend(const Attend& a) {
  const auto aligned = [](const void* p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; };
  return a.head_dim % 8 == 0 && a.head_dim <= 256 && a.head_stride % 8 == 0 && aligned(a.k) &&
         aligned(a.v);
}

void launch_tiles(CudaDevice& device, const Attend& a) {
  if (a.head_dim <= 64) {
    launch<64>(device, a);
  } else if (a.head_dim <= 96) {
    launch<96>(device, a);
  } else if (a.head_dim <= 128) {
    launch<128>(device, a);
  } else {
    launch<256>(device, a);
  }
}

}  // namespace awq::cuda
