// Attention over one sequence's cache, for any head size up to 256, in f32. A block serves one kv
// head and up to eight pairs (attend.cuh). Each warp takes every fourth key of the block's part and
// keeps a softmax of its own; parts are merged in a fixed order. Many pairs go to attend_tiles.cu (f16) and
// attend_floats.cu (f32) instead.
#include <algorithm>
#include <type_traits>

#include "kernels/check_shapes.h"
#include "kernels/cuda/attend.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/rows.h"
#include "kernels/cuda/step_attention.h"

namespace awq::cuda {
namespace {

constexpr int kPairs = 8, kWarps = 4;

// Caches of neighbouring rows, one row a sequence.
struct Sequences {
  static constexpr int kMost = 64;  // what a kernel's arguments hold
  void *k[kMost], *v[kMost];
  float *k_scales[kMost], *v_scales[kMost];
  int64_t head_stride[kMost], past[kMost];
};

// A softmax in progress: sums of e^(score - most) v, and of e^(score - most).
template <int kPerLane>
struct Softmax {
  float most = -INFINITY, total = 0, sums[kPerLane] = {};

  __device__ void merge(float other_most, float other_total, const float (&other)[kPerLane]) {
    const float top = fmaxf(most, other_most);
    const float mine = most == -INFINITY ? 0 : expf(most - top);
    const float its = other_most == -INFINITY ? 0 : expf(other_most - top);
    most = top;
    total = total * mine + other_total * its;
    for (int j = 0; j < kPerLane; ++j) sums[j] = sums[j] * mine + other[j] * its;
  }
};

template <class T, int kPerLane>
__device__ void attend_part(Attend a, int split) {
  if (a.position != nullptr) a.past = *a.position;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, kv_head = blockIdx.y;
  const int shared_heads = a.shared_heads();
  const int first = blockIdx.x * kPairs, count = min(kPairs, a.pairs() - first);
  const T* keys = static_cast<const T*>(a.k) + kv_head * a.head_stride;
  const T* values = static_cast<const T*>(a.v) + kv_head * a.head_stride;

  float q[kPairs][kPerLane];
  Softmax<kPerLane> softmax[kPairs];
#pragma unroll
  for (int p = 0; p < kPairs; ++p) {
    const int pair = first + min(p, count - 1);
    const int head = kv_head * shared_heads + pair % shared_heads;
    const float* row = a.q + (pair / shared_heads) * a.q_stride + head * a.head_dim;
#pragma unroll
    for (int j = 0; j < kPerLane; ++j) {
      const int i = lane + 32 * j;
      q[p][j] = i < a.head_dim ? row[i] * a.scale : 0;
    }
  }
  const int64_t begin = first_key(a, a.past + first / shared_heads);
  const int64_t end = end_key(a, a.past + (first + count - 1) / shared_heads);
  const int64_t part = (end - begin + a.splits - 1) / a.splits;
  const int64_t from = begin + split * part, to = min(end, from + part);
  for (int64_t key = from + warp; key < to; key += kWarps) {
    float k[kPerLane], v[kPerLane], k_scale = 1, v_scale = 1;
    if constexpr (std::is_same_v<T, int8_t>) {
      const int64_t at = kv_head * (a.head_stride / a.head_dim) + key;
      k_scale = a.k_scales[at], v_scale = a.v_scales[at];
    }
#pragma unroll
    for (int j = 0; j < kPerLane; ++j) {
      const int i = lane + 32 * j;
      k[j] = i < a.head_dim ? k_scale * static_cast<float>(keys[key * a.head_dim + i]) : 0;
      v[j] = i < a.head_dim ? v_scale * static_cast<float>(values[key * a.head_dim + i]) : 0;
    }
#pragma unroll
    for (int p = 0; p < kPairs; ++p) {
      if (p >= count) break;
      const int64_t position = a.past + (first + p) / shared_heads;
      if (key < first_key(a, position) || key >= end_key(a, position)) continue;
      float score = 0;
#pragma unroll
      for (int j = 0; j < kPerLane; ++j) score += q[p][j] * k[j];
      for (int lanes = 16; lanes > 0; lanes /= 2) score += __shfl_xor_sync(~0u, score, lanes);
      if (a.softcap > 0) score = a.softcap * tanhf(score / a.softcap);
      if (a.slopes != nullptr) {
        const int head = kv_head * shared_heads + (first + p) % shared_heads;
        score += a.slopes[head] * static_cast<float>(key - position);
      }
      softmax[p].merge(score, 1, v);
    }
  }

  __shared__ float merged[kWarps][32 * kPerLane + 2];
#pragma unroll
  for (int p = 0; p < kPairs; ++p) {
    if (p >= count) break;
    __syncthreads();
#pragma unroll
    for (int j = 0; j < kPerLane; ++j) merged[warp][lane + 32 * j] = softmax[p].sums[j];
    if (lane == 0) {
      merged[warp][32 * kPerLane] = softmax[p].most;
      merged[warp][32 * kPerLane + 1] = softmax[p].total;
    }
    __syncthreads();
    if (warp != 0) continue;
    Softmax<kPerLane> all;
    for (int w = 0; w < kWarps; ++w) {
      float sums[kPerLane];
#pragma unroll
      for (int j = 0; j < kPerLane; ++j) sums[j] = merged[w][lane + 32 * j];
      all.merge(merged[w][32 * kPerLane], merged[w][32 * kPerLane + 1], sums);
    }
    const int pair = first + p, head = kv_head * shared_heads + pair % shared_heads;
    const int64_t row = pair / shared_heads;
    float* out = a.out + row * a.out_stride + head * a.head_dim;
    float factor = 1 / all.total;
    if (a.partial != nullptr) {
      out = partial_sums(a, split, row, head);
      factor = 1;
      if (lane == 0) {
        out[a.head_dim] = all.most;
        out[a.head_dim + 1] = all.total;
      }
    }
#pragma unroll
    for (int j = 0; j < kPerLane; ++j) {
      const int i = lane + 32 * j;
      if (i < a.head_dim) out[i] = all.sums[j] * factor;
    }
  }
}

template <class T, int kPerLane>
__global__ void __launch_bounds__(kWarps * 32) attend(Attend a) {
  attend_part<T, kPerLane>(a, static_cast<int>(blockIdx.z));
}

template <class T, int kPerLane>
__global__ void __launch_bounds__(kWarps * 32)
    attend_sequences(Attend a, const __grid_constant__ Sequences sequences) {
  const int row = static_cast<int>(blockIdx.z) / a.splits;
  a.q += row * a.q_stride;
  a.out += row * a.out_stride;
  a.k = sequences.k[row];
  a.v = sequences.v[row];
  a.k_scales = sequences.k_scales[row];
  a.v_scales = sequences.v_scales[row];
  a.head_stride = sequences.head_stride[row];
  a.past = sequences.past[row];
  a.rows = 1;
  if (a.partial != nullptr) a.partial += static_cast<int64_t>(row) * a.heads * (a.head_dim + 2);
  attend_part<T, kPerLane>(a, static_cast<int>(blockIdx.z) % a.splits);
}

__global__ void merge_parts(Attend a) {
  const int64_t row = blockIdx.x / a.heads, head = blockIdx.x % a.heads;
  const int64_t step = static_cast<int64_t>(a.partial_rows) * a.heads * (a.head_dim + 2);
  const float* part = a.partial + blockIdx.x * static_cast<int64_t>(a.head_dim + 2);
  float most = -INFINITY, total = 0;
  for (int s = 0; s < a.splits; ++s) most = fmaxf(most, part[s * step + a.head_dim]);
  for (int s = 0; s < a.splits; ++s) {
    if (part[s * step + a.head_dim] == -INFINITY) continue;
    total += part[s * step + a.head_dim + 1] * expf(part[s * step + a.head_dim] - most);
  }
  for (int i = threadIdx.x; i < a.head_dim; i += blockDim.x) {
    float sum = 0;
    for (int s = 0; s < a.splits; ++s) {
      if (part[s * step + a.head_dim] == -INFINITY) continue;
      sum += part[s * step + i] * expf(part[s * step + a.head_dim] - most);
    }
    a.out[row * a.out_stride + head * a.head_dim + i] = sum / total;
  }
}

// The instance for a head's size: f<floats per lane>().
template <class F>
void by_head_dim(int head_dim, const F& f) {
  if (head_dim <= 64) {
    f.template operator()<2>();
  } else if (head_dim <= 128) {
    f.template operator()<4>();
  } else {
    f.template operator()<8>();
  }
  check_launch("attention");
}

// Blocks along the pairs of a kv head, and kv heads.
dim3 pairs_grid(const Attend& a, int pairs, int depth) {
  return {static_cast<unsigned>((pairs + kPairs - 1) / kPairs), static_cast<unsigned>(a.kv_heads),
          static_cast<unsigned>(depth)};
}

template <class T>
void launch_pairs(CudaDevice& cuda, const Attend& a) {
  const dim3 grid = pairs_grid(a, a.pairs(), a.splits);
  by_head_dim(a.head_dim, [&]<int kPerLane> {
    attend<T, kPerLane><<<grid, kWarps * 32, 0, cuda.stream()>>>(a);
  });
}

template <class T>
void launch_sequences(CudaDevice& cuda, const Attend& a, const Sequences& s) {
  const dim3 grid = pairs_grid(a, a.shared_heads(), a.rows * a.splits);
  by_head_dim(a.head_dim, [&]<int kPerLane> {
    attend_sequences<T, kPerLane><<<grid, kWarps * 32, 0, cuda.stream()>>>(a, s);
  });
}

void launch_pairs(CudaDevice& cuda, const Attend& a, DType dtype) {
  switch (dtype) {
    case DType::f16: return launch_pairs<__half>(cuda, a);
    case DType::i8: return launch_pairs<int8_t>(cuda, a);
    default: return launch_pairs<float>(cuda, a);
  }
}

// Which kernel attends: a warp a key of its own, tiles of halves or of floats.
enum class Way { keys, tiles, floats };

// Enough parts of the keys to fill the device, none shorter than 16 keys (256 and 128 for tiles):
// a warp waits for memory at every key of its own.
int choose_splits(const CudaDevice& cuda, const Attend& a, Way way) {
  const int64_t per_block = way == Way::keys ? kPairs : kTilePairs;
  const int64_t blocks = (a.pairs() + per_block - 1) / per_block * a.kv_heads;
  const int64_t seen = a.past + a.rows;
  const int64_t keys = a.window > 0 ? std::min(seen, a.window + a.rows) : seen;
  const int64_t wanted = (way == Way::tiles ? 2 : 4) * cuda.multiprocessors() / blocks;
  const int64_t fewest = way == Way::keys ? 16 : way == Way::tiles ? 256 : 128;
  return static_cast<int>(std::clamp<int64_t>(std::min(wanted, keys / fewest), 1, 64));
}

void launch_merge(CudaDevice& cuda, const Attend& a) {
  merge_parts<<<static_cast<unsigned>(a.rows * a.heads), 128, 0, cuda.stream()>>>(a);
  check_launch("attention's merge");
}

int64_t partial_floats(const Attend& a) {
  return static_cast<int64_t>(a.splits) * a.rows * a.heads * (a.head_dim + 2);
}

// Splits the keys where that helps, with room for the parts.
void split(CudaDevice& cuda, Attend& a, Way way) {
  a.splits = choose_splits(cuda, a, way);
  if (a.splits > 1) {
    const auto bytes = static_cast<size_t>(partial_floats(a)) * sizeof(float);
    a.partial = static_cast<float*>(cuda.scratch(1, bytes));
  }
}

// Codes as halves, a block a row of a head: [kv_heads][keys][head_dim], of the keys and of the values.
__global__ void decode_codes(Attend a, int64_t keys, __half* to) {
  const int64_t row = (blockIdx.y % a.kv_heads) * (a.head_stride / a.head_dim) + blockIdx.x;
  const bool value = blockIdx.y >= a.kv_heads;
  const auto* from = static_cast<const int8_t*>(value ? a.v : a.k) + row * a.head_dim;
  const float scale = (value ? a.v_scales : a.k_scales)[row];
  to += (static_cast<int64_t>(blockIdx.y) * keys + blockIdx.x) * a.head_dim;
  for (int i = threadIdx.x; i < a.head_dim; i += blockDim.x) {
    to[i] = __float2half_rn(fminf(fmaxf(scale * static_cast<float>(from[i]), -65504.f), 65504.f) +
                            (scale - scale));
  }
}

void launch(CudaDevice& cuda, Attend a, DType dtype) {
  if (dtype == DType::i8 && a.pairs() >= 16 && a.head_dim % 8 == 0) {
    // Many pairs read each key: decoded once for all of them.
    const int64_t keys = a.past + a.rows;
    const int64_t part = a.kv_heads * keys * a.head_dim;
    auto* halves = static_cast<__half*>(cuda.scratch(2, static_cast<size_t>(2 * part) * 2));
    decode_codes<<<dim3(static_cast<unsigned>(keys), static_cast<unsigned>(2 * a.kv_heads)),
                   std::min(a.head_dim, 128), 0, cuda.stream()>>>(a, keys, halves);
    check_launch("decoding keys and values");
    a.k = halves, a.v = halves + part, a.head_stride = keys * a.head_dim;
    dtype = DType::f16;
  }
  const bool many = a.pairs() >= 16;
  const Way way = many && dtype == DType::f16 && tiles_attend(a)    ? Way::tiles
                  : many && dtype == DType::f32 && floats_attend(a) ? Way::floats
                                                                    : Way::keys;
  split(cuda, a, way);
  if (way == Way::keys) {
    launch_pairs(cuda, a, dtype);
  } else if (way == Way::floats) {
    launch_floats(cuda, a);
  } else if (prompt_attends(cuda, a)) {
    launch_prompt(cuda, a);
  } else {
    launch_tiles(cuda, a);
  }
  if (a.partial != nullptr) launch_merge(cuda, a);
}

Attend attend_of(const CudaDevice& cuda, const StepAttention& s, int64_t most) {
  const int64_t stride = s.heads * s.head_dim;
  Attend a{s.q, s.out, stride, stride, s.kv.k, s.kv.v, s.kv.head_stride, static_cast<int>(s.heads),
           static_cast<int>(s.kv_heads), static_cast<int>(s.head_dim), 1, most, 0, s.scale, 0,
           nullptr, true, 1, nullptr, 1};
  a.position = s.position;
  a.splits = choose_splits(cuda, a, Way::keys);
  if (a.splits > 1) a.partial = s.partial;
  return a;
}

// Segments from the first on that hold one row each, side by side, of caches of one type.
size_t sequences_of(std::span<const Segment> segments) {
  size_t n = 0;
  while (n < segments.size() && n < Sequences::kMost && segments[n].count == 1 &&
         segments[n].first == segments[0].first + static_cast<int64_t>(n) &&
         segments[n].kv.dtype == segments[0].kv.dtype) {
    ++n;
  }
  return n;
}

Sequences gather(std::span<const Segment> segments) {
  Sequences s;
  for (size_t i = 0; i < segments.size(); ++i) {
    s.k[i] = segments[i].kv.k, s.v[i] = segments[i].kv.v;
    s.k_scales[i] = segments[i].kv.k_scales, s.v_scales[i] = segments[i].kv.v_scales;
    s.head_stride[i] = segments[i].kv.head_stride, s.past[i] = segments[i].past;
  }
  return s;
}

// `a` of the first segment.
void attend_together(CudaDevice& cuda, Attend a, std::span<const Segment> segments) {
  const Sequences sequences = gather(segments);
  a.rows = a.partial_rows = static_cast<int>(segments.size());
  for (const Segment& segment : segments) a.past = std::max(a.past, segment.past);
  split(cuda, a, Way::keys);
  if (segments[0].kv.dtype == DType::f16) {
    launch_sequences<__half>(cuda, a, sequences);
  } else if (segments[0].kv.dtype == DType::i8) {
    launch_sequences<int8_t>(cuda, a, sequences);
  } else {
    launch_sequences<float>(cuda, a, sequences);
  }
  if (a.partial != nullptr) launch_merge(cuda, a);
}

template <class T>
__global__ void append_sequences(Matrix k, Matrix v, int64_t first, int head_dim,
                                 const __grid_constant__ Sequences sequences) {
  const int64_t row = blockIdx.x, past = sequences.past[row];
  const float* from_k = k.data + (first + row) * k.stride;
  const float* from_v = v.data + (first + row) * v.stride;
  auto *to_k = static_cast<T*>(sequences.k[row]), *to_v = static_cast<T*>(sequences.v[row]);
  for (int64_t i = threadIdx.x; i < k.cols; i += blockDim.x) {
    const int64_t at = i / head_dim * sequences.head_stride[row] + past * head_dim + i % head_dim;
    to_k[at] = static_cast<T>(from_k[i]);
    to_v[at] = static_cast<T>(from_v[i]);
  }
}

void append_together(cudaStream_t stream, const KvAppendArgs& args,
                     std::span<const Segment> segments) {
  const Sequences sequences = gather(segments);
  const auto rows = static_cast<unsigned>(segments.size());
  const auto dim = static_cast<int>(args.head_dim);
  const Segment& first = segments[0];
  if (first.kv.dtype == DType::f16) {
    append_sequences<__half>
        <<<rows, kRowThreads, 0, stream>>>(args.k, args.v, first.first, dim, sequences);
  } else {
    append_sequences<float>
        <<<rows, kRowThreads, 0, stream>>>(args.k, args.v, first.first, dim, sequences);
  }
  check_launch("appending to the KV caches");
}

// A block a row; a warp a head of keys or values, whose codes share a scale.
__global__ void append_codes(Matrix k, Matrix v, int64_t first, KvView kv, int64_t past,
                             int head_dim) {
  const int lane = threadIdx.x % 32, warps = blockDim.x / 32;
  const int heads = static_cast<int>(k.cols) / head_dim;
  for (int head = threadIdx.x / 32; head < 2 * heads; head += warps) {
    const bool value = head >= heads;
    const Matrix& x = value ? v : k;
    const float* from = x.data + (first + blockIdx.x) * x.stride + head % heads * head_dim;
    float largest = 0;
    bool finite = true;
    for (int i = lane; i < head_dim; i += 32) {
      largest = fmaxf(largest, fabsf(from[i]));
      finite &= isfinite(from[i]);
    }
    for (int lanes = 16; lanes > 0; lanes /= 2) {
      largest = fmaxf(largest, __shfl_xor_sync(~0u, largest, lanes));
    }
    finite = __all_sync(~0u, finite);
    const bool plain = finite && largest >= 1e-30f;
    const float inverse = plain ? __fdiv_rn(127.f, largest) : 0;
    const int64_t at = head % heads * (kv.head_stride / head_dim) + past + blockIdx.x;
    int8_t* to = static_cast<int8_t*>(value ? kv.v : kv.k) + at * head_dim;
    for (int i = lane; i < head_dim; i += 32) {
      to[i] = plain ? static_cast<int8_t>(__float2int_rn(from[i] * inverse)) : int8_t{0};
    }
    if (lane == 0) {
      (value ? kv.v_scales : kv.k_scales)[at] =
          plain ? __fdiv_rn(largest, 127.f) : finite ? 0.f : __int_as_float(0x7fc00000);
    }
  }
}

template <class T>
__global__ void append(Matrix k, Matrix v, int64_t first, KvView kv, int64_t past, int head_dim) {
  const float* from_k = k.data + (first + blockIdx.x) * k.stride;
  const float* from_v = v.data + (first + blockIdx.x) * v.stride;
  for (int64_t i = threadIdx.x; i < k.cols; i += blockDim.x) {
    const int64_t at =
        i / head_dim * kv.head_stride + (past + blockIdx.x) * head_dim + i % head_dim;
    static_cast<T*>(kv.k)[at] = static_cast<T>(from_k[i]);
    static_cast<T*>(kv.v)[at] = static_cast<T>(from_v[i]);
  }
}

}  // namespace

void kv_append(Device& device, const KvAppendArgs& args) {
  check_kv_append(args);
  const cudaStream_t stream = cuda_device(device).stream();
  for (size_t i = 0; i < args.segments.size();) {
    const size_t together = sequences_of(args.segments.subspan(i));
    if (together > 1 && args.segments[i].kv.dtype != DType::i8) {
      append_together(stream, args, args.segments.subspan(i, together));
      i += together;
      continue;
    }
    const Segment& segment = args.segments[i++];
    if (segment.count == 0) continue;
    const auto rows = static_cast<unsigned>(segment.count);
    const auto dim = static_cast<int>(args.head_dim);
    if (segment.kv.dtype == DType::i8) {
      append_codes<<<rows, kRowThreads, 0, stream>>>(args.k, args.v, segment.first, segment.kv,
                                                     segment.past, dim);
    } else if (segment.kv.dtype == DType::f16) {
      append<__half><<<rows, kRowThreads, 0, stream>>>(args.k, args.v, segment.first, segment.kv,
                                                       segment.past, dim);
    } else {
      append<float><<<rows, kRowThreads, 0, stream>>>(args.k, args.v, segment.first, segment.kv,
                                                      segment.past, dim);
    }
    check_launch("appending to the KV cache");
  }
}

int64_t step_attention_floats(CudaDevice& device, const StepAttention& step, int64_t most) {
  return partial_floats(attend_of(device, step, most));
}

void step_attention(CudaDevice& device, const StepAttention& step, int64_t most) {
  const Attend a = attend_of(device, step, most);
  launch_pairs(device, a, step.kv.dtype);
  if (a.partial != nullptr) launch_merge(device, a);
}

void attention(Device& device, const AttentionArgs& args) { attend_rows(device, args, true); }

void attend_rows(Device& device, const AttentionArgs& args, bool exact) {
  check_attention(args);
  AWQ_CHECK(args.head_dim <= 256, args.head_dim);
  CudaDevice& cuda = cuda_device(device);
  const float* slopes = args.alibi_slopes.empty() ? nullptr : on_device(cuda, 0, args.alibi_slopes);
  for (size_t i = 0; i < args.segments.size();) {
    const Segment& segment = args.segments[i];
    const size_t together = sequences_of(args.segments.subspan(i));
    i += std::max<size_t>(1, together);
    if (segment.count == 0) continue;
    Attend a{args.q.row(segment.first), args.out.row(segment.first), args.q.stride,
                   args.out.stride, segment.kv.k, segment.kv.v, segment.kv.head_stride,
                   static_cast<int>(args.heads), static_cast<int>(args.kv_heads),
                   static_cast<int>(args.head_dim), static_cast<int>(segment.count), segment.past,
                   args.window, args.scale, args.softcap, slopes, args.causal, 1, nullptr,
                   static_cast<int>(segment.count)};
    a.k_scales = segment.kv.k_scales, a.v_scales = segment.kv.v_scales;
    a.exact = exact;
    if (together > 1) {
      attend_together(cuda, a, args.segments.subspan(i - together, together));
    } else {
      launch(cuda, a, segment.kv.dtype);
    }
  }
}

}  // namespace awq::cuda
