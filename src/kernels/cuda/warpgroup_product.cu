#include <algorithm>
#include <string_view>

#include "kernels/cuda/tile_product.h"
#include "kernels/cuda/warpgroup_product.h"

namespace awq::cuda {
namespace {

enum Slot { kActivations = 1, kParts = 2 };

const WarpgroupKernel& find_kernel(const TileShape& shape, int columns) {
  const WarpgroupKernels& width = shape.bits == 2   ? kWarpgroupKernels2
                                  : shape.bits == 3 ? kWarpgroupKernels3
                                  : shape.bits == 4 ? kWarpgroupKernels4
                                                    : kWarpgroupKernels8;
  return width.of[shape.groups / 2][columns == 32 ? 0 : columns / 128 + 1];
}

}  // namespace

bool has_warpgroups(const CudaDevice& device) {
  constexpr bool kBuilt =
      std::string_view(AWQ_CUDA_ARCHITECTURES).find("90a") != std::string_view::npos;
  return kBuilt && device.compute_capability() == 90;
}

void multiply_warpgroups(CudaDevice& device, Matrix x, const QuantTilesCuda& w, const float* bias,
                         Matrix y, const WarpgroupPlan& plan) {
  const int64_t padded = padded_rows(plan, x.rows);
  void* inputs = device.scratch(
      kActivations, static_cast<size_t>(padded * w.shape.strip_tiles() * kTileInputs) * 2);
  store_warpgroup_inputs(device, x, inputs, padded, w.shape.strip_tiles());
  const QuantTilesCuda* const weight = &w;
  multiply_warpgroup_inputs(device, inputs, x.rows, {{&weight, 1}, bias, {&y, 1}}, plan);
}

void multiply_warpgroup_inputs(CudaDevice& device, const void* inputs, int64_t rows,
                               const WarpgroupProduct& product, const WarpgroupPlan& plan) {
  const TileShape& shape = product.weights.front()->shape;
  AWQ_CHECK(has_warpgroups(device) && plan.input_parts <= shape.strip_tiles() &&
                product.weights.size() <= WarpgroupArgs::kSegments,
            plan.input_parts);
  const WarpgroupKernel& kernel = find_kernel(shape, plan.columns);
  const int64_t padded = padded_rows(plan, rows), token_tiles = padded / plan.columns;
  const int block_rows = warpgroup_rows(plan.columns);
  WarpgroupArgs a{};
  int64_t row_blocks = 0;
  for (const QuantTilesCuda* w : product.weights) {
    AWQ_CHECK(w->fits_halves && w->shape.bits == shape.bits && w->shape.groups == shape.groups &&
                  w->in == shape.in, w->in);
    const Matrix& y = product.ys[static_cast<size_t>(a.count)];
    a.segments[a.count++] = {
        w->codes(), w->meta(), product.bias, y.data, y.stride, static_cast<int>(w->out),
        static_cast<int>(w->shape.strips()), static_cast<int>(row_blocks),
        y.stride % 4 == 0 && reinterpret_cast<uintptr_t>(y.data) % 16 == 0};
    row_blocks += (w->out + block_rows - 1) / block_rows;
  }
  a.x = inputs;
  a.tokens = static_cast<int>(rows), a.padded_tokens = static_cast<int>(padded);
  a.strip_tiles = static_cast<int>(shape.strip_tiles());
  a.input_parts = plan.input_parts;
  a.token_tiles = static_cast<int>(token_tiles);
  a.tiles = static_cast<int>(token_tiles * row_blocks);
  // Blocks that share the inputs use the memory of the rings for their sums: one tile each. Others
  // take tile after tile.
  int clusters = plan.input_parts == 1 ? std::min(a.tiles, device.multiprocessors()) : a.tiles;
  if (plan.even) {
    AWQ_CHECK(plan.input_parts == 1, plan.input_parts);
    clusters = std::min(a.tiles * a.strip_tiles, device.multiprocessors());
    a.parts = static_cast<float*>(device.scratch(
        kParts, static_cast<size_t>(clusters) * static_cast<size_t>(block_rows * plan.columns) * 4));
    a.flags = device.flags(clusters);
  }
  launch_clusters(device, "warpgroups_kernel", kernel.run,
                  dim3(static_cast<unsigned>(clusters * plan.input_parts)),
                  dim3(static_cast<unsigned>(kernel.threads)), static_cast<size_t>(kernel.bytes),
                  plan.input_parts, a);
}

TileShape joined_shape(std::span<const QuantTilesCuda* const> weights) {
  TileShape shape = weights.front()->shape;
  shape.out = 0;
  for (const QuantTilesCuda* w : weights) shape.out += (w->out + 255) / 256 * 256;
  return shape;
}

}  // namespace awq::cuda
