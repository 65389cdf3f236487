#include <algorithm>
#include <string_view>

#include "kernels/cuda/tile_product.h"
#include "kernels/cuda/warpgroup_product.h"

namespace awq::cuda {
namespace {

enum Slot { kActivations = 1 };

const WarpgroupKernel& find_kernel(const TileShape& shape, int columns) {
  const WarpgroupKernels& width = shape.bits == 2   ? kWarpgroupKernels2
                                  : shape.bits == 3 ? kWarpgroupKernels3
                                  : shape.bits == 4 ? kWarpgroupKernels4
                                                    : kWarpgroupKernels8;
  return width.of[shape.groups / 2][columns / 128];
}

}  // namespace

bool has_warpgroups(const CudaDevice& device) {
  constexpr bool kBuilt =
      std::string_view(AWQ_CUDA_ARCHITECTURES).find("90a") != std::string_view::npos;
  return kBuilt && device.compute_capability() == 90;
}

void multiply_warpgroups(CudaDevice& device, Matrix x, const QuantTilesCuda& w, const float* bias,
                         Matrix y, const WarpgroupPlan& plan) {
  AWQ_CHECK(has_warpgroups(device) && w.fits_halves && plan.input_parts <= w.shape.strip_tiles(),
            plan.input_parts);
  const WarpgroupKernel& kernel = find_kernel(w.shape, plan.columns);
  const int64_t token_tiles = (x.rows + plan.columns - 1) / plan.columns;
  const int64_t padded = token_tiles * plan.columns;
  const int rows = warpgroup_rows(plan.columns);
  const int64_t row_blocks = (w.out + rows - 1) / rows;
  void* inputs = device.scratch(
      kActivations, static_cast<size_t>(padded * w.shape.strip_tiles() * kTileInputs) * 2);
  store_warpgroup_inputs(device, x, inputs, padded, w.shape.strip_tiles());
  WarpgroupArgs a{};
  a.codes = w.codes(), a.meta = w.meta(), a.x = inputs, a.bias = bias;
  a.y = y.data, a.y_stride = y.stride;
  a.y_aligned = y.stride % 4 == 0 && reinterpret_cast<uintptr_t>(y.data) % 16 == 0;
  a.tokens = static_cast<int>(x.rows), a.padded_tokens = static_cast<int>(padded);
  a.out = static_cast<int>(w.out), a.strips = static_cast<int>(w.shape.strips());
  a.strip_tiles = static_cast<int>(w.shape.strip_tiles());
  a.input_parts = plan.input_parts;
  a.token_tiles = static_cast<int>(token_tiles);
  a.tiles = static_cast<int>(token_tiles * row_blocks);
  // Blocks that share the inputs use the memory of the rings for their sums: one tile each. Others
  // take tile after tile.
  const int clusters =
      plan.input_parts == 1 ? std::min(a.tiles, device.multiprocessors()) : a.tiles;
  launch_clusters(device, "warpgroups_kernel", kernel.run,
                  dim3(static_cast<unsigned>(clusters * plan.input_parts)),
                  dim3(static_cast<unsigned>(kernel.threads)), static_cast<size_t>(kernel.bytes),
                  plan.input_parts, a);
}

}  // namespace awq::cuda
