#include "kernels/cuda/batch/products.h"

#include <algorithm>

#include "kernels/cuda/blas.h"
#include "kernels/cuda/matmul.h"
#include "kernels/cuda/tile_product.h"
#include "kernels/cuda/warpgroup_product.h"

namespace awq::cuda::batch {
namespace {

using Way = Product::Way;

const CudaWeight& cuda_weight(const PackedWeight* weight) {
  return static_cast<const CudaWeight&>(*weight);
}
const QuantTilesCuda& tiles_of(const PackedWeight* weight) {
  return static_cast<const QuantTilesCuda&>(*weight);
}
const FloatWeightCuda& table_of(const PackedWeight* weight) {
  return static_cast<const FloatWeightCuda&>(*weight);
}

bool all_tiles(std::span<const PackedWeight* const> weights) {
  return std::all_of(weights.begin(), weights.end(), [&](const PackedWeight* w) {
    if (cuda_weight(w).kind != CudaWeight::Kind::tiles) return false;
    const TileShape &a = tiles_of(w).shape, &b = tiles_of(weights.front()).shape;
    return a.bits == b.bits && a.groups == b.groups && a.in == b.in;
  });
}
bool all_tables(std::span<const PackedWeight* const> weights) {
  return std::all_of(weights.begin(), weights.end(), [&](const PackedWeight* w) {
    return cuda_weight(w).kind == CudaWeight::Kind::floats && table_of(w).dtype != DType::f32 &&
           table_of(w).dtype == table_of(weights.front()).dtype;
  });
}

void plan_tiles(const CudaDevice& device, Product& p, int64_t rows) {
  const QuantTilesCuda* tiles[Product::kWeights];
  bool halves = true;
  for (int i = 0; i < p.count; ++i) {
    tiles[i] = &tiles_of(p.weights[i]);
    halves &= tiles[i]->fits_halves;
  }
  const std::span<const QuantTilesCuda* const> weights(tiles, static_cast<size_t>(p.count));
  const TileShape shape = joined_shape(weights);
  const bool warpgroups = halves && has_warpgroups(device);
  const TilePath path = choose_path(shape, rows, warpgroups);
  const int padded = static_cast<int>(shape.strip_tiles() * kTileInputs / 8);
  if (path == TilePath::strips) {
    p.way = Way::strips;
  } else if (path == TilePath::warpgroups) {
    p.way = Way::warpgroups;
    p.plan = plan_warpgroups(shape, rows, device.multiprocessors());
    p.inputs = {Layout::warpgroups, nullptr, padded_rows(p.plan, rows), padded};
  } else if (path == TilePath::dense && halves) {
    p.way = Way::decoded;
    p.inputs = {Layout::halves, nullptr, rows, padded};
  }
}

}  // namespace

Product plan_product(const CudaDevice& device, std::span<const PackedWeight* const> weights,
                     int64_t rows) {
  AWQ_CHECK(weights.size() <= Product::kWeights, weights.size());
  Product p;
  for (const PackedWeight* w : weights) p.weights[p.count++] = w;
  const auto words = static_cast<int>(weights.front()->in / 8);
  p.inputs = {Layout::floats, nullptr, rows, words};
  if (all_tiles(weights)) {
    plan_tiles(device, p, rows);
  } else if (rows > kFloatRowTokens && all_tables(weights)) {
    p.way = Way::floats;
    const bool half = table_of(weights.front()).dtype == DType::f16;
    p.inputs.layout = half ? Layout::halves : Layout::bfloats;
  }
  return p;
}

size_t input_bytes(const Product& product, int64_t rows) {
  const size_t word = product.inputs.layout == Layout::floats ? 32 : 16;
  return static_cast<size_t>(std::max(rows, product.inputs.padded_rows) * product.inputs.words) *
         word;
}

void multiply(CudaDevice& device, const Product& product, std::span<const Matrix> ys) {
  const auto count = static_cast<size_t>(product.count);
  const int64_t rows = ys.front().rows, in = product.weights[0]->in;
  const void* inputs = product.inputs.data;
  const Matrix x(static_cast<float*>(product.inputs.data), rows, in);
  const QuantTilesCuda* tiles[Product::kWeights];
  for (size_t i = 0; i < count; ++i) tiles[i] = static_cast<const QuantTilesCuda*>(product.weights[i]);
  switch (product.way) {
    case Way::warpgroups:
      return multiply_warpgroup_inputs(device, inputs, rows, {{tiles, count}, nullptr, ys},
                                       product.plan);
    case Way::decoded:
      for (size_t i = 0; i < count; ++i) multiply_decoded(device, inputs, *tiles[i], nullptr, ys[i]);
      return;
    case Way::floats:
      for (size_t i = 0; i < count; ++i) {
        const FloatWeightCuda& w = table_of(product.weights[i]);
        gemm_f16(device, w.data(), w.dtype, inputs, ys[i].data, w.out, in, rows, ys[i].stride);
      }
      return;
    case Way::strips:
      if (multiply_together(device, x, {tiles, count}, ys)) return;
      [[fallthrough]];
    case Way::ops:
      for (size_t i = 0; i < count; ++i) matmul(device, x, *product.weights[i], nullptr, ys[i]);
  }
}

}  // namespace awq::cuda::batch
