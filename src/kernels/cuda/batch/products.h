// The products of a batch: one or more weights that read the same activations.
#pragma once

#include <span>

#include "kernels/cuda/batch/inputs.cuh"
#include "kernels/cuda/product_plan.h"
#include "kernels/ops.h"
#include "kernels/cuda/device.h"

namespace awq::cuda::batch {

/// How weights of one input are multiplied with so many rows, and how the rows must lie.
struct Product {
  static constexpr int kWeights = 3;
  enum class Way {
    ops,         ///< each by matmul(), from floats
    strips,      ///< together, from floats
    warpgroups,  ///< together
    decoded,     ///< each by cuBLAS, decoded first
    floats,      ///< each by cuBLAS, 16-bit tables
  };
  Way way = Way::ops;
  WarpgroupPlan plan;
  Inputs inputs;  ///< all but the memory
  const PackedWeight* weights[kWeights] = {};
  int count = 0;
};

Product plan_product(const CudaDevice& device, std::span<const PackedWeight* const> weights,
                     int64_t rows);
/// Memory of the inputs.
size_t input_bytes(const Product& product, int64_t rows);
/// ys[i] = inputs w_i^T; `product` with its memory.
void multiply(CudaDevice& device, const Product& product, std::span<const Matrix> ys);

}  // namespace awq::cuda::batch
