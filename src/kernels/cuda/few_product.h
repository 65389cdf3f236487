// Products of 1 to 8 rows that hand their results on as the next product reads them: what
// few_kernels.cuh takes. A decoder's block is then five launches: q, k, v; attention; o; gate, up; down.
#pragma once

#include <cuda_fp16.h>

#include "kernels/cuda/device.h"
#include "kernels/cuda/quant_tiles.h"
#include "kernels/ops.h"

namespace awq::cuda {

constexpr int64_t kFewTokens = 8;

/// Inputs lie as halves in one or two shares, [shares][tokens][share + 32]: a block reads its share of all tokens in
/// one piece, and the 64 bytes between rows let eight rows use all banks. Where input i of a token lies:
__host__ __device__ inline int64_t share_place(int64_t tokens, int64_t share, int64_t token, int64_t i) {
  const int64_t s = i >= share ? 1 : 0;
  return (s * tokens + token) * (share + 32) + i - s * share;
}
/// Inputs of the first share of `in`: whole tiles.
constexpr int64_t share_inputs(int64_t in, int shares) {
  return ((in + kTileInputs - 1) / kTileInputs + shares - 1) / shares * kTileInputs;
}
constexpr int64_t share_halves(int64_t tokens, int64_t in) { return tokens * (in + 2 * kTileInputs); }

/// The RMS norm in front of a product, whose inputs are x * weight / power: `squares` [tokens][parts] add
/// up to the sum of x^2, so that sums are multiplied with power / sqrt(squares / in + epsilon).
struct FewNorm {
  const float* squares = nullptr;  ///< null: no norm
  int parts = 0;
  float inverse = 0, epsilon = 0;  ///< 1 / in
  const float* power = nullptr;    ///< [tokens], of the inputs
  float* next_power = nullptr;     ///< [tokens]: few_power() of this norm, for the next one's inputs
};

/// The power of two by which x * weight is divided before it becomes halves, for rows of this mean square
/// (the norm's epsilon in it, so that rows of zeros have a measure too):
/// what grows to 65504 / 2^-8 times that root (1.6e7) still fits, and what is 2^-6 of it keeps all bits.
__device__ inline float few_power(float mean_square) {
  const int exponent = ilogbf(sqrtf(mean_square)) + 8;
  return exp2f(static_cast<float>(max(-100, min(100, exponent))));
}

enum class FewEnd {
  store,     ///< y = sums
  activate,  ///< next inputs = activation(gate) * up; the strips of both weights alternate
  residual,  ///< x += sums, next inputs = x * weight / power, squares
};

struct FewSegment {
  const uint8_t *codes, *meta;
  float* y;  ///< of FewEnd::store
  int64_t y_stride;
  int out;
  int first;  ///< its first strip among those of all segments
};

/// The weights of a product, up to three that read the same inputs.
struct FewWeights {
  static constexpr int kSegments = 3;
  FewSegment segments[kSegments];
  int count;
  bool paired;  ///< the strips of both weights alternate
  int units;    ///< strips, or pairs of them
  int strip_tiles, share_tiles;
  int shares;  ///< of the inputs: 1, or 2 for two blocks
};

struct FewArgs {
  FewWeights weights;
  FewEnd end;  ///< `activate` takes paired weights
  Activation activation;
  const __half* x;
  int tokens;
  int stages;  ///< of the ring
  FewNorm norm;
  float* residual;  ///< [tokens][residual_stride]
  int64_t residual_stride;
  const float* weight;  ///< [out], of the next norm
  const float* power;   ///< [tokens]
  float* squares;       ///< [tokens][clusters]
  __half* next;
  int next_share;  ///< inputs of its first share
};

/// Blocks, or pairs of them, that deal the units among themselves.
inline int few_clusters(const CudaDevice& device, const FewWeights& w) {
  return std::min(w.units, device.multiprocessors() / w.shares);
}

/// The kernels of one width; `groups` of a tile is 1, 2 or 4.
struct FewKernels {
  /// Stages of the ring that fit beside the inputs and sums: too few below kFewestStages.
  int (*stages)(const CudaDevice&, int groups, const FewArgs&) = nullptr;
  void (*run)(CudaDevice&, int groups, const FewArgs&) = nullptr;
};
extern const FewKernels kFewKernels2, kFewKernels3, kFewKernels4, kFewKernels8;
constexpr int kFewestStages = 4;

inline const FewKernels& few_kernels(int bits) {
  return bits == 2 ? kFewKernels2 : bits == 3 ? kFewKernels3 : bits == 4 ? kFewKernels4 : kFewKernels8;
}

}  // namespace awq::cuda
