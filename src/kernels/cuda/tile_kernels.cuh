// The kernels of products with weights in tiles, for one width of codes; tile_int*.cu instantiate.
//
// strips_kernel (1..8 tokens): a block owns whole strips; its eight warps take the strips' tiles in
//   turn from a ring in shared memory that one more warp keeps filled (Hopper: bulk copies; before:
//   each warp fills its own places). The weights do not depend on the kernel before, so the ring
//   fills while that one ends. Partial sums of the warps are added in fixed order.
// blocks_kernel (up to 64 tokens): a warp owns a strip for a share of the inputs, eight warps share
//   the activations of a step; shares of the inputs are added by sum_splits(), in fixed order.
// decode_kernel: tiles to rows of halves for cuBLAS.
#pragma once

#include <algorithm>
#include <type_traits>

#include "kernels/cuda/barriers.cuh"
#include "kernels/cuda/tile_math.cuh"
#include "kernels/cuda/tile_product.h"

namespace awq::cuda {
namespace {

constexpr int kThreads = kWarps * 32;
constexpr int kFlight = 3;  ///< stages on their way at once: more delays what x needs
constexpr int kMaxStages = 10;

/// The segment of a strip, and where the segment ends.
__device__ __forceinline__ int segment_of(const StripArgs& a, int strip) {
  return a.count > 2 && strip >= a.segments[2].first ? 2
         : a.count > 1 && strip >= a.segments[1].first ? 1
                                                       : 0;
}
__device__ __forceinline__ int segment_end(const StripArgs& a, int segment) {
  return segment + 1 < a.count ? a.segments[segment + 1].first : a.strips;
}

// ---- the ring of strips_kernel ----

template <int kBits, int kGroups>
struct Ring {
  using Bytes = TileBytes<kBits, kGroups>;
  static constexpr int kStage = kWarps * Bytes::kAll;  // codes of eight tiles, then their meta

  uint8_t* memory;
  uint64_t* barriers;  // full [stages], empty [stages]
  int stages, slot = 0;
  uint32_t phase = 0;
  int next = 0;  // before Hopper: the tile that the warp fetches next

  __device__ const uint8_t* codes(int warp) const {
    return memory + slot * kStage + warp * Bytes::kCodes;
  }
  __device__ const uint8_t* meta(int warp) const {
    return memory + slot * kStage + kWarps * Bytes::kCodes + warp * Bytes::kMeta;
  }
  __device__ void advance() {
    if (++slot == stages) slot = 0, phase ^= 1;
  }

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  __device__ uint32_t full(int s) const { return shared_address(barriers + s); }
  __device__ uint32_t empty(int s) const { return shared_address(barriers + stages + s); }
  __device__ void initialize() {
    if (threadIdx.x == 0) {
      for (int s = 0; s < stages; ++s) {
        barrier_init(full(s), 1);
        barrier_init(empty(s), kWarps);
      }
      asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    }
  }
  /// By one lane: all stages of tiles [begin, end), at most kFlight of them on their way.
  __device__ void produce(const StripArgs& a, int begin, int end) {
    uint64_t policy;  // nobody reads a weight twice
    asm("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
    int landed = 0, count = 0;
    uint32_t landed_phase = 0;
    phase = 1;  // waits for empty places pass at once in the first round
    for (int t = begin; t < end; t += kWarps) {
      const int tiles = min(kWarps, end - t);
      if (count++ >= kFlight) {
        barrier_wait(full(landed), landed_phase);
        if (++landed == stages) landed = 0, landed_phase ^= 1;
      }
      barrier_wait(empty(slot), phase);
      barrier_expect(full(slot), tiles * Bytes::kAll);
      uint8_t* codes = memory + slot * kStage;
      uint8_t* meta = codes + kWarps * Bytes::kCodes;
      for (int from = t; from < t + tiles;) {  // a stage may reach into the next segment
        const int i = segment_of(a, from / a.strip_tiles);
        const StripSegment& segment = a.segments[i];
        const int n = min(t + tiles, segment_end(a, i) * a.strip_tiles) - from;
        const int64_t at = from - segment.first * a.strip_tiles;
        bulk_copy(shared_address(codes), segment.codes + at * Bytes::kCodes, n * Bytes::kCodes,
                  full(slot), policy);
        bulk_copy(shared_address(meta), segment.meta + at * Bytes::kMeta, n * Bytes::kMeta,
                  full(slot), policy);
        codes += n * Bytes::kCodes, meta += n * Bytes::kMeta, from += n;
      }
      advance();
    }
  }
  __device__ void start(const StripArgs&, int, int, int, int) {}
  __device__ void acquire(const StripArgs&, int, int, int) {
    barrier_wait(full(slot), phase);
    __syncwarp();
  }
  __device__ void release(int lane) {
    __syncwarp();
    if (lane == 0) barrier_arrive(empty(slot));
    advance();
  }
#else
  __device__ void initialize() {}
  __device__ void produce(const StripArgs&, int, int) {}
  // Every fetch is a group of copies, an empty one after the last tile: the count stays right.
  __device__ void fetch(const StripArgs& a, int place, int end, int warp, int lane) {
    if (next < end) {
      uint8_t* codes = memory + place * kStage + warp * Bytes::kCodes;
      const StripSegment& segment = a.segments[segment_of(a, next / a.strip_tiles)];
      const int64_t tile = next - segment.first * a.strip_tiles;
      const uint8_t* from = segment.codes + tile * Bytes::kCodes;
#pragma unroll
      for (int i = 0; i < Bytes::kCodes / 512; ++i) {
        copy_async_16(codes + (i * 32 + lane) * 16, from + (i * 32 + lane) * 16);
      }
      uint8_t* meta = memory + place * kStage + kWarps * Bytes::kCodes + warp * Bytes::kMeta;
      if (lane < Bytes::kMeta / 16) {
        copy_async_16(meta + lane * 16, segment.meta + tile * Bytes::kMeta + lane * 16);
      }
    }
    copy_async_commit();
    next += kWarps;
  }
  __device__ void start(const StripArgs& a, int begin, int end, int warp, int lane) {
    next = begin + warp;
    for (int i = 0; i < kFlight; ++i) fetch(a, i, end, warp, lane);
  }
  __device__ void acquire(const StripArgs& a, int end, int warp, int lane) {
    copy_async_wait<kFlight - 1>();
    __syncwarp();
    const int place = slot + kFlight;
    fetch(a, place >= stages ? place - stages : place, end, warp, lane);
  }
  __device__ void release(int) { advance(); }
#endif
};

// ---- 1..8 tokens ----

template <bool kSingle>
struct Sums {
  static constexpr int kTokens = kSingle ? 1 : 8;
  static constexpr int kRound = kSingle ? 8 : 2;  ///< strips between two barriers
  static constexpr int kStrip = 32 * kTokens;     ///< floats of a warp and strip
  static constexpr int kBuffer = kRound * kWarps * kStrip;
};

/// Halves between the rows of x: 64 bytes more than a multiple of 128, so that the 16-byte reads of
/// eight rows use all banks.
__host__ __device__ constexpr int x_pitch(int strip_tiles) { return strip_tiles * 128 + 32; }

/// x as halves in shared memory; eight loads of a thread are on their way at once.
__device__ __forceinline__ void stage_activations(const StripArgs& a, __half* to, int thread) {
  const int padded = a.strip_tiles * 128, pitch = x_pitch(a.strip_tiles);
  const bool aligned = a.x_stride % 4 == 0 && reinterpret_cast<uintptr_t>(a.x) % 16 == 0;
  int token = 0, k = thread * 4;
  const auto wrap = [&] {
    while (k >= padded) k -= padded, ++token;
  };
  wrap();
  while (token < a.tokens) {
    float4 v[8];
    int at[8];
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      at[i] = token < a.tokens ? token * pitch + k : -1;
      v[i] = {0, 0, 0, 0};
      if (at[i] >= 0) {
        const float* from = a.x + token * a.x_stride + k;
        if (aligned && k + 4 <= a.in) {
          v[i] = __ldcg(reinterpret_cast<const float4*>(from));
        } else {
          if (k < a.in) v[i].x = __ldcg(from);
          if (k + 1 < a.in) v[i].y = __ldcg(from + 1);
          if (k + 2 < a.in) v[i].z = __ldcg(from + 2);
          if (k + 3 < a.in) v[i].w = __ldcg(from + 3);
        }
      }
      k += kThreads * 4;
      wrap();
    }
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      if (at[i] < 0) continue;
      *reinterpret_cast<uint2*>(to + at[i]) = {activation_halves(v[i].x, v[i].y),
                                               activation_halves(v[i].z, v[i].w)};
    }
  }
}

__device__ __forceinline__ void consumers_sync() {
  asm volatile("bar.sync 1, %0;" ::"n"(kThreads) : "memory");
}

/// The warp's sums of one strip to shared memory, [token][row].
template <bool kSingle>
__device__ __forceinline__ void store_sums(float* to, const float (&y)[2][1][4], int lane) {
  const int g = lane >> 2, j = lane & 3;
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    if constexpr (kSingle) {
      if (j == 0) to[h * 16 + g] = y[h][0][0], to[h * 16 + 8 + g] = y[h][0][2];
    } else {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        to[(2 * j + (i & 1)) * 32 + h * 16 + (i >> 1) * 8 + g] = y[h][0][i];
      }
    }
  }
}

/// Adds the warps' sums of `count` strips from `first` on, in order, and stores the rows.
template <bool kSingle>
__device__ __forceinline__ void finish_strips(const StripArgs& a, const float* sums, int first,
                                              int count, int thread) {
  using S = Sums<kSingle>;
  for (int v = thread; v < count * 32 * a.tokens; v += kThreads) {
    const int row = v % 32, rest = v / 32, strip = kSingle ? rest : rest / a.tokens,
              token = kSingle ? 0 : rest % a.tokens;
    float sum = 0;
#pragma unroll
    for (int w = 0; w < kWarps; ++w)
      sum += sums[(strip * kWarps + w) * S::kStrip + token * 32 + row];
    const StripSegment& segment = a.segments[segment_of(a, first + strip)];
    const int o = (first + strip - segment.first) * 32 + row;
    if (o < segment.out) {
      segment.y[token * segment.y_stride + o] = segment.bias == nullptr ? sum : sum + segment.bias[o];
    }
  }
}

template <int kBits, int kGroups, bool kSingle>
__global__ __launch_bounds__(kThreads + 32,
                             1) void strips_kernel(const __grid_constant__ StripArgs a) {
  using S = Sums<kSingle>;
  extern __shared__ __align__(128) uint8_t shared[];
  Ring<kBits, kGroups> ring;
  ring.memory = shared;
  ring.stages = a.stages;
  auto* sums = reinterpret_cast<float*>(shared + a.stages * Ring<kBits, kGroups>::kStage);
  ring.barriers = reinterpret_cast<uint64_t*>(sums + 2 * S::kBuffer);
  auto* x = reinterpret_cast<__half*>(ring.barriers + 2 * kMaxStages);
  const int thread = threadIdx.x, warp = thread >> 5, lane = thread & 31;
  const int blocks = gridDim.x, block = blockIdx.x, tiles = a.strip_tiles;
  const int first = static_cast<int>(static_cast<int64_t>(block) * a.strips / blocks);
  const int last = static_cast<int>(static_cast<int64_t>(block + 1) * a.strips / blocks);
  const int end = last * tiles;

  ring.initialize();
  let_next_start();
  __syncthreads();
  if (warp == kWarps) {
    if (lane == 0) ring.produce(a, first * tiles, end);
    return;
  }
  ring.start(a, first * tiles, end, warp, lane);
  wait_for_previous();
  stage_activations(a, x, thread);
  consumers_sync();

  // Columns beyond the tokens repeat the last one; nobody reads their sums.
  const int column = kSingle ? 0 : min(lane >> 2, a.tokens - 1);
  const __half* lane_x = x + column * x_pitch(tiles) + (lane & 3) * 8;
  int t = first * tiles + warp, buffer = 0;
  for (int strip = first; strip < last; strip += S::kRound, buffer ^= 1) {
    const int count = min(S::kRound, last - strip);
    float* round_sums = sums + buffer * S::kBuffer;
    for (int i = 0; i < count; ++i) {
      float y[2][1][4] = {};
      const int begin = (strip + i) * tiles;
      for (; t < begin + tiles; t += kWarps) {
        ring.acquire(a, end, warp, lane);
        multiply_tile<kBits, kGroups, 1>(ring.codes(warp), ring.meta(warp),
                                         lane_x + (t - begin) * 128, 0, lane, y);
        ring.release(lane);
      }
      store_sums<kSingle>(round_sums + (i * kWarps + warp) * S::kStrip, y, lane);
    }
    // The other buffer is free: whoever is here has seen all of the round before last stored.
    consumers_sync();
    finish_strips<kSingle>(a, round_sums, strip, count, thread);
  }
}

template <int kBits, int kGroups, bool kSingle>
bool launch_strips(CudaDevice& device, StripArgs a) {
  constexpr size_t kStage = Ring<kBits, kGroups>::kStage;
  const size_t fixed = 2 * Sums<kSingle>::kBuffer * sizeof(float) + 2 * kMaxStages * 8 +
                       static_cast<size_t>(a.tokens) * x_pitch(a.strip_tiles) * 2;
  const size_t most = device.shared_bytes();
  if (fixed + (kFlight + 1) * kStage > most) return false;
  a.stages = static_cast<int>(std::min<size_t>(kMaxStages, (most - fixed) / kStage));
  launch(device, "strips_kernel", strips_kernel<kBits, kGroups, kSingle>,
         dim3(static_cast<unsigned>(std::min(a.strips, device.multiprocessors()))),
         dim3(kThreads + 32), fixed + a.stages * kStage, a);
  return true;
}

// ---- up to 64 tokens ----

template <int kBits, int kGroups, int kCols>
struct Blocks {
  using Bytes = TileBytes<kBits, kGroups>;
  static constexpr int kWeights = kWarps * Bytes::kAll;
  static constexpr int kPitch = 160;  // halves: 128 inputs and 64 bytes against bank conflicts
  static constexpr int kStage = kWeights + kCols * 8 * kPitch * 2;
  static constexpr int kStages = kStage * 4 <= 160 * 1024 ? 4 : kStage * 3 <= 160 * 1024 ? 3 : 2;
};

template <int kBits, int kGroups, int kCols>
__device__ __forceinline__ void fetch_weights(const BlockArgs& a, uint8_t* stage, int strip,
                                              int tile, int warp, int lane) {
  using Bytes = TileBytes<kBits, kGroups>;
  if (strip >= a.strips) return;
  const int64_t t = static_cast<int64_t>(strip) * a.strip_tiles + tile;
  uint8_t* codes = stage + warp * Bytes::kCodes;
#pragma unroll
  for (int i = 0; i < Bytes::kCodes / 512; ++i) {
    copy_async_16(codes + (i * 32 + lane) * 16, a.codes + t * Bytes::kCodes + (i * 32 + lane) * 16);
  }
  uint8_t* meta = stage + kWarps * Bytes::kCodes + warp * Bytes::kMeta;
  if (lane < Bytes::kMeta / 16) {
    copy_async_16(meta + lane * 16, a.meta + t * Bytes::kMeta + lane * 16);
  }
}

template <int kBits, int kGroups, int kCols>
__device__ __forceinline__ void fetch_activations(const BlockArgs& a, uint8_t* stage, int tile,
                                                  int thread) {
  using B = Blocks<kBits, kGroups, kCols>;
  auto* x = reinterpret_cast<__half*>(stage + B::kWeights);
#pragma unroll
  for (int i = 0; i < (kCols + 1) / 2; ++i) {
    const int chunk = i * kThreads + thread, row = chunk / 16, part = chunk % 16;
    if (row >= kCols * 8) break;
    copy_async_16(x + row * B::kPitch + part * 8,
                  a.x + static_cast<int64_t>(row) * a.strip_tiles * 128 + tile * 128 + part * 8);
  }
}

template <int kCols>
__device__ __forceinline__ void store_block(const BlockArgs& a, const float (&y)[2][kCols][4],
                                            int strip, int lane) {
  const int g = lane >> 2, j = lane & 3;
  const bool whole = a.splits == 1;
  float* to = whole ? a.y : a.partial + static_cast<int64_t>(blockIdx.y) * a.tokens * a.out;
  const int64_t stride = whole ? a.y_stride : a.out;
#pragma unroll
  for (int h = 0; h < 2; ++h) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const int o = strip * 32 + h * 16 + r * 8 + g;
      if (o >= a.out) continue;
      const float bias = whole && a.bias != nullptr ? a.bias[o] : 0.f;
#pragma unroll
      for (int n = 0; n < kCols; ++n) {
#pragma unroll
        for (int c = 0; c < 2; ++c) {
          const int token = n * 8 + 2 * j + c;
          if (token < a.tokens) to[token * stride + o] = y[h][n][2 * r + c] + bias;
        }
      }
    }
  }
}

template <int kBits, int kGroups, int kCols>
__global__ __launch_bounds__(kThreads, resident_blocks(kGroups, kCols)) void blocks_kernel(
    const __grid_constant__ BlockArgs a) {
  using B = Blocks<kBits, kGroups, kCols>;
  using Bytes = TileBytes<kBits, kGroups>;
  extern __shared__ __align__(128) uint8_t shared[];
  const int thread = threadIdx.x, warp = thread >> 5, lane = thread & 31;
  const int strip = blockIdx.x * kWarps + warp;
  const int first = static_cast<int>(static_cast<int64_t>(blockIdx.y) * a.strip_tiles / a.splits);
  const int last =
      static_cast<int>(static_cast<int64_t>(blockIdx.y + 1) * a.strip_tiles / a.splits);
  const auto stage = [&](int tile) { return shared + (tile - first) % B::kStages * B::kStage; };

  let_next_start();
  for (int t = first; t < min(first + B::kStages - 1, last); ++t) {
    fetch_weights<kBits, kGroups, kCols>(a, stage(t), strip, t, warp, lane);
  }
  wait_for_previous();
#pragma unroll
  for (int i = 0; i < B::kStages - 1; ++i) {
    if (first + i < last) {
      fetch_activations<kBits, kGroups, kCols>(a, stage(first + i), first + i, thread);
    }
    copy_async_commit();
  }
  float y[2][kCols][4] = {};
  for (int t = first; t < last; ++t) {
    copy_async_wait<B::kStages - 2>();
    __syncthreads();  // the stage is complete, and everyone is done with the one before it
    const int ahead = t + B::kStages - 1;
    if (ahead < last) {
      fetch_weights<kBits, kGroups, kCols>(a, stage(ahead), strip, ahead, warp, lane);
      fetch_activations<kBits, kGroups, kCols>(a, stage(ahead), ahead, thread);
    }
    copy_async_commit();
    const uint8_t* at = stage(t);
    const auto* x = reinterpret_cast<const __half*>(at + B::kWeights);
    if (strip < a.strips) {
      multiply_tile<kBits, kGroups, kCols>(
          at + warp * Bytes::kCodes, at + kWarps * Bytes::kCodes + warp * Bytes::kMeta,
          x + (lane >> 2) * B::kPitch + (lane & 3) * 8, 8 * B::kPitch, lane, y);
    }
  }
  if (strip < a.strips) store_block<kCols>(a, y, strip, lane);
}

// ---- to halves ----

/// A warp a tile: a lane has eight consecutive inputs of a row, one 16-byte store.
template <int kBits, int kGroups>
__global__ __launch_bounds__(kThreads) void decode_kernel(const __grid_constant__ DecodeArgs a) {
  using Bytes = TileBytes<kBits, kGroups>;
  const int lane = threadIdx.x & 31, g = lane >> 2, j = lane & 3;
  const int tile = blockIdx.x * kWarps + static_cast<int>(threadIdx.x >> 5);
  let_next_start();
  const bool any = tile < a.tiles;
  LaneCodes<kBits> q[4];
  LaneMeta<kBits> meta[kGroups];
  if (any) {
#pragma unroll
    for (int w = 0; w < 4; ++w) {
      q[w].load(a.codes + static_cast<int64_t>(tile) * Bytes::kCodes, w, lane);
    }
#pragma unroll
    for (int i = 0; i < kGroups; ++i) {
      meta[i].load(a.meta + static_cast<int64_t>(tile) * Bytes::kMeta + i * Bytes::kGroupMeta,
                   lane);
    }
  }
  wait_for_previous();  // who may still read what is overwritten here
  if (!any) return;
  const int64_t pitch = static_cast<int64_t>(a.strip_tiles) * 128;
  __half* out = a.w + tile / a.strip_tiles * 32 * pitch + tile % a.strip_tiles * 128;
  const __half2 most = __float2half2_rn(65504.f),
                unit = __float2half2_rn(1.f / kHighRowFactor<kBits>);
#pragma unroll
  for (int c = 0; c < 4; ++c) {
    const LaneMeta<kBits>& m = meta[c * kGroups / 4];
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      uint32_t rows[2][4];
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        uint32_t a4[4];
        q[2 * h + c / 2].fragment(2 * (c % 2) + e, a4);
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const uint32_t bits = subtract_halves(a4[i], m.zero[h][i % 2]);
          __half2 v = *reinterpret_cast<const __half2*>(&bits);
          if (i % 2) v = __hmul2(v, unit);  // exact
          const uint32_t both = h ? m.scales.y : m.scales.x;
          const __half2 scales = *reinterpret_cast<const __half2*>(&both);
          v = __hmul2(v, i % 2 ? __high2half2(scales) : __low2half2(scales));
          v = __hmax2(__hmin2(v, most), __hneg2(most));
          rows[i % 2][2 * e + i / 2] = *reinterpret_cast<const uint32_t*>(&v);
        }
      }
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        *reinterpret_cast<uint4*>(out + (h * 16 + r * 8 + g) * pitch + c * 32 + 8 * j) = {
            rows[r][0], rows[r][1], rows[r][2], rows[r][3]};
      }
    }
  }
}

// ---- the table of a width ----

template <class F>
auto with_groups(int groups, F&& f) {
  switch (groups) {
    case 1: return f(std::integral_constant<int, 1>());
    case 2: return f(std::integral_constant<int, 2>());
    default: AWQ_CHECK(groups == 4, groups); return f(std::integral_constant<int, 4>());
  }
}
template <class F>
auto with_cols(int cols, F&& f) {
  switch (cols) {
    case 1: return f(std::integral_constant<int, 1>());
    case 2: return f(std::integral_constant<int, 2>());
    case 4: return f(std::integral_constant<int, 4>());
    default: AWQ_CHECK(cols == 8, cols); return f(std::integral_constant<int, 8>());
  }
}

template <int kBits>
constexpr TileKernels make_tile_kernels() {
  TileKernels k;
  k.strips = [](CudaDevice& device, int groups, StripArgs a) {
    return with_groups(groups, [&](auto g) {
      return a.tokens == 1 ? launch_strips<kBits, g, true>(device, a)
                           : launch_strips<kBits, g, false>(device, a);
    });
  };
  k.block_bytes = [](int groups, int cols) {
    return with_groups(groups, [&](auto g) {
      return with_cols(cols, [](auto c) {
        using B = Blocks<kBits, decltype(g)::value, decltype(c)::value>;
        return static_cast<size_t>(B::kStages) * B::kStage;
      });
    });
  };
  k.blocks = [](CudaDevice& device, int groups, int cols, const BlockArgs& a) {
    with_groups(groups, [&](auto g) {
      with_cols(cols, [&](auto c) {
        using B = Blocks<kBits, decltype(g)::value, decltype(c)::value>;
        launch(device, "blocks_kernel",
               blocks_kernel<kBits, decltype(g)::value, decltype(c)::value>,
               dim3(static_cast<unsigned>((a.strips + kWarps - 1) / kWarps),
                    static_cast<unsigned>(a.splits)),
               dim3(kThreads), static_cast<size_t>(B::kStages) * B::kStage, a);
      });
    });
  };
  k.decode = [](CudaDevice& device, int groups, const DecodeArgs& a) {
    with_groups(groups, [&](auto g) {
      launch(device, "decode_kernel", decode_kernel<kBits, decltype(g)::value>,
             dim3(static_cast<unsigned>((a.tiles + kWarps - 1) / kWarps)), dim3(kThreads), 0, a);
    });
  };
  return k;
}

}  // namespace
}  // namespace awq::cuda
