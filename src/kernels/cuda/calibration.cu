// What calibration and the AWQ search need: Gram matrices, errors of rounding, and what they cost.
#include "kernels/cuda/blas.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/rounding.cuh"
#include "kernels/cuda/rows.h"

namespace awq::cuda {
namespace {

enum Slot { kProducts = 3 };  // of the device's scratch

// losses[o] = e[o] . he[o]
__global__ void dot_rows(Matrix e, const float* he, double* losses) {
  __shared__ double sums[32];
  double sum = 0;
  for (int64_t i = threadIdx.x; i < e.cols; i += blockDim.x) {
    sum += static_cast<double>(e.data[blockIdx.x * e.stride + i]) *
           static_cast<double>(he[blockIdx.x * e.cols + i]);
  }
  sum = block_sum(sum, sums);
  if (threadIdx.x == 0) losses[blockIdx.x] = sum;
}

// A warp per group of a row.
__global__ void dot_groups(Matrix e, const float* he, int64_t group, int64_t groups,
                           double* losses) {
  const int64_t cell = (blockIdx.x * int64_t{blockDim.x} + threadIdx.x) / 32;
  if (cell >= e.rows * groups) return;
  const int64_t row = cell / groups, begin = cell % groups * group;
  const int64_t end = min(begin + group, e.cols);
  double sum = 0;
  for (int64_t i = begin + threadIdx.x % 32; i < end; i += 32) {
    sum +=
        static_cast<double>(e.data[row * e.stride + i]) * static_cast<double>(he[row * e.cols + i]);
  }
  for (int s = 16; s > 0; s >>= 1) sum += __shfl_xor_sync(~0u, sum, s);
  if (threadIdx.x % 32 == 0) losses[cell] = sum;
}

__global__ void unscale_kernel(float* h, const float* s, int64_t dim) {
  const int64_t cell = blockIdx.x * int64_t{blockDim.x} + threadIdx.x;
  if (cell < dim * dim) h[cell] = __fdiv_rn(h[cell], __fmul_rn(s[cell / dim], s[cell % dim]));
}

// A warp per group of a row.
__global__ void round_error_kernel(GroupShape shape, float keep, const float* w, int64_t w_row,
                                   const float* base, int64_t base_row, const float* columns,
                                   float* e, int64_t e_row) {
  const int64_t cell = (blockIdx.x * int64_t{blockDim.x} + threadIdx.x) / 32;
  if (cell >= shape.rows * shape.groups) return;
  const int lane = threadIdx.x % 32;
  const int64_t row = cell / shape.groups, begin = cell % shape.groups * shape.group;
  const int64_t end = min(begin + shape.group, shape.in);
  const auto scaled = [&](int64_t i) {
    const float v = w[row * w_row + i];
    return columns != nullptr ? __fmul_rn(v, columns[i]) : v;
  };
  float low = INFINITY, high = -INFINITY;
  for (int64_t i = begin + lane; i < end; i += 32) {
    const float v = scaled(i);
    low = fminf(low, v), high = fmaxf(high, v);
  }
  warp_extremes(low, high);
  const GroupGrid grid = grid_of(shape, low, high, keep);
  for (int64_t i = begin + lane; i < end; i += 32) {
    float worth = __fmul_rn(code_of(shape, grid, scaled(i)) - grid.zero, grid.scale);
    if (columns != nullptr) worth = __fdiv_rn(worth, columns[i]);
    e[row * e_row + i] = __fsub_rn(worth, base[row * base_row + i]);
  }
}

float* products_of(CudaDevice& device, Matrix e) {
  return static_cast<float*>(
      device.scratch(kProducts, static_cast<size_t>(e.rows * e.cols) * sizeof(float)));
}

void quadratic(Device& device, Matrix e, const float* h, double* losses, FloatMath math) {
  if (e.rows == 0) return;
  CudaDevice& cuda = cuda_device(device);
  float* he = products_of(cuda, e);
  // h is symmetric
  gemm_f32(cuda, h, e.data, he, e.cols, e.cols, e.rows, e.stride, e.cols, 0, math);
  dot_rows<<<static_cast<unsigned>(e.rows), kRowThreads, 0, cuda.stream()>>>(e, he, losses);
  check_launch("a quadratic form");
}

void forms_of_groups(Device& device, Matrix e, const float* h, int64_t group, double* losses,
                     FloatMath math) {
  if (e.rows == 0) return;
  AWQ_CHECK(e.stride == e.cols, e.stride, " ", e.cols);
  CudaDevice& cuda = cuda_device(device);
  const int64_t whole = e.cols / group, tail = e.cols % group, groups = whole + (tail > 0 ? 1 : 0);
  float* he = products_of(cuda, e);
  block_products(cuda, h, e.data, he, e.rows, e.cols, 0, group, whole, math);
  if (tail > 0) {
    block_products(cuda, h, e.data, he, e.rows, e.cols, whole * group, tail, 1, math);
  }
  dot_groups<<<warps_grid(e.rows * groups), 256, 0, cuda.stream()>>>(e, he, group, groups, losses);
  check_launch("quadratic forms of groups");
}

}  // namespace

void gram(Device& device, Matrix x, float* h) {
  if (x.rows > 0) syrk_f32(cuda_device(device), x.data, x.rows, x.cols, x.stride, h);
}
void gram_tf32(Device& device, Matrix x, float* h) {
  if (x.rows == 0) return;
  syrk_f32(cuda_device(device), x.data, x.rows, x.cols, x.stride, h, FloatMath::tf32);
}

void quadratic_form(Device& device, Matrix e, const float* h, double* losses) {
  quadratic(device, e, h, losses, FloatMath::f32);
}
void quadratic_form_tf32(Device& device, Matrix e, const float* h, double* losses) {
  quadratic(device, e, h, losses, FloatMath::tf32);
}

void group_forms(Device& device, Matrix e, const float* h, int64_t group, double* losses) {
  forms_of_groups(device, e, h, group, losses, FloatMath::f32);
}
void group_forms_tf32(Device& device, Matrix e, const float* h, int64_t group, double* losses) {
  forms_of_groups(device, e, h, group, losses, FloatMath::tf32);
}

void unscale_gram(Device& device, float* h, const float* s, int64_t dim) {
  const auto blocks = static_cast<unsigned>((dim * dim + 255) / 256);
  unscale_kernel<<<blocks, 256, 0, cuda_device(device).stream()>>>(h, s, dim);
  check_launch("unscaling a Gram matrix");
}

void round_error(Device& device, const RoundErrorArgs& args) {
  const Matrix &w = args.w, &e = args.e;
  AWQ_CHECK(w.cols == e.cols && w.rows == e.rows && args.base.cols == e.cols, w.cols, " ", e.cols);
  if (w.rows == 0) return;
  const GroupShape shape(args.format, w.rows, w.cols);
  round_error_kernel<<<warps_grid(w.rows * shape.groups), 256, 0, cuda_device(device).stream()>>>(
      shape, args.keep, w.data, w.stride, args.base.data, args.base.stride, args.columns, e.data,
      e.stride);
  check_launch("rounding");
}

}  // namespace awq::cuda
