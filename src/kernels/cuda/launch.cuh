// What the kernels of single rows share: reductions over a block, and copies of small host arrays.
#pragma once

#include <cuda_runtime.h>

#include <span>

#include "kernels/cuda/device.h"

namespace awq::cuda {

constexpr int kRowThreads = 256;

/// Blocks of 256 threads for so many warps.
inline unsigned warps_grid(int64_t warps) { return static_cast<unsigned>((warps + 7) / 8); }

/// Sum over the block, in the same order every time; all threads get it. One `shared` of 32 floats.
template <class T>
__device__ inline T block_sum(T value, T* shared) {
  for (int lanes = 16; lanes > 0; lanes /= 2) value += __shfl_xor_sync(~0u, value, lanes);
  __syncthreads();
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = value;
  __syncthreads();
  T total = 0;
  for (unsigned w = 0; w < blockDim.x / 32; ++w) total += shared[w];
  return total;
}

/// The largest of some values and where it lies: the first on ties; NaN never wins.
struct Best {
  float value;
  int32_t index;

  static __device__ Best none() { return {-INFINITY, INT32_MAX}; }
  __device__ void take(Best other) {
    if (other.value > value || (other.value == value && other.index < index)) *this = other;
  }
};

/// The best of the block; all threads get it. One `shared` of 32.
__device__ inline Best block_best(Best best, Best* shared) {
  for (int lanes = 16; lanes > 0; lanes /= 2) {
    best.take({__shfl_xor_sync(~0u, best.value, lanes), __shfl_xor_sync(~0u, best.index, lanes)});
  }
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = best;
  __syncthreads();
  for (unsigned w = 0; w < blockDim.x / 32; ++w) best.take(shared[w]);
  return best;
}

/// RoPE of one pair: (a, b) turned by `angle` and multiplied by `magnitude`.
__device__ inline float2 rotate(float a, float b, float angle, float magnitude) {
  float sine, cosine;
  sincosf(angle, &sine, &cosine);
  sine *= magnitude;
  cosine *= magnitude;
  return {a * cosine - b * sine, a * sine + b * cosine};
}

/// A host array in device scratch. From pageable memory the copy is staged before the call returns,
/// so `host` may go away, and the stream keeps the order of use.
template <class T>
const T* on_device(CudaDevice& device, int slot, std::span<const T> host) {
  void* data = device.scratch(slot, host.size_bytes() + 1);
  if (!host.empty()) {
    check(cudaMemcpyAsync(data, host.data(), host.size_bytes(), cudaMemcpyHostToDevice,
                          device.stream()), "an upload");
  }
  return static_cast<const T*>(data);
}

}  // namespace awq::cuda
