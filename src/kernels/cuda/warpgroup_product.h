// Products with tiled weights on Hopper's warpgroups (warpgroup_kernels.cuh).
#pragma once

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

/// One instance of the kernel.
struct WarpgroupKernel {
  void (*run)(WarpgroupArgs);
  int threads, bytes;  ///< of a block; a multiprocessor has one
};
/// The instances of a width: [groups of a tile 1, 2, 4][columns 64, 128, 256].
struct WarpgroupKernels {
  WarpgroupKernel of[3][3];
};
extern const WarpgroupKernels kWarpgroupKernels2, kWarpgroupKernels3, kWarpgroupKernels4,
    kWarpgroupKernels8;

}  // namespace awq::cuda
