// f32 activations to the halves and bfloats that tensor cores take, and results put together.
#include <cuda_bf16.h>

#include <type_traits>

#include "kernels/cuda/tile_math.cuh"
#include "kernels/cuda/tile_product.h"
#include "kernels/cuda/transpose.cuh"

namespace awq::cuda {
namespace {

constexpr int kThreads = 256;

dim3 grid_of(int64_t rows, int64_t row_threads) {
  return {static_cast<unsigned>(rows),
          static_cast<unsigned>((row_threads + kThreads - 1) / kThreads)};
}

/// Eight consecutive values of row `row` from column k on, zeros beyond the matrix.
__device__ __forceinline__ void load_8(const Matrix& x, int64_t row, int64_t k, bool aligned,
                                       float (&v)[8]) {
  const bool inside = row < x.rows && k < x.cols;
  const float* from = x.data + row * x.stride + k;
  if (inside && aligned && k + 8 <= x.cols) {
    const float4 a = __ldcg(reinterpret_cast<const float4*>(from)),
                 b = __ldcg(reinterpret_cast<const float4*>(from) + 1);
    v[0] = a.x, v[1] = a.y, v[2] = a.z, v[3] = a.w, v[4] = b.x, v[5] = b.y, v[6] = b.z, v[7] = b.w;
  } else {
#pragma unroll
    for (int i = 0; i < 8; ++i) v[i] = inside && k + i < x.cols ? __ldcg(from + i) : 0.f;
  }
}

__global__ void halves_kernel(const Matrix x, bool aligned, uint4* y, int64_t row_words) {
  const int64_t row = blockIdx.x, word = static_cast<int64_t>(blockIdx.y) * kThreads + threadIdx.x;
  let_next_start();
  wait_for_previous();
  if (word >= row_words) return;
  float v[8];
  load_8(x, row, word * 8, aligned, v);
  y[row * row_words + word] = {activation_halves(v[0], v[1]), activation_halves(v[2], v[3]),
                               activation_halves(v[4], v[5]), activation_halves(v[6], v[7])};
}

/// See store_warpgroup_inputs().
__global__ void warpgroup_inputs_kernel(const Matrix x, bool aligned, uint4* y, int64_t padded_rows,
                                        int64_t row_words) {
  const int64_t row = blockIdx.x, word = static_cast<int64_t>(blockIdx.y) * kThreads + threadIdx.x;
  let_next_start();
  wait_for_previous();
  float v[8];
  load_8(x, row, word * 8, aligned, v);
  uint32_t p[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) p[i] = activation_halves(v[2 * i], v[2 * i + 1]);
  transpose_pairs(p);
  if (word < row_words) {
    y[(word / 8 * padded_rows + row) * 8 + ((word % 8) ^ (row % 8))] = {p[0], p[1], p[2], p[3]};
  }
}

template <class T>
__global__ void contiguous_kernel(const Matrix x, bool aligned, T* y) {
  const int64_t row = blockIdx.x;
  const int64_t k = (static_cast<int64_t>(blockIdx.y) * kThreads + threadIdx.x) * 8;
  let_next_start();
  wait_for_previous();
  if (k >= x.cols) return;
  float v[8];
  load_8(x, row, k, aligned, v);
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    if (k + i >= x.cols) break;
    if constexpr (std::is_same_v<T, __half>) {
      const uint32_t pair = activation_halves(v[i], 0.f);
      y[row * x.cols + k + i] = __low2half(*reinterpret_cast<const __half2*>(&pair));
    } else {
      y[row * x.cols + k + i] = __float2bfloat16_rn(v[i]);
    }
  }
}

__global__ void fill_kernel(const float* bias, Matrix y) {
  const int64_t o = static_cast<int64_t>(blockIdx.y) * kThreads + threadIdx.x;
  let_next_start();
  wait_for_previous();
  if (o < y.cols) y.data[blockIdx.x * y.stride + o] = bias == nullptr ? 0.f : bias[o];
}

__global__ void sum_kernel(const float* partial, int splits, const float* bias, Matrix y) {
  const int64_t o = static_cast<int64_t>(blockIdx.y) * kThreads + threadIdx.x, row = blockIdx.x;
  let_next_start();
  wait_for_previous();
  if (o >= y.cols) return;
  const float* from = partial + row * y.cols + o;
  const int64_t step = y.rows * y.cols;
  float sum = bias == nullptr ? 0.f : bias[o];
#pragma unroll 8
  for (int s = 0; s < splits; ++s) sum += __ldcg(from + s * step);
  y.data[row * y.stride + o] = sum;
}

bool is_aligned(Matrix x) {
  return x.stride % 4 == 0 && reinterpret_cast<uintptr_t>(x.data) % 16 == 0;
}

}  // namespace

void store_halves(CudaDevice& device, Matrix x, __half* y, int64_t padded_rows,
                  int64_t padded_cols) {
  if (padded_cols % 8 == 0) {
    launch(device, "halves_kernel", halves_kernel, grid_of(padded_rows, padded_cols / 8), kThreads,
           0, x, is_aligned(x), reinterpret_cast<uint4*>(y), padded_cols / 8);
  } else {
    AWQ_CHECK(padded_rows == x.rows && padded_cols == x.cols, padded_rows, padded_cols);
    launch(device, "contiguous_kernel", contiguous_kernel<__half>,
           grid_of(x.rows, (x.cols + 7) / 8), kThreads, 0, x, is_aligned(x), y);
  }
}

void store_warpgroup_inputs(CudaDevice& device, Matrix x, void* y, int64_t padded_rows,
                            int64_t strip_tiles) {
  const int64_t row_words = strip_tiles * kTileInputs / 8;
  launch(device, "warpgroup_inputs_kernel", warpgroup_inputs_kernel,
         grid_of(padded_rows, row_words), kThreads, 0, x, is_aligned(x), static_cast<uint4*>(y),
         padded_rows, row_words);
}

void store_bfloats(CudaDevice& device, Matrix x, void* y) {
  launch(device, "contiguous_kernel", contiguous_kernel<__nv_bfloat16>,
         grid_of(x.rows, (x.cols + 7) / 8), kThreads, 0, x, is_aligned(x),
         static_cast<__nv_bfloat16*>(y));
}

void fill_rows(CudaDevice& device, const float* bias, Matrix y) {
  launch(device, "fill_kernel", fill_kernel, grid_of(y.rows, y.cols), kThreads, 0, bias, y);
}

void sum_splits(CudaDevice& device, const float* partial, int splits, const float* bias, Matrix y) {
  launch(device, "sum_kernel", sum_kernel, grid_of(y.rows, y.cols), kThreads, 0, partial, splits,
         bias, y);
}

}  // namespace awq::cuda
