#include <algorithm>

#include "kernels/check_shapes.h"
#include "kernels/cuda/blas.h"
#include "kernels/cuda/matmul.h"
#include "kernels/cuda/tile_math.cuh"
#include "kernels/cuda/tile_product.h"

namespace awq::cuda {
namespace {

enum Slot { kDecoded = 0, kActivations = 1 };

DeviceBuffer upload(Device& device, const void* data, size_t bytes) {
  DeviceBuffer buffer(device, bytes);
  device.upload(buffer.data(), data, bytes);
  return buffer;
}

__global__ void decode_rows_kernel(const uint8_t* codes, const __half* scales, const uint8_t* zeros,
                                   int64_t rows, int64_t in, int64_t group, int64_t groups,
                                   float* w) {
  wait_for_previous();
  const int64_t cell = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (cell >= rows * in) return;
  const int64_t at = cell / in * groups + cell % in / group;
  w[cell] = static_cast<float>(codes[cell] - zeros[at]) * __half2float(scales[at]);
}

/// Formats without tiles: decoded in slabs of rows, at each product, in f32.
void multiply_rows(CudaDevice& device, Matrix x, const QuantRowsCuda& w, const float* bias,
                   Matrix y) {
  constexpr int64_t kSlabCells = int64_t{16} << 20;
  const int64_t slab = std::clamp<int64_t>(kSlabCells / w.in, 1, w.out);
  auto* decoded = static_cast<float*>(
      device.scratch(kDecoded, static_cast<size_t>(slab * w.in) * sizeof(float)));
  const int64_t group = w.format.group_size(w.in), groups = w.format.groups(w.in);
  if (bias != nullptr) fill_rows(device, bias, y);
  for (int64_t row = 0; row < w.out; row += slab) {
    const int64_t rows = std::min(slab, w.out - row);
    launch(device, "decode_rows_kernel", decode_rows_kernel,
           static_cast<unsigned>((rows * w.in + 255) / 256), 256, 0,
           w.codes.as<const uint8_t>() + row * w.in, w.scales.as<const __half>() + row * groups,
           w.zeros.as<const uint8_t>() + row * groups, rows, w.in, group, groups, decoded);
    gemm_f32(device, decoded, x.data, y.data + row, rows, w.in, x.rows, x.stride, y.stride,
             bias == nullptr ? 0.f : 1.f);
  }
}

/// Activations are rounded to the type of a 16-bit weight when there are many of them.
void multiply_floats(CudaDevice& device, Matrix x, const FloatWeightCuda& w, const float* bias,
                     Matrix y, FloatMath math) {
  if (x.rows <= kFloatRowTokens) return multiply_float_rows(device, x, w, bias, y);
  if (bias != nullptr) fill_rows(device, bias, y);
  const float beta = bias == nullptr ? 0.f : 1.f;
  if (w.dtype == DType::f32) {
    return gemm_f32(device, static_cast<const float*>(w.data()), x.data, y.data, w.out, w.in,
                    x.rows, x.stride, y.stride, beta, math);
  }
  void* rounded = device.scratch(kActivations, static_cast<size_t>(x.rows * x.cols) * 2);
  if (w.dtype == DType::f16) {
    store_halves(device, x, static_cast<__half*>(rounded), x.rows, x.cols);
  } else {
    store_bfloats(device, x, rounded);
  }
  gemm_f16(device, w.data(), w.dtype, rounded, y.data, w.out, w.in, x.rows, y.stride, beta);
}

}  // namespace

std::unique_ptr<PackedWeight> pack_float(Device& device, const FloatWeight& weight) {
  check_float_weight(weight);
  auto packed = std::make_unique<FloatWeightCuda>();
  packed->out = weight.out, packed->in = weight.in;
  packed->dtype = weight.dtype;
  packed->bytes = dtype_bytes(weight.dtype, static_cast<uint64_t>(weight.out * weight.in));
  packed->buffer = upload(device, weight.data, packed->bytes);
  return packed;
}

std::unique_ptr<PackedWeight> pack_quant(Device& device, const QuantWeight& weight) {
  check_quant_weight(weight);
  if (tileable(weight.format)) {
    const Tiles tiles = pack_tiles(weight);
    auto packed = std::make_unique<QuantTilesCuda>();
    packed->out = weight.out, packed->in = weight.in;
    packed->shape = tiles.shape;
    packed->fits_halves = fits_halves(weight);
    packed->bytes = tiles.codes.size() + tiles.meta.size();
    packed->code_buffer = upload(device, tiles.codes.data(), tiles.codes.size());
    packed->meta_buffer = upload(device, tiles.meta.data(), tiles.meta.size());
    return packed;
  }
  auto packed = std::make_unique<QuantRowsCuda>();
  packed->out = weight.out, packed->in = weight.in;
  packed->format = weight.format;
  packed->bytes = weight.codes.size() + weight.scales.size() * 2 + weight.zeros.size();
  packed->codes = upload(device, weight.codes.data(), weight.codes.size());
  packed->scales = upload(device, weight.scales.data(), weight.scales.size() * 2);
  packed->zeros = upload(device, weight.zeros.data(), weight.zeros.size());
  return packed;
}

static void multiply(Device& device, Matrix x, const PackedWeight& w, const float* bias, Matrix y,
                     FloatMath math) {
  check_matmul(x, w, y);
  if (x.rows == 0) return;
  const auto& weight = static_cast<const CudaWeight&>(w);
  CudaDevice& cuda = cuda_device(device);
  switch (weight.kind) {
    case CudaWeight::Kind::floats:
      return multiply_floats(cuda, x, static_cast<const FloatWeightCuda&>(weight), bias, y, math);
    case CudaWeight::Kind::tiles:
      return multiply_tiles(cuda, x, static_cast<const QuantTilesCuda&>(weight), bias, y);
    case CudaWeight::Kind::canonical:
      return multiply_rows(cuda, x, static_cast<const QuantRowsCuda&>(weight), bias, y);
  }
}

void matmul(Device& device, Matrix x, const PackedWeight& w, const float* bias, Matrix y) {
  multiply(device, x, w, bias, y, FloatMath::f32);
}
void matmul_tf32(Device& device, Matrix x, const PackedWeight& w, const float* bias, Matrix y) {
  multiply(device, x, w, bias, y, FloatMath::tf32);
}

}  // namespace awq::cuda
