// The activation functions of ops.h on the device.
#pragma once

#include "kernels/ops.h"

namespace awq::cuda {

__device__ inline float activate(Activation kind, float x) {
  switch (kind) {
    case Activation::silu: return x / (1 + expf(-x));
    case Activation::gelu: return 0.5f * x * (1 + erff(x * 0.70710678f));
    case Activation::gelu_tanh:
      return 0.5f * x * (1 + tanhf(0.79788456f * (x + 0.044715f * x * x * x)));
    case Activation::relu: return fmaxf(x, 0);
    default: return x / (1 + expf(-1.702f * x));
  }
}

}  // namespace awq::cuda
