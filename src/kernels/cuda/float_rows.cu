// Float weights times few tokens, bound by reading the weights, and rows of a float table.
#include <cuda_bf16.h>

#include <algorithm>

#include "kernels/check_shapes.h"
#include "kernels/cuda/matmul.h"
#include "kernels/cuda/tile_math.cuh"
#include "kernels/cuda/tile_product.h"

namespace awq::cuda {
namespace {

constexpr int kRows = 4;    ///< of a warp: the activations are read once for all of them
constexpr int kUnroll = 2;  ///< steps whose weights are on their way at once

struct RowsArgs {
  const void* w;
  const float *x, *bias;
  float* y;
  int64_t x_stride, y_stride, out, in;
  int tokens;
};

/// kCount values of a row in one load of up to 16 bytes.
template <class T, int kCount>
struct alignas(sizeof(T) * kCount) Pack {
  T v[kCount];
};

template <class T, int kCount>
__device__ __forceinline__ Pack<T, kCount> load_once(const T* from) {
  Pack<T, kCount> pack;
  if constexpr (sizeof(pack) == 16) {  // not kept in L1: nobody reads a weight twice
    uint4 v;
    asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0,%1,%2,%3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                 : "l"(from));
    *reinterpret_cast<uint4*>(&pack) = v;
  } else {
    pack.v[0] = *from;
  }
  return pack;
}

/// A warp has kRows rows; a lane takes kCount inputs of every 32 * kCount. kCount is 1 where rows
/// are not aligned to 16 bytes.
template <class T, int kCount, int kTokens>
__global__ __launch_bounds__(256) void rows_kernel(const __grid_constant__ RowsArgs a) {
  constexpr int kStep = 32 * kCount;
  const int lane = threadIdx.x & 31;
  const int64_t first = (static_cast<int64_t>(blockIdx.x) * kWarps + (threadIdx.x >> 5)) * kRows;
  const T* w = static_cast<const T*>(a.w);
  const auto weight = [&](int r, int64_t k) {  // a row beyond the last repeats it
    return load_once<T, kCount>(w + min(first + r, a.out - 1) * a.in + k);
  };
  const auto add = [&](float(&sums)[kRows][kTokens], const Pack<T, kCount>(&p)[kRows], int64_t k) {
#pragma unroll
    for (int m = 0; m < kTokens; ++m) {
      const float* x = a.x + min(m, a.tokens - 1) * a.x_stride + k;
      float values[kCount];
      if constexpr (kCount >= 4) {
#pragma unroll
        for (int i = 0; i < kCount; i += 4) {
          const float4 v = *reinterpret_cast<const float4*>(x + i);
          values[i] = v.x, values[i + 1] = v.y, values[i + 2] = v.z, values[i + 3] = v.w;
        }
      } else {
        values[0] = *x;
      }
#pragma unroll
      for (int r = 0; r < kRows; ++r) {
#pragma unroll
        for (int i = 0; i < kCount; ++i) sums[r][m] += static_cast<float>(p[r].v[i]) * values[i];
      }
    }
  };

  let_next_start();
  float sums[kRows][kTokens] = {};
  Pack<T, kCount> p[kUnroll][kRows];
  int64_t k = lane * kCount;
  const bool several = k + (kUnroll - 1) * kStep < a.in;
  if (several) {  // the weights do not wait for the kernel before
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) {
#pragma unroll
      for (int r = 0; r < kRows; ++r) p[u][r] = weight(r, k + u * kStep);
    }
  }
  wait_for_previous();
  if (several) {
    for (;;) {
#pragma unroll
      for (int u = 0; u < kUnroll; ++u) add(sums, p[u], k + u * kStep);
      k += kUnroll * kStep;
      if (k + (kUnroll - 1) * kStep >= a.in) break;
#pragma unroll
      for (int u = 0; u < kUnroll; ++u) {
#pragma unroll
        for (int r = 0; r < kRows; ++r) p[u][r] = weight(r, k + u * kStep);
      }
    }
  }
  for (; k < a.in; k += kStep) {
#pragma unroll
    for (int r = 0; r < kRows; ++r) p[0][r] = weight(r, k);
    add(sums, p[0], k);
  }
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
#pragma unroll
    for (int m = 0; m < kTokens; ++m) {
      float sum = sums[r][m];
      for (int s = 16; s; s >>= 1) sum += __shfl_xor_sync(~0u, sum, s);
      const int64_t o = first + r;
      if (lane == 0 && o < a.out && m < a.tokens) {
        a.y[m * a.y_stride + o] = a.bias == nullptr ? sum : sum + a.bias[o];
      }
    }
  }
}

template <class T, int kCount>
void launch_rows(CudaDevice& device, const RowsArgs& a) {
  const auto blocks = static_cast<unsigned>((a.out + kWarps * kRows - 1) / (kWarps * kRows));
  const auto run = [&](auto kernel) { launch(device, "rows_kernel", kernel, blocks, 256, 0, a); };
  if (a.tokens == 1) return run(rows_kernel<T, kCount, 1>);
  if (a.tokens == 2) return run(rows_kernel<T, kCount, 2>);
  AWQ_CHECK(a.tokens <= kFloatRowTokens, a.tokens);
  return run(rows_kernel<T, kCount, 4>);
}

template <class T>
void launch_rows(CudaDevice& device, const RowsArgs& a) {
  constexpr int kCount = 16 / sizeof(T);
  if (a.in % kCount == 0 && a.x_stride % 4 == 0 && reinterpret_cast<uintptr_t>(a.x) % 16 == 0) {
    launch_rows<T, kCount>(device, a);
  } else {
    launch_rows<T, 1>(device, a);
  }
}

// ---- embedding ----

/// Token ids travel with the launch: no copy that the host would have to keep alive.
constexpr int kIds = 512;
struct EmbedArgs {
  const void* table;
  float* y;
  int64_t in, y_stride;
  int32_t ids[kIds];
};

template <class T>
__global__ void embed_kernel(const __grid_constant__ EmbedArgs a) {
  let_next_start();
  wait_for_previous();
  const T* from = static_cast<const T*>(a.table) + a.ids[blockIdx.x] * a.in;
  float* to = a.y + blockIdx.x * a.y_stride;
  for (int64_t i = threadIdx.x; i < a.in; i += blockDim.x) to[i] = static_cast<float>(from[i]);
}

}  // namespace

void multiply_float_rows(CudaDevice& device, Matrix x, const FloatWeightCuda& w, const float* bias,
                         Matrix y) {
  const RowsArgs a = {
      w.data(), x.data, bias, y.data, x.stride, y.stride, w.out, w.in, static_cast<int>(x.rows)};
  switch (w.dtype) {
    case DType::f32: return launch_rows<float>(device, a);
    case DType::f16: return launch_rows<__half>(device, a);
    default: return launch_rows<__nv_bfloat16>(device, a);
  }
}

void embed(Device& device, std::span<const int32_t> ids, const PackedWeight& table, Matrix y) {
  check_embed(ids, table, y);
  const auto& weight = static_cast<const CudaWeight&>(table);
  AWQ_CHECK(weight.kind == CudaWeight::Kind::floats, "quantized embedding");
  const auto& floats = static_cast<const FloatWeightCuda&>(weight);
  EmbedArgs a = {floats.data(), nullptr, table.in, y.stride, {}};
  for (size_t first = 0; first < ids.size(); first += kIds) {
    const auto part = ids.subspan(first, std::min<size_t>(kIds, ids.size() - first));
    std::copy(part.begin(), part.end(), a.ids);
    a.y = y.row(static_cast<int64_t>(first));
    const auto run = [&](auto kernel) {
      launch(cuda_device(device), "embed_kernel", kernel, static_cast<unsigned>(part.size()), 256,
             0, a);
    };
    switch (floats.dtype) {
      case DType::f32: run(embed_kernel<float>); break;
      case DType::f16: run(embed_kernel<__half>); break;
      default: run(embed_kernel<__nv_bfloat16>); break;
    }
  }
}

}  // namespace awq::cuda
