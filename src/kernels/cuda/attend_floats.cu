// Attention of many rows over an f32 cache: 64 pairs a block, keys and values in tiles that its threads share.
// Sums and products are those of f32: what measures a model (perplexity, calibration) keeps such caches.
//
// Thread (x, y) of 16 x 16 has the pairs y + 16 i. Of a tile's scores it computes the keys x + 16 j, of the sums the
// inputs 4 x + 64 j .. + 3, so that the words which eight neighbours read lie in different banks.
#include <algorithm>

#include "kernels/cuda/attend.cuh"

namespace awq::cuda {
namespace {

constexpr int kSide = 16, kFloatThreads = kSide * kSide;
constexpr int kMine = kTilePairs / kSide;  // pairs of a thread

// Keys of a tile and the place of its rows in shared memory: queries, keys or values, weights.
template <int kDim>
struct FloatTiling {
  static constexpr int kKeys = kDim <= 64 ? 64 : kDim <= 128 ? 32 : 16;
  static constexpr int kStride = kDim + 4, kWeightStride = kKeys + 4;
  static constexpr size_t kBytes =
      static_cast<size_t>((kTilePairs + kKeys) * kStride + kTilePairs * kWeightStride) * sizeof(float);
};

__device__ inline float4& word(float* row) { return *reinterpret_cast<float4*>(row); }

__device__ inline float dot(float4 x, float4 y, float sum) {
  sum += x.x * y.x;
  sum += x.y * y.y;
  sum += x.z * y.z;
  return sum + x.w * y.w;
}
__device__ inline void add(float4& sum, float w, float4 v) {
  sum.x += w * v.x, sum.y += w * v.y, sum.z += w * v.z, sum.w += w * v.w;
}

// `count` rows of head_dim floats, zeros beyond it; row(r) is where one begins, or null for a row of zeros.
template <int kDim, class F>
__device__ inline void fetch_rows(float* to, int count, int head_dim, const F& row) {
  constexpr int kWords = kDim / 4;
  for (int i = threadIdx.x; i < count * kWords; i += kFloatThreads) {
    const int r = i / kWords, c = i % kWords * 4;
    const float* from = c < head_dim ? row(r) : nullptr;
    word(to + r * FloatTiling<kDim>::kStride + c) =
        from == nullptr ? float4{} : *reinterpret_cast<const float4*>(from + c);
  }
}

// The largest, or the sum, over the threads of a pair: 16 neighbours.
template <class F>
__device__ inline float over_side(float x, const F& f) {
  for (int lanes = kSide / 2; lanes > 0; lanes /= 2) x = f(x, __shfl_xor_sync(~0u, x, lanes));
  return x;
}

template <int kDim>
__global__ void __launch_bounds__(kFloatThreads) attend_floats(Attend a) {
  using Tile = FloatTiling<kDim>;
  constexpr int kKeys = Tile::kKeys, kTheirs = kKeys / kSide, kWords = kDim / 64;
  extern __shared__ __align__(16) float floats[];
  float *queries = floats, *rows = queries + kTilePairs * Tile::kStride;
  float* weights = rows + kKeys * Tile::kStride;
  const int x = threadIdx.x % kSide, y = threadIdx.x / kSide;
  // The last rows see the most keys: they go first.
  const int first = static_cast<int>(gridDim.x - 1 - blockIdx.x) * kTilePairs;
  const int last = min(first + kTilePairs, a.pairs()) - 1;
  const int64_t first_position = a.past + first / a.shared_heads();
  const int64_t last_position = a.past + last / a.shared_heads();
  const float* k = static_cast<const float*>(a.k) + blockIdx.y * a.head_stride;
  const float* v = static_cast<const float*>(a.v) + blockIdx.y * a.head_stride;

  const int64_t begin = first_key(a, first_position), end = end_key(a, last_position);
  const int64_t tiles = (end - begin + kKeys - 1) / kKeys;
  const int64_t part = (tiles + a.splits - 1) / a.splits;
  const int64_t from = blockIdx.z * part, to = min(tiles, from + part);

  Pair pairs[kMine] = {{a, first + y}, {a, first + y + kSide}, {a, first + y + 2 * kSide},
                       {a, first + y + 3 * kSide}};
  float4 sums[kMine][kWords] = {};
  fetch_rows<kDim>(queries, kTilePairs, a.head_dim, [&](int r) -> const float* {
    if (first + r >= a.pairs()) return nullptr;
    const Pair pair(a, first + r);
    return a.q + pair.row * a.q_stride + pair.head * a.head_dim;
  });
  for (int64_t tile = from; tile < to; ++tile) {
    const int64_t key = begin + tile * kKeys;
    const auto row_of = [&](const float* all) {
      return [=](int r) { return key + r < end ? all + (key + r) * a.head_dim : nullptr; };
    };
    fetch_rows<kDim>(rows, kKeys, a.head_dim, row_of(k));
    __syncthreads();
    float s[kMine][kTheirs] = {};
#pragma unroll 4
    for (int c = 0; c < kDim; c += 4) {
      float4 theirs[kTheirs];
#pragma unroll
      for (int j = 0; j < kTheirs; ++j) theirs[j] = word(rows + (x + kSide * j) * Tile::kStride + c);
#pragma unroll
      for (int i = 0; i < kMine; ++i) {
        const float4 q = word(queries + (y + kSide * i) * Tile::kStride + c);
#pragma unroll
        for (int j = 0; j < kTheirs; ++j) s[i][j] = dot(q, theirs[j], s[i][j]);
      }
    }
    const bool whole =
        key >= first_key(a, last_position) && key + kKeys <= end_key(a, first_position);
#pragma unroll
    for (int i = 0; i < kMine; ++i) {
      Pair& pair = pairs[i];
      float most = pair.most;
#pragma unroll
      for (int j = 0; j < kTheirs; ++j) {
        s[i][j] = pair.score(a, s[i][j], key + x + kSide * j, whole);
        most = fmaxf(most, s[i][j]);
      }
      most = over_side(most, [](float p, float q) { return fmaxf(p, q); });
      const float base = most == -INFINITY ? 0 : most;  // nothing seen yet: all weights are 0
      const float kept = expf(pair.most - base);
      float total = 0;
#pragma unroll
      for (int j = 0; j < kTheirs; ++j) {
        const float weight = expf(s[i][j] - base);
        weights[(y + kSide * i) * Tile::kWeightStride + x + kSide * j] = weight;
        total += weight;
      }
      pair.total = pair.total * kept + total;
      pair.most = most;
#pragma unroll
      for (int j = 0; j < kWords; ++j) {
        sums[i][j].x *= kept, sums[i][j].y *= kept, sums[i][j].z *= kept, sums[i][j].w *= kept;
      }
    }
    __syncthreads();  // the weights are there, and nobody needs the keys
    fetch_rows<kDim>(rows, kKeys, a.head_dim, row_of(v));
    __syncthreads();
#pragma unroll 2
    for (int at = 0; at < kKeys; at += 4) {
      float4 w[kMine];
#pragma unroll
      for (int i = 0; i < kMine; ++i) {
        w[i] = word(weights + (y + kSide * i) * Tile::kWeightStride + at);
      }
#pragma unroll
      for (int j = 0; j < kWords; ++j) {
        float* column = rows + at * Tile::kStride + x * 4 + j * 64;
        const float4 values[4] = {word(column), word(column + Tile::kStride),
                                  word(column + 2 * Tile::kStride), word(column + 3 * Tile::kStride)};
#pragma unroll
        for (int i = 0; i < kMine; ++i) {
          add(sums[i][j], w[i].x, values[0]);
          add(sums[i][j], w[i].y, values[1]);
          add(sums[i][j], w[i].z, values[2]);
          add(sums[i][j], w[i].w, values[3]);
        }
      }
    }
    __syncthreads();  // nobody needs the values and the weights
  }
#pragma unroll
  for (int i = 0; i < kMine; ++i) {
    const Pair& pair = pairs[i];
    const float total = over_side(pair.total, [](float p, float q) { return p + q; });
    if (pair.row >= a.rows) continue;
    float* out = a.out + pair.row * a.out_stride + pair.head * a.head_dim;
    float factor = 1 / total;
    if (a.partial != nullptr) {
      out = partial_sums(a, static_cast<int>(blockIdx.z), pair.row, pair.head);
      factor = 1;
      if (x == 0) {
        out[a.head_dim] = pair.most;
        out[a.head_dim + 1] = total;
      }
    }
#pragma unroll
    for (int j = 0; j < kWords; ++j) {
      const int c = x * 4 + j * 64;
      const float4 sum = sums[i][j];
      if (c >= a.head_dim) continue;
      out[c] = sum.x * factor, out[c + 1] = sum.y * factor;
      out[c + 2] = sum.z * factor, out[c + 3] = sum.w * factor;
    }
  }
}

template <int kDim>
void launch_dim(CudaDevice& device, const Attend& a) {
  launch_attend(device, a, attend_floats<kDim>, kTilePairs, kFloatThreads, FloatTiling<kDim>::kBytes,
                "attention in floats");
}

}  // namespace

bool floats_attend(const Attend& a) {
  const auto aligned = [](const void* p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; };
  return a.head_dim % 4 == 0 && a.head_dim <= 256 && a.head_stride % 4 == 0 && a.q_stride % 4 == 0 &&
         aligned(a.k) && aligned(a.v) && aligned(a.q);
}

void launch_floats(CudaDevice& device, const Attend& a) {
  if (a.head_dim <= 64) {
    launch_dim<64>(device, a);
  } else if (a.head_dim <= 128) {
    launch_dim<128>(device, a);
  } else {
    launch_dim<256>(device, a);
  }
}

}  // namespace awq::cuda
