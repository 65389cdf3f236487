#include "kernels/cuda/batch/attention.h"

#include <algorithm>
#include <type_traits>

#include "kernels/cuda/code_scale.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/tile_product.h"

namespace awq::cuda::batch {
namespace {

constexpr int kThreads = 128, kAttendWarps = kThreads / 32;
constexpr float kLog2e = 1.44269504f;

// A lane has eight values of a head; the lanes of a key are a group.
template <int kDim>
struct Groups {
  static constexpr int kLanes = kDim / 8, kOfWarp = 32 / kLanes, kAll = kOfWarp * kAttendWarps;
};

// Element pairs of a head that turn together.
__device__ __forceinline__ int2 pair_of(const AttentionStep& a, int pair) {
  return a.interleaved ? int2{2 * pair, 2 * pair + 1} : int2{pair, pair + a.half};
}

// By a warp: x [kDim] to a row of a cache.
template <class T, int kDim>
__device__ __forceinline__ void store_row(const float* x, void* cache, float* scales, int64_t row) {
  const int lane = threadIdx.x % 32;
  auto* to = static_cast<T*>(cache) + row * kDim;
  if constexpr (std::is_same_v<T, int8_t>) {
    float largest = 0;
    bool finite = true;
#pragma unroll
    for (int i = lane; i < kDim; i += 32) {
      largest = fmaxf(largest, fabsf(x[i]));
      finite &= isfinite(x[i]);
    }
    const CodeScale scale(largest_of_warp(largest), __all_sync(~0u, finite));
#pragma unroll
    for (int i = lane; i < kDim; i += 32) to[i] = scale.code(x[i]);
    if (lane == 0) scales[row] = scale.scale;
  } else {
#pragma unroll
    for (int i = lane; i < kDim; i += 32) to[i] = __float2half_rn(x[i]);
  }
}

// The turned queries of a kv head to shared memory, times `scale`; the new key and value to the
// cache where `append`.
template <class T, int kDim>
__device__ void prepare(const AttentionStep& a, int64_t row, int kv_head, int position, bool append,
                        float (*q)[kDim], const float2* turns, float (*added)[kDim]) {
  const int shared_heads = a.heads / a.kv_heads;
  const float* from = a.q.data + row * a.q.stride + kv_head * shared_heads * kDim;
  const float* key = a.k.data + row * a.k.stride + kv_head * kDim;
  const float scale = a.scale * kLog2e;
  const int heads = shared_heads + (append ? 1 : 0);
  for (int i = threadIdx.x; i < heads * (kDim / 2); i += kThreads) {
    const int head = i / (kDim / 2), pair = i % (kDim / 2);
    const float* x = head < shared_heads ? from + head * kDim : key;
    int2 e = {2 * pair, 2 * pair + 1};  // beyond the pairs that turn the order does not matter
    float2 v;
    if (pair < a.half) {
      e = pair_of(a, pair);
      const float2 turn = turns[pair];
      const float first = __ldcg(x + e.x), second = __ldcg(x + e.y);
      v = {first * turn.x - second * turn.y, first * turn.y + second * turn.x};
    } else {
      v = {__ldcg(x + e.x), __ldcg(x + e.y)};
    }
    if (head < shared_heads) {
      q[head][e.x] = v.x * scale, q[head][e.y] = v.y * scale;
    } else {
      added[0][e.x] = v.x, added[0][e.y] = v.y;
    }
  }
  if (append) {
    const float* value = a.v.data + row * a.v.stride + kv_head * kDim;
    for (int i = threadIdx.x; i < kDim; i += kThreads) added[1][i] = __ldcg(value + i);
  }
  __syncthreads();
  if (!append) return;
  const Cache& cache = a.caches[row];
  const int64_t at = kv_head * (cache.head_stride / kDim) + position;
  if (threadIdx.x / 32 == 0) store_row<T, kDim>(added[0], cache.k, cache.k_scales, at);
  if (threadIdx.x / 32 == 1) store_row<T, kDim>(added[1], cache.v, cache.v_scales, at);
  __syncthreads();
}

__device__ __forceinline__ void to_floats(const uint4& words, float (&v)[8]) {
  const uint32_t w[4] = {words.x, words.y, words.z, words.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float2 pair = __half22float2(*reinterpret_cast<const __half2*>(&w[i]));
    v[2 * i] = pair.x, v[2 * i + 1] = pair.y;
  }
}

__device__ __forceinline__ void to_floats(const uint2& words, float (&v)[8]) {
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    v[i] = static_cast<float>(static_cast<int8_t>((i < 4 ? words.x : words.y) >> (i % 4 * 8)));
  }
}

// Of one group: a softmax in progress for each query head, to base 2.
template <int kShared>
struct Running {
  float most[kShared], total[kShared], sums[kShared][8];
};

// kKeys keys and values of every group, all of them under way before the first is used.
template <class T, int kDim, int kKeys>
struct Fetched {
  using G = Groups<kDim>;
  static constexpr bool kCodes = std::is_same_v<T, int8_t>;
  using Words = std::conditional_t<kCodes, uint2, uint4>;  // eight elements
  Words keys[kKeys], values[kKeys];
  float k_scale[kKeys], v_scale[kKeys];

  __device__ __forceinline__ void fetch(const Cache& cache, int kv_head, int first, int to) {
    const int lane = threadIdx.x % 32, group = threadIdx.x / 32 * G::kOfWarp + lane / G::kLanes;
    const int64_t base = kv_head * (cache.head_stride / kDim);
#pragma unroll
    for (int u = 0; u < kKeys; ++u) {
      const int64_t at = base + max(min(first + u * G::kAll + group, to - 1), 0);
      keys[u] = static_cast<const Words*>(cache.k)[at * G::kLanes + lane % G::kLanes];
      values[u] = static_cast<const Words*>(cache.v)[at * G::kLanes + lane % G::kLanes];
      k_scale[u] = v_scale[u] = 1;
      if constexpr (kCodes) k_scale[u] = cache.k_scales[at], v_scale[u] = cache.v_scales[at];
    }
  }
};

// Of `now`, the keys from `first` on, those below `to`.
template <class T, int kDim, int kShared, int kKeys>
__device__ __forceinline__ void attend_keys(const Fetched<T, kDim, kKeys>& now, int first, int to,
                                            const float (&q)[kShared][8], Running<kShared>& r) {
  using G = Groups<kDim>;
  const int lane = threadIdx.x % 32, group = threadIdx.x / 32 * G::kOfWarp + lane / G::kLanes;
  float score[kKeys][kShared];
#pragma unroll
  for (int u = 0; u < kKeys; ++u) {
    float k[8];
    to_floats(now.keys[u], k);
    const bool there = first + u * G::kAll + group < to;
#pragma unroll
    for (int p = 0; p < kShared; ++p) {
      float sum = 0;
#pragma unroll
      for (int i = 0; i < 8; ++i) sum += q[p][i] * k[i];
#pragma unroll
      for (int lanes = G::kLanes / 2; lanes > 0; lanes /= 2) {
        sum += __shfl_xor_sync(~0u, sum, lanes);
      }
      score[u][p] = there ? sum * now.k_scale[u] : -INFINITY;
    }
  }
#pragma unroll
  for (int p = 0; p < kShared; ++p) {
    float most = r.most[p];
#pragma unroll
    for (int u = 0; u < kKeys; ++u) most = fmaxf(most, score[u][p]);
    const float zero = most == -INFINITY ? 0 : most;  // nothing seen yet: all weights are 0
    const float kept = exp2f(r.most[p] - zero);
    r.most[p] = most;
    r.total[p] *= kept;
#pragma unroll
    for (float& s : r.sums[p]) s *= kept;
#pragma unroll
    for (int u = 0; u < kKeys; ++u) {
      score[u][p] = exp2f(score[u][p] - zero);
      r.total[p] += score[u][p];
    }
  }
#pragma unroll
  for (int u = 0; u < kKeys; ++u) {
    float v[8];
    to_floats(now.values[u], v);
#pragma unroll
    for (int p = 0; p < kShared; ++p) {
#pragma unroll
      for (int i = 0; i < 8; ++i) r.sums[p][i] += score[u][p] * now.v_scale[u] * v[i];
    }
  }
}

// Where the parts of the keys leave their sums: [split][row][head] of kDim sums, most, total.
__device__ __forceinline__ float* part_of(const AttentionStep& a, int split, int64_t row, int head) {
  return a.partial +
         ((static_cast<int64_t>(split) * a.q.rows + row) * a.heads + head) * (a.head_dim + 2);
}

template <class T, int kDim, int kShared>
__global__ void __launch_bounds__(kThreads) attend_kernel(const __grid_constant__ AttentionStep a) {
  using G = Groups<kDim>;
  __shared__ float queries[kShared][kDim];
  __shared__ float2 turns[kDim / 2];
  __shared__ float added[2][kDim];
  __shared__ float sums[G::kAll][kShared][kDim];
  __shared__ float facts[G::kAll][kShared][2];  // most, total
  const int kv_head = blockIdx.x, split = blockIdx.z, shared_heads = a.heads / a.kv_heads;
  const int64_t row = blockIdx.y;
  const int lane = threadIdx.x % 32, group = threadIdx.x / 32 * G::kOfWarp + lane / G::kLanes;
  let_next_start();
  // Positions, caches and the keys before this one are as they were when the step began: what needs
  // no more than these goes ahead of the wait for the queries.
  const int position = a.positions[row], count = position + 1;
  const int part = (count + a.splits - 1) / a.splits;
  const int from = min(split * part, count), to = min(from + part, count);
  const bool append = from <= position && position < to;
  const int old = append ? position : to;
  const Cache cache = a.caches[row];
  constexpr int kKeys = kShared <= 2 ? 4 : 2;
  Fetched<T, kDim, kKeys> now;
  if (from < old) now.fetch(cache, kv_head, from, old);
  for (int pair = threadIdx.x; pair < a.half; pair += kThreads) {
    float sine, cosine;
    sincosf(static_cast<float>(position) * a.frequency[pair], &sine, &cosine);
    turns[pair] = {cosine, sine};
  }
  __syncthreads();
  wait_for_previous();
  prepare<T, kDim>(a, row, kv_head, position, append, queries, turns, added);

  float q[kShared][8];
  Running<kShared> r;
#pragma unroll
  for (int p = 0; p < kShared; ++p) {
    r.most[p] = -INFINITY, r.total[p] = 0;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      q[p][i] = p < shared_heads ? queries[p][lane % G::kLanes * 8 + i] : 0;
      r.sums[p][i] = 0;
    }
  }
  for (int first = from; first < old; first += kKeys * G::kAll) {
    const Fetched<T, kDim, kKeys> current = now;
    const int next = first + kKeys * G::kAll;
    if (next < old) now.fetch(cache, kv_head, next, old);
    attend_keys(current, first, old, q, r);
  }
  if (append) {
    Fetched<T, kDim, 1> last;
    last.fetch(cache, kv_head, position, to);
    attend_keys(last, position, to, q, r);
  }
#pragma unroll
  for (int p = 0; p < kShared; ++p) {
    auto* own = reinterpret_cast<float4*>(&sums[group][p][lane % G::kLanes * 8]);
    own[0] = {r.sums[p][0], r.sums[p][1], r.sums[p][2], r.sums[p][3]};
    own[1] = {r.sums[p][4], r.sums[p][5], r.sums[p][6], r.sums[p][7]};
    if (lane % G::kLanes == 0) facts[group][p][0] = r.most[p], facts[group][p][1] = r.total[p];
  }
  __syncthreads();
  // A thread puts eight values of a head together, groups in order.
  const int head = threadIdx.x / G::kLanes, word = threadIdx.x % G::kLanes;
  const int p = min(head, shared_heads - 1);
  if (threadIdx.x / 32 * G::kOfWarp >= shared_heads) return;
  float most = -INFINITY, total = 0, v[8] = {};
#pragma unroll
  for (int g = 0; g < G::kAll; ++g) most = fmaxf(most, facts[g][p][0]);
#pragma unroll
  for (int g = 0; g < G::kAll; ++g) {
    if (facts[g][p][0] == -INFINITY) continue;
    const float weight = exp2f(facts[g][p][0] - most);
    total += weight * facts[g][p][1];
#pragma unroll
    for (int i = 0; i < 8; ++i) v[i] += weight * sums[g][p][word * 8 + i];
  }
  const bool inside = head < shared_heads;
  const int of_all = kv_head * shared_heads + p;
  if (a.splits > 1) {
    if (!inside) return;
    float* to_part = part_of(a, split, row, of_all);
#pragma unroll
    for (int i = 0; i < 8; ++i) to_part[word * 8 + i] = v[i];
    if (word == 0) to_part[kDim] = most, to_part[kDim + 1] = total;
    return;
  }
#pragma unroll
  for (float& value : v) value /= total;
  store_inputs(a.out, row, of_all * G::kLanes + word, inside, v);
}

__global__ void merge_kernel(const __grid_constant__ AttentionStep a) {
  const int64_t row = blockIdx.x;
  const int word = static_cast<int>(blockIdx.y * kThreads + threadIdx.x), of_head = a.head_dim / 8;
  const bool inside = word < a.heads * of_head;
  const int head = min(word / of_head, a.heads - 1);
  let_next_start();
  wait_for_previous();
  float most = -INFINITY, total = 0, v[8] = {};
  for (int s = 0; s < a.splits; ++s) {
    most = fmaxf(most, __ldcg(part_of(a, s, row, head) + a.head_dim));
  }
  for (int s = 0; s < a.splits; ++s) {
    const float* part = part_of(a, s, row, head);
    const float its = __ldcg(part + a.head_dim);
    if (its == -INFINITY) continue;
    const float weight = exp2f(its - most);
    total += weight * __ldcg(part + a.head_dim + 1);
#pragma unroll
    for (int i = 0; i < 8; ++i) v[i] += weight * __ldcg(part + word % of_head * 8 + i);
  }
#pragma unroll
  for (float& value : v) value /= total;
  store_inputs(a.out, row, word, inside, v);
}

// A warp a head: a lane has every 32nd pair.
template <class T>
__global__ void __launch_bounds__(256) rotate_kernel(const __grid_constant__ AttentionStep a, KvView kv,
                                                     int64_t past) {
  constexpr int kPairs = 2;  // of a lane: heads of up to 128
  __shared__ float2 turns[32 * kPairs];
  const int64_t row = blockIdx.x, position = past + row;
  const int lane = threadIdx.x % 32;
  let_next_start();
  for (int pair = threadIdx.x; pair < a.half; pair += blockDim.x) {
    float sine, cosine;
    sincosf(static_cast<float>(position) * a.frequency[pair], &sine, &cosine);
    turns[pair] = {cosine, sine};
  }
  __syncthreads();
  wait_for_previous();
  for (int head = threadIdx.x / 32; head < a.heads + 2 * a.kv_heads; head += blockDim.x / 32) {
    const bool query = head < a.heads, value = head >= a.heads + a.kv_heads;
    const int kv_head = (head - a.heads) % a.kv_heads;
    float* x = query   ? a.q.data + row * a.q.stride + head * a.head_dim
               : value ? a.v.data + row * a.v.stride + kv_head * a.head_dim
                       : a.k.data + row * a.k.stride + kv_head * a.head_dim;
    float2 y[kPairs] = {};
    int2 e[kPairs];
    float largest = 0;
    bool finite = true;
#pragma unroll
    for (int p = 0; p < kPairs; ++p) {
      const int pair = lane + 32 * p;
      e[p] = {2 * pair, 2 * pair + 1};
      if (2 * pair >= a.head_dim) continue;
      const bool turned = pair < a.half && !value;
      if (turned) e[p] = pair_of(a, pair);
      y[p] = {__ldcg(x + e[p].x), __ldcg(x + e[p].y)};
      if (turned) {
        const float2 t = turns[pair];
        y[p] = {y[p].x * t.x - y[p].y * t.y, y[p].x * t.y + y[p].y * t.x};
      }
      largest = fmaxf(largest, fmaxf(fabsf(y[p].x), fabsf(y[p].y)));
      finite &= isfinite(y[p].x) && isfinite(y[p].y);
    }
    const int64_t at = kv_head * (kv.head_stride / a.head_dim) + position;
    [[maybe_unused]] T* to = static_cast<T*>(value ? kv.v : kv.k) + at * a.head_dim;
    float scale = 1;
    [[maybe_unused]] float inverse = 1;
    if constexpr (std::is_same_v<T, int8_t>) {
      const CodeScale codes(largest_of_warp(largest), __all_sync(~0u, finite));
      scale = codes.scale, inverse = codes.inverse;
    }
#pragma unroll
    for (int p = 0; p < kPairs; ++p) {
      if (2 * (lane + 32 * p) >= a.head_dim) continue;
      if (query) {
        x[e[p].x] = y[p].x, x[e[p].y] = y[p].y;
      } else if constexpr (std::is_same_v<T, int8_t>) {
        to[e[p].x] = inverse == 0 ? 0 : static_cast<int8_t>(__float2int_rn(y[p].x * inverse));
        to[e[p].y] = inverse == 0 ? 0 : static_cast<int8_t>(__float2int_rn(y[p].y * inverse));
      } else {
        to[e[p].x] = static_cast<T>(y[p].x), to[e[p].y] = static_cast<T>(y[p].y);
      }
    }
    if (std::is_same_v<T, int8_t> && !query && lane == 0) {
      (value ? kv.v_scales : kv.k_scales)[at] = scale;
    }
  }
}

template <class T, int kDim>
void attend_heads(CudaDevice& device, const AttentionStep& a) {
  const int shared_heads = a.heads / a.kv_heads;
  const dim3 grid(static_cast<unsigned>(a.kv_heads), static_cast<unsigned>(a.q.rows),
                  static_cast<unsigned>(a.splits));
  const auto run = [&](auto kernel) { launch(device, "attention", kernel, grid, kThreads, 0, a); };
  if (shared_heads == 1) return run(attend_kernel<T, kDim, 1>);
  if (shared_heads == 2) return run(attend_kernel<T, kDim, 2>);
  if (shared_heads <= 4) return run(attend_kernel<T, kDim, 4>);
  run(attend_kernel<T, kDim, 8>);
}

template <class T>
void attend_caches(CudaDevice& device, const AttentionStep& a) {
  if (a.head_dim == 64) {
    attend_heads<T, 64>(device, a);
  } else {
    attend_heads<T, 128>(device, a);
  }
}

}  // namespace

bool can_attend(int64_t heads, int64_t kv_heads, int64_t head_dim) {
  return (head_dim == 64 || head_dim == 128) && kv_heads > 0 && heads % kv_heads == 0 &&
         heads / kv_heads <= 8;
}

// Some 8 blocks a multiprocessor, none with fewer than 256 keys.
int choose_splits(const CudaDevice& device, int64_t sequences, int64_t kv_heads, int64_t most) {
  const int64_t wanted = 8 * device.multiprocessors() / (sequences * kv_heads);
  return static_cast<int>(std::clamp<int64_t>(std::min(wanted, most / 256), 1, 32));
}

int64_t attention_floats(const AttentionStep& a) {
  return static_cast<int64_t>(a.splits) * a.q.rows * a.heads * (a.head_dim + 2);
}

void attend(CudaDevice& device, const AttentionStep& a) {
  AWQ_CHECK(can_attend(a.heads, a.kv_heads, a.head_dim), a.heads, a.kv_heads, a.head_dim);
  if (a.dtype == DType::i8) {
    attend_caches<int8_t>(device, a);
  } else {
    attend_caches<__half>(device, a);
  }
  if (a.splits == 1) return;
  const int words = a.heads * a.head_dim / 8;
  launch(device, "attention's merge", merge_kernel,
         dim3(static_cast<unsigned>(a.q.rows),
              static_cast<unsigned>((words + kThreads - 1) / kThreads)),
         kThreads, 0, a);
}

void rotate_and_append(CudaDevice& device, const AttentionStep& a, const KvView& kv, int64_t past) {
  const auto rows = static_cast<unsigned>(a.q.rows);
  AWQ_CHECK(a.head_dim <= 128, a.head_dim);
  const auto run = [&](auto kernel) { launch(device, "RoPE", kernel, rows, 256, 0, a, kv, past); };
  if (kv.dtype == DType::i8) return run(rotate_kernel<int8_t>);
  run(rotate_kernel<__half>);
}

}  // namespace awq::cuda::batch
