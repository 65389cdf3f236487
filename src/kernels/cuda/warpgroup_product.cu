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
  const int64_t row_blocks = (w.out + 127) / 128;
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
  a.row_parts = plan.row_parts, a.input_parts = plan.input_parts;
  a.token_tiles = static_cast<int>(token_tiles);
  a.tiles = static_cast<int>(token_tiles * ((row_blocks + plan.row_parts - 1) / plan.row_parts));
  const int cluster = plan.row_parts * plan.input_parts;
  // Blocks that share the inputs use the memory of the rings for their sums: one tile each. Others
  // take tile after tile.
  int clusters = a.tiles;
  if (plan.input_parts == 1) {
    clusters =
        std::min(clusters, kernel.resident * std::max(1, device.multiprocessors() / cluster));
  }
  launch_clusters(
      device, "warpgroups_kernel", kernel.run, dim3(static_cast<unsigned>(clusters * cluster)),
      dim3(static_cast<unsigned>(kernel.threads)), static_cast<size_t>(kernel.bytes), cluster, a);
}

}  // namespace awq::cuda
