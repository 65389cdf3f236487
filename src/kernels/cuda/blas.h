// cuBLAS, opened at run time: the program starts without it, and a device makes its handle here.
#pragma once

#include <cublas_v2.h>
#include <cuda_runtime.h>

#include <cstdint>

#include "kernels/cuda/device.h"
#include "tensor/dtype.h"

namespace awq::cuda {

/// Device memory that a handle works in: what cuBLAS takes by itself on Hopper.
constexpr size_t kBlasWorkspaceBytes = size_t{32} << 20;

/// A handle on `stream` for CudaDevice::blas(), with a `workspace` of the caller's that outlives
/// it, so that a product captured into a graph allocates nothing. Ends the program as check() does
/// when libcublas cannot be opened.
cublasHandle_t create_blas(cudaStream_t stream, void* workspace);
void destroy_blas(cublasHandle_t handle);

/// y = x w^T + beta * y with w [out, in] and x [tokens, in] contiguous, both of `dtype` (F16 or
/// BF16), y [tokens, out] with rows y_stride apart. Sums in f32.
void gemm_f16(CudaDevice& device, const void* w, DType dtype, const void* x, float* y, int64_t out,
              int64_t in, int64_t tokens, int64_t y_stride, float beta = 0);

/// How products of f32 are computed: f32 throughout, or with inputs rounded to TF32 (11 bits),
/// which tensor cores multiply five times as fast; sums are f32.
enum class FloatMath { f32, tf32 };

/// The same in f32; rows of x are x_stride apart.
void gemm_f32(CudaDevice& device, const float* w, const float* x, float* y, int64_t out, int64_t in,
              int64_t tokens, int64_t x_stride, int64_t y_stride, float beta = 0,
              FloatMath math = FloatMath::f32);

/// y_g = x_g h_gg for the `count` diagonal blocks h_gg [n, n] of h [dim, dim], from input `first`
/// on; x and y [rows, dim].
void block_products(CudaDevice& device, const float* h, const float* x, float* y, int64_t rows,
                    int64_t dim, int64_t first, int64_t n, int64_t count, FloatMath math);

/// c -= a b in f64: a [rows, inner], b [inner, cols], c [rows, cols], rows a_row, b_row and c_row
/// elements apart.
void subtract_product_f64(CudaDevice& device, const double* a, int64_t a_row, const double* b,
                          int64_t b_row, double* c, int64_t c_row, int64_t rows, int64_t cols,
                          int64_t inner);

/// h += x^T x: x [rows, cols] with rows `stride` apart, h [cols, cols], both
/// triangles kept and equal.
void syrk_f32(CudaDevice& device, const float* x, int64_t rows, int64_t cols, int64_t stride,
              float* h, FloatMath math = FloatMath::f32);

}  // namespace awq::cuda
