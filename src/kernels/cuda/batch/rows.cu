#include "kernels/cuda/batch/rows.h"

#include <algorithm>

#include "kernels/cuda/activate.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/tile_product.h"

namespace awq::cuda::batch {
namespace {

constexpr int kThreads = 256, kNormWords = 2;

template <class T>
__global__ void embed_kernel(const T* table, const int32_t* tokens, int32_t* step, Matrix x) {
  let_next_start();
  wait_for_previous();
  if (step != nullptr && blockIdx.x == 0 && threadIdx.x == 0) ++*step;
  const T* from = table + tokens[blockIdx.x] * x.cols;
  float* to = x.data + blockIdx.x * x.stride;
  for (int64_t i = threadIdx.x; i < x.cols; i += blockDim.x) to[i] = static_cast<float>(from[i]);
}

struct NormRows {
  Matrix x;
  const float *added, *weight;  // `added` rows lie as those of x, or null
  float epsilon;
  Inputs y;
};

// A block a row; a thread holds its words between the sum of squares and the product.
__global__ void __launch_bounds__(1024) norm_kernel(const __grid_constant__ NormRows n) {
  __shared__ float shared[32];
  const int64_t row = blockIdx.x;
  const int words = static_cast<int>(n.x.cols / 8);
  float* x = n.x.data + row * n.x.stride;
  let_next_start();
  float held[kNormWords][8], weight[kNormWords][8], square = 0;
#pragma unroll
  for (int w = 0; w < kNormWords; ++w) {
    const int word = static_cast<int>(threadIdx.x + w * blockDim.x);
    if (word < words) load_8(n.weight + word * 8, weight[w]);
  }
  wait_for_previous();
#pragma unroll
  for (int w = 0; w < kNormWords; ++w) {
    const int word = static_cast<int>(threadIdx.x + w * blockDim.x);
    if (word < words) {
      load_8(x + word * 8, held[w]);
      if (n.added != nullptr) {
        float more[8];
        load_8(n.added + row * n.x.stride + word * 8, more);
#pragma unroll
        for (int i = 0; i < 8; ++i) held[w][i] += more[i];
        auto* to = reinterpret_cast<float4*>(x) + word * 2;
        to[0] = {held[w][0], held[w][1], held[w][2], held[w][3]};
        to[1] = {held[w][4], held[w][5], held[w][6], held[w][7]};
      }
    } else {
#pragma unroll
      for (float& v : held[w]) v = 0;
    }
#pragma unroll
    for (const float v : held[w]) square += v * v;
  }
  const float factor =
      1.0f / sqrtf(block_sum(square, shared) / static_cast<float>(n.x.cols) + n.epsilon);
#pragma unroll
  for (int w = 0; w < kNormWords; ++w) {
    const int word = static_cast<int>(threadIdx.x + w * blockDim.x);
    if (word - static_cast<int>(threadIdx.x % 32) >= n.y.words) break;  // a warp at a time
    if (word < words) {
#pragma unroll
      for (int i = 0; i < 8; ++i) held[w][i] *= factor * weight[w][i];
    }
    store_inputs(n.y, row, word, word < n.y.words, held[w]);
  }
}

struct ActMul {
  Activation kind;
  Matrix gate, up;
  Inputs y;
};

// A thread has eight values, so that the stores are whole words of every layout.
__global__ void act_mul_kernel(const __grid_constant__ ActMul a) {
  const int64_t row = blockIdx.x;
  const int word = static_cast<int>(blockIdx.y * kThreads + threadIdx.x);
  let_next_start();
  wait_for_previous();
  float gate[8] = {};
  if (word * 8 < a.gate.cols) {
    float up[8];
    load_8(a.gate.data + row * a.gate.stride + word * 8, gate);
    load_8(a.up.data + row * a.up.stride + word * 8, up);
#pragma unroll
    for (int i = 0; i < 8; ++i) gate[i] = activate(a.kind, gate[i]) * up[i];
  }
  store_inputs(a.y, row, word, word < a.y.words, gate);
}

__global__ void convert_kernel(const Matrix x, const __grid_constant__ Inputs y) {
  const int64_t row = blockIdx.x;
  const int word = static_cast<int>(blockIdx.y * kThreads + threadIdx.x);
  let_next_start();
  wait_for_previous();
  float v[8] = {};
  if (word * 8 < x.cols) load_8(x.data + row * x.stride + word * 8, v);
  store_inputs(y, row, word, word < y.words, v);
}

__global__ void advance_kernel(const Matrix logits, const __grid_constant__ State state) {
  __shared__ Best shared[32];
  let_next_start();
  wait_for_previous();
  const float* x = logits.data + blockIdx.x * logits.stride;
  Best best = Best::none();
#pragma unroll 4
  for (int64_t i = threadIdx.x; i < logits.cols; i += blockDim.x) {
    best.take({__ldcg(x + i), static_cast<int32_t>(i)});
  }
  best = block_best(best, shared);
  if (threadIdx.x != 0) return;
  const int32_t token = best.index == INT32_MAX ? 0 : best.index;
  state.tokens[blockIdx.x] = token;
  state.answers[static_cast<int64_t>(*state.step - 1) * gridDim.x + blockIdx.x] = token;
  ++state.positions[blockIdx.x];
}

dim3 words_grid(int64_t rows, int words) {
  return {static_cast<unsigned>(rows), static_cast<unsigned>((words + kThreads - 1) / kThreads)};
}

}  // namespace

void embed(CudaDevice& device, const FloatWeightCuda& table, const int32_t* tokens, int32_t* step,
           Matrix x) {
  const auto rows = static_cast<unsigned>(x.rows);
  const auto run = [&]<class T>(const T* data) {
    launch(device, "an embedding", embed_kernel<T>, rows, kThreads, 0, data, tokens, step, x);
  };
  switch (table.dtype) {
    case DType::f32: return run(static_cast<const float*>(table.data()));
    case DType::f16: return run(static_cast<const __half*>(table.data()));
    default: return run(static_cast<const __nv_bfloat16*>(table.data()));
  }
}

void norm(CudaDevice& device, Matrix x, const float* added, const float* weight, float epsilon,
          const Inputs& y) {
  AWQ_CHECK(x.cols % 8 == 0 && x.cols <= kMostNormed && x.stride % 4 == 0, x.cols, x.stride);
  const auto threads = static_cast<unsigned>(std::min((y.words + 31) / 32 * 32, 1024));
  launch(device, "a norm", norm_kernel, static_cast<unsigned>(x.rows), threads, 0,
         NormRows{x, added, weight, epsilon, y});
}

void act_mul(CudaDevice& device, Activation kind, Matrix gate, Matrix up, const Inputs& y) {
  launch(device, "an activation", act_mul_kernel, words_grid(gate.rows, y.words), kThreads, 0,
         ActMul{kind, gate, up, y});
}

void convert(CudaDevice& device, Matrix x, const Inputs& y) {
  launch(device, "activations", convert_kernel, words_grid(x.rows, y.words), kThreads, 0, x, y);
}

void advance(CudaDevice& device, Matrix logits, const State& state) {
  launch(device, "the next tokens", advance_kernel, static_cast<unsigned>(logits.rows), 1024, 0,
         logits, state);
}

}  // namespace awq::cuda::batch
