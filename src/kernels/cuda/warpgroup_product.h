// Products with tiled weights on Hopper's warpgroups (warpgroup_kernels.cuh).
#pragma once

#include <span>

#include "kernels/cuda/device.h"
#include "kernels/cuda/product_plan.h"
#include "kernels/cuda/warpgroup_args.h"
#include "kernels/cuda/weights.h"

namespace awq::cuda {

/// Whether this build has them and the device can run them.
bool has_warpgroups(const CudaDevice& device);

/// y = x w^T + bias, sums in f32, weights and activations rounded to half. Rows of y may lie apart;
/// equal calls give equal bits. Only where has_warpgroups(), for weights with fits_halves.
void multiply_warpgroups(CudaDevice& device, Matrix x, const QuantTilesCuda& w, const float* bias,
                         Matrix y, const WarpgroupPlan& plan);

/// What multiply_warpgroups() does once x lies in halves (store_warpgroup_inputs(), with `rows` rows
/// padded to whole columns of the plan), for up to three weights of one shape of tiles at once.
struct WarpgroupProduct {
  std::span<const QuantTilesCuda* const> weights;
  const float* bias = nullptr;  ///< of a single weight, or null
  std::span<const Matrix> ys;   ///< [rows, out of the weight]
};
void multiply_warpgroup_inputs(CudaDevice& device, const void* inputs, int64_t rows,
                               const WarpgroupProduct& product, const WarpgroupPlan& plan);

/// Rows of the activations of a plan: whole columns.
constexpr int64_t padded_rows(const WarpgroupPlan& plan, int64_t rows) {
  return (rows + plan.columns - 1) / plan.columns * plan.columns;
}
/// A shape with as many blocks of 256 rows as the weights have together, for plan_warpgroups().
TileShape joined_shape(std::span<const QuantTilesCuda* const> weights);

/// One instance of the kernel.
struct WarpgroupKernel {
  void (*run)(WarpgroupArgs);
  int threads, bytes;  ///< of a block; a multiprocessor has one
};
/// The instances of a width: [groups of a tile 1, 2, 4][columns 32, 64, 128, 256].
struct WarpgroupKernels {
  WarpgroupKernel of[3][4];
};
extern const WarpgroupKernels kWarpgroupKernels2, kWarpgroupKernels3, kWarpgroupKernels4,
    kWarpgroupKernels8;

}  // namespace awq::cuda
