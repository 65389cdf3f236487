// Attention of the rows of a prompt over an f16 cache where q and the softmax's weights may be rounded
// to halves: 128 pairs a block, 32 a warp, so that a fragment of keys or values feeds four products;
// 64 keys and values at a time, the next ones on their way meanwhile. No soft-cap, no slopes.
#include "kernels/cuda/attend.cuh"
#include "kernels/cuda/tile_math.cuh"

namespace awq::cuda {
namespace {

constexpr int kThreads = 128, kPairs = 128, kKeys = 64, kTiles = kKeys / 8;
constexpr float kLog2e = 1.44269504f;

template <int kDim>
struct Memory {
  static constexpr int kStride = kDim + 8;  // halves a row, so that ldmatrix meets no bank twice
  static constexpr int kStage = 2 * kKeys * kStride;
  static constexpr size_t kBytes = (kPairs * kStride + 2 * kStage) * sizeof(__half);
};

__device__ __forceinline__ void load_matrices(uint32_t (&r)[4], const __half* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
}
__device__ __forceinline__ void load_transposed(uint32_t (&r)[4], const __half* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
}
__device__ __forceinline__ uint32_t halves(float x, float y) {
  const __half2 h = __floats2half2_rn(x, y);
  return *reinterpret_cast<const uint32_t*>(&h);
}
__device__ __forceinline__ float exp2_fast(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// Keys and values key .. key + kKeys - 1 to a stage; zeros beyond `end` and beyond the head.
template <int kDim>
__device__ __forceinline__ void fetch(__half* stage, const __half* k, const __half* v, int64_t key,
                                      int64_t end, int head_dim) {
  constexpr int kWords = kDim / 8, kStride = Memory<kDim>::kStride;
#pragma unroll
  for (int i = 0; i < kKeys * kWords / kThreads; ++i) {
    const int at = i * kThreads + static_cast<int>(threadIdx.x), r = at / kWords, c = at % kWords * 8;
    const bool there = key + r < end && c < head_dim;
    const int64_t from = there ? (key + r) * head_dim + c : 0;
    const int bytes = there ? 16 : 0;
    __half* to = stage + r * kStride + c;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)),
                 "l"(k + from), "r"(bytes));
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(
                     shared_address(to + kKeys * kStride)),
                 "l"(v + from), "r"(bytes));
  }
}

template <int kDim>
__global__ void __launch_bounds__(kThreads, 2) attend_prompt(Attend a) {
  constexpr int kStride = Memory<kDim>::kStride;
  extern __shared__ __align__(16) __half memory[];
  __half *queries = memory, *stages = memory + kPairs * kStride;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, shared_heads = a.shared_heads();
  // The last rows see the most keys: they go first.
  const int first = static_cast<int>(gridDim.x - 1 - blockIdx.x) * kPairs;
  const int last = min(first + kPairs, a.pairs()) - 1;
  const int64_t first_position = a.past + first / shared_heads;
  const int64_t last_position = a.past + last / shared_heads;
  const __half* k = static_cast<const __half*>(a.k) + blockIdx.y * a.head_stride;
  const __half* v = static_cast<const __half*>(a.v) + blockIdx.y * a.head_stride;
  const int64_t begin = first_key(a, first_position), end = end_key(a, last_position);
  const int64_t tiles = (end - begin + kKeys - 1) / kKeys;
  const int64_t part = (tiles + a.splits - 1) / a.splits;
  const int64_t from = blockIdx.z * part, to = min(tiles, from + part);

  if (from < to) fetch<kDim>(stages, k, v, begin + from * kKeys, end, a.head_dim);
  asm volatile("cp.async.commit_group;" ::: "memory");
  for (int r = threadIdx.x / 16; r < kPairs; r += kThreads / 16) {
    const int pair = min(first + r, last);
    const int head = static_cast<int>(blockIdx.y) * shared_heads + pair % shared_heads;
    const float* x = a.q + pair / shared_heads * a.q_stride + head * a.head_dim;
    for (int c = threadIdx.x % 16 * 2; c < kDim; c += 32) {
      const bool there = c < a.head_dim;
      *reinterpret_cast<uint32_t*>(queries + r * kStride + c) =
          there ? halves(x[c], x[c + 1]) : 0u;
    }
  }
  const int own = warp * 32 * kStride;
  const int a_at = lane % 16 * kStride + lane / 16 * 8;
  const int b_at = (lane % 8 + lane / 16 * 8) * kStride + lane / 8 % 2 * 8;
  const int v_at = lane % 16 * kStride + lane / 16 * 8;
  const float scale = a.scale * kLog2e;
  float out[2][kDim / 8][4] = {}, most[2][2], total[2][2] = {};
#pragma unroll
  for (int m = 0; m < 2; ++m) most[m][0] = most[m][1] = -INFINITY;
  for (int64_t tile = from; tile < to; ++tile) {
    const int64_t key = begin + tile * kKeys;
    asm volatile("cp.async.wait_all;" ::: "memory");
    __syncthreads();  // this stage is there, and nobody needs the other one
    const __half* keys = stages + (tile - from) % 2 * Memory<kDim>::kStage;
    const __half* values = keys + kKeys * kStride;
    if (tile + 1 < to) {
      fetch<kDim>(stages + (tile + 1 - from) % 2 * Memory<kDim>::kStage, k, v, key + kKeys, end,
                  a.head_dim);
    }
    float s[2][kTiles][4] = {};
#pragma unroll
    for (int c = 0; c < kDim; c += 16) {
      uint32_t q[2][4];
      load_matrices(q[0], queries + own + a_at + c);
      load_matrices(q[1], queries + own + 16 * kStride + a_at + c);
#pragma unroll
      for (int n = 0; n < kTiles; n += 2) {
        uint32_t b[4];
        load_matrices(b, keys + b_at + n * 8 * kStride + c);
#pragma unroll
        for (int m = 0; m < 2; ++m) {
          mma(s[m][n], q[m], b[0], b[1]);
          mma(s[m][n + 1], q[m], b[2], b[3]);
        }
      }
    }
    const bool whole =
        key >= first_key(a, last_position) && key + kKeys <= end_key(a, first_position);
#pragma unroll
    for (int m = 0; m < 2; ++m) {
#pragma unroll
      for (int h = 0; h < 2; ++h) {  // rows g and g + 8
        if (!whole) {
          const int pair = first + warp * 32 + m * 16 + h * 8 + lane / 4;
          const int64_t position = a.past + pair / shared_heads, at = key + lane % 4 * 2;
          const auto low = static_cast<int>(first_key(a, position) - at);
          const auto high = static_cast<int>(end_key(a, position) - at);
#pragma unroll
          for (int n = 0; n < kTiles; ++n) {
#pragma unroll
            for (int i = 0; i < 2; ++i) {
              if (n * 8 + i < low || n * 8 + i >= high) s[m][n][2 * h + i] = -INFINITY;
            }
          }
        }
        float top = most[m][h];
#pragma unroll
        for (int n = 0; n < kTiles; ++n) {
          top = fmaxf(top, fmaxf(s[m][n][2 * h], s[m][n][2 * h + 1]));
        }
        top = fmaxf(top, __shfl_xor_sync(~0u, top, 1));
        top = fmaxf(top, __shfl_xor_sync(~0u, top, 2));
        const float base = top == -INFINITY ? 0 : top * scale;  // nothing seen yet: weights are 0
        const float kept = exp2_fast(most[m][h] * scale - base);
        most[m][h] = top;
        float sum = 0;
#pragma unroll
        for (int n = 0; n < kTiles; ++n) {
#pragma unroll
          for (int i = 0; i < 2; ++i) {
            sum += s[m][n][2 * h + i] = exp2_fast(s[m][n][2 * h + i] * scale - base);
          }
        }
        total[m][h] = total[m][h] * kept + sum;
#pragma unroll
        for (int n = 0; n < kDim / 8; ++n) {
          out[m][n][2 * h] *= kept, out[m][n][2 * h + 1] *= kept;
        }
      }
    }
#pragma unroll
    for (int c = 0; c < kTiles; c += 2) {
      uint32_t p[2][4];
#pragma unroll
      for (int m = 0; m < 2; ++m) {
        p[m][0] = halves(s[m][c][0], s[m][c][1]), p[m][1] = halves(s[m][c][2], s[m][c][3]);
        p[m][2] = halves(s[m][c + 1][0], s[m][c + 1][1]);
        p[m][3] = halves(s[m][c + 1][2], s[m][c + 1][3]);
      }
#pragma unroll
      for (int n = 0; n < kDim / 8; n += 2) {
        uint32_t b[4];
        load_transposed(b, values + v_at + c * 8 * kStride + n * 8);
#pragma unroll
        for (int m = 0; m < 2; ++m) {
          mma(out[m][n], p[m], b[0], b[1]);
          mma(out[m][n + 1], p[m], b[2], b[3]);
        }
      }
    }
  }
#pragma unroll
  for (int m = 0; m < 2; ++m) {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      float sum = total[m][h];
      sum += __shfl_xor_sync(~0u, sum, 1);
      sum += __shfl_xor_sync(~0u, sum, 2);
      const int pair = first + warp * 32 + m * 16 + h * 8 + lane / 4;
      if (pair > last) continue;
      const int64_t row = pair / shared_heads;
      const int head = static_cast<int>(blockIdx.y) * shared_heads + pair % shared_heads;
      float* y = a.out + row * a.out_stride + head * a.head_dim;
      float factor = 1 / sum;
      if (a.partial != nullptr) {
        y = partial_sums(a, static_cast<int>(blockIdx.z), row, head);
        factor = 1;
        if (lane % 4 == 0) y[a.head_dim] = most[m][h] * a.scale, y[a.head_dim + 1] = sum;
      }
#pragma unroll
      for (int n = 0; n < kDim / 8; ++n) {
        const int i = n * 8 + lane % 4 * 2;
        if (i >= a.head_dim) continue;
        y[i] = out[m][n][2 * h] * factor, y[i + 1] = out[m][n][2 * h + 1] * factor;
      }
    }
  }
}

template <int kDim>
void launch(CudaDevice& device, const Attend& a) {
  launch_attend(device, a, attend_prompt<kDim>, kPairs, kThreads, Memory<kDim>::kBytes,
                "attention of a prompt");
}

}  // namespace

bool prompt_attends(const CudaDevice& device, const Attend& a) {
  return !a.exact && a.softcap == 0 && a.slopes == nullptr && a.scale > 0 && a.head_dim <= 128 &&
         tiles_attend(a) && device.shared_bytes() >= Memory<128>::kBytes;
}

void launch_prompt(CudaDevice& device, const Attend& a) {
  if (a.head_dim <= 64) {
    launch<64>(device, a);
  } else {
    launch<128>(device, a);
  }
}

}  // namespace awq::cuda
