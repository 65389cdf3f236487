// The steps of a batch between its products and its attention; each writes what the next product
// reads (inputs.cuh). All of them start early and wait for the kernel before them.
#pragma once

#include "kernels/cuda/batch/inputs.cuh"
#include "kernels/cuda/device.h"
#include "kernels/cuda/weights.h"

namespace awq::cuda::batch {

/// What the sequences of a step read and leave for the next one, all device memory.
struct State {
  int32_t* tokens;     ///< [sequences]
  int32_t* positions;  ///< [sequences]
  int32_t* answers;    ///< [steps][sequences]
  int32_t* step;       ///< steps begun
};

/// x[t] = row tokens[t] of the table; `step`, where given, counts the call.
void embed(CudaDevice& device, const FloatWeightCuda& table, const int32_t* tokens, int32_t* step,
           Matrix x);

/// x += added (where given); y = RMS norm of x times `weight`. Rows of up to kMostNormed.
constexpr int64_t kMostNormed = 16384;
void norm(CudaDevice& device, Matrix x, const float* added, const float* weight, float epsilon,
          const Inputs& y);

/// y = act(gate) * up.
void act_mul(CudaDevice& device, Activation kind, Matrix gate, Matrix up, const Inputs& y);

/// y = x.
void convert(CudaDevice& device, Matrix x, const Inputs& y);

/// Greedy: each sequence's most likely token is its next one, its position the next.
void advance(CudaDevice& device, Matrix logits, const State& state);

}  // namespace awq::cuda::batch
