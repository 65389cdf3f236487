#include <cstdio>
#include <cstdlib>
#include <string>

#include "base/check.h"
#include "kernels/cuda/blas.h"
#include "kernels/cuda/runtime_library.h"

namespace awq::cuda {
namespace {

struct Table {
  decltype(&cublasCreate_v2) create = nullptr;
  decltype(&cublasDestroy_v2) destroy = nullptr;
  decltype(&cublasSetStream_v2) set_stream = nullptr;
  decltype(&cublasSetWorkspace_v2) set_workspace = nullptr;
  decltype(&cublasSetMathMode) set_math_mode = nullptr;
  decltype(&cublasSgemm_v2) sgemm = nullptr;
  decltype(&cublasDgemm_v2) dgemm = nullptr;
  decltype(&cublasSsyrk_v2) ssyrk = nullptr;
  // An overload set in C++, so its type is written out.
  cublasStatus_t (*gemm_ex)(cublasHandle_t, cublasOperation_t, cublasOperation_t, int, int, int,
                            const void*, const void*, cudaDataType, int, const void*, cudaDataType,
                            int, const void*, void*, cudaDataType, int, cublasComputeType_t,
                            cublasGemmAlgo_t) = nullptr;
  cublasStatus_t (*gemm_batched)(cublasHandle_t, cublasOperation_t, cublasOperation_t, int, int,
                                 int, const void*, const void*, cudaDataType, int, long long,
                                 const void*, cudaDataType, int, long long, const void*, void*,
                                 cudaDataType, int, long long, int, cublasComputeType_t,
                                 cublasGemmAlgo_t) = nullptr;
  std::string error;  ///< empty when the library is open
};

Table open_library() {
  RuntimeLibrary library("libcublas", {"libcublas.so.13", "libcublas.so.12",
                                "/usr/local/cuda/lib64/libcublas.so.13",
                                "/usr/local/cuda/lib64/libcublas.so.12"});
  Table t;
  library.find("cublasCreate_v2", t.create) &&
      library.find("cublasDestroy_v2", t.destroy) &&
      library.find("cublasSetStream_v2", t.set_stream) &&
      library.find("cublasSetWorkspace_v2", t.set_workspace) &&
      library.find("cublasSetMathMode", t.set_math_mode) &&
      library.find("cublasSgemm_v2", t.sgemm) &&
      library.find("cublasDgemm_v2", t.dgemm) &&
      library.find("cublasSsyrk_v2", t.ssyrk) &&
      library.find("cublasGemmEx", t.gemm_ex) &&
      library.find("cublasGemmStridedBatchedEx", t.gemm_batched);
  t.error = library.error();
  return t;
}

// Leaked, as the library is.
const Table& library() {
  static const Table& table = *new Table(open_library());
  return table;
}

// c [m, n] = op(a) op(b) + beta * c, column-major.
void gemm_tf32(cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b, int64_t m,
               int64_t n, int64_t k, const float* a, int64_t lda, const float* b, int64_t ldb,
               float beta, float* c, int64_t ldc) {
  const float one = 1;
  check(library().gemm_ex(handle, op_a, op_b, static_cast<int>(m), static_cast<int>(n),
                          static_cast<int>(k), &one, a, CUDA_R_32F, static_cast<int>(lda), b,
                          CUDA_R_32F, static_cast<int>(ldb), &beta, c, CUDA_R_32F,
                          static_cast<int>(ldc), CUBLAS_COMPUTE_32F_FAST_TF32, CUBLAS_GEMM_DEFAULT),
        "cublasGemmEx");
}

/// Copies the triangle that ssyrk wrote to the other one.
__global__ void mirror_kernel(float* h, int64_t cols) {
  __shared__ float tile[32][33];
  if (blockIdx.y > blockIdx.x) return;  // of the pair of tiles (x, y), y <= x
  const int64_t left = blockIdx.x * 32, top = blockIdx.y * 32;
  for (int i = threadIdx.y; i < 32; i += 8) {
    if (top + i < cols && left + threadIdx.x < cols) {
      tile[i][threadIdx.x] = h[(top + i) * cols + left + threadIdx.x];
    }
  }
  __syncthreads();
  for (int i = threadIdx.y; i < 32; i += 8) {
    const int64_t row = left + i, col = top + threadIdx.x;
    if (row < cols && col < row) h[row * cols + col] = tile[threadIdx.x][i];
  }
}

}  // namespace

cublasHandle_t create_blas(cudaStream_t stream, void* workspace) {
  const Table& table = library();
  if (!table.error.empty()) {
    std::fprintf(stderr,
                 "awq: cuBLAS is needed for this and cannot be opened: %s\n"
                 "Install the CUDA libraries or put their folder in LD_LIBRARY_PATH, or use "
                 "--device cpu.\n",
                 table.error.c_str());
    std::exit(1);
  }
  cublasHandle_t handle = nullptr;
  check(table.create(&handle), "cublasCreate");
  check(table.set_stream(handle, stream), "cublasSetStream");
  check(table.set_workspace(handle, workspace, kBlasWorkspaceBytes), "cublasSetWorkspace");
  // Sums of split products stay f32 as well.
  check(table.set_math_mode(
            handle, static_cast<cublasMath_t>(CUBLAS_DEFAULT_MATH |
                                              CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION)),
        "cublasSetMathMode");
  return handle;
}

void destroy_blas(cublasHandle_t handle) {
  if (handle != nullptr) library().destroy(handle);
}

// cuBLAS is column-major: the row-major [tokens, out] of y is its [out, tokens], w its transpose.
void gemm_f16(CudaDevice& device, const void* w, DType dtype, const void* x, float* y, int64_t out,
              int64_t in, int64_t tokens, int64_t y_stride, float beta) {
  AWQ_CHECK(dtype == DType::f16 || dtype == DType::bf16, dtype_name(dtype));
  if (tokens == 0) return;
  const cudaDataType type = dtype == DType::f16 ? CUDA_R_16F : CUDA_R_16BF;
  const float one = 1;
  const cublasHandle_t handle = device.blas();
  check(library().gemm_ex(handle, CUBLAS_OP_T, CUBLAS_OP_N, static_cast<int>(out),
                          static_cast<int>(tokens), static_cast<int>(in), &one, w, type,
                          static_cast<int>(in), x, type, static_cast<int>(in), &beta, y, CUDA_R_32F,
                          static_cast<int>(y_stride), CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT),
        "cublasGemmEx");
}

void gemm_f32(CudaDevice& device, const float* w, const float* x, float* y, int64_t out, int64_t in,
              int64_t tokens, int64_t x_stride, int64_t y_stride, float beta, FloatMath math) {
  if (tokens == 0) return;
  const float one = 1;
  const cublasHandle_t handle = device.blas();
  if (math == FloatMath::tf32) {
    return gemm_tf32(handle, CUBLAS_OP_T, CUBLAS_OP_N, out, tokens, in, w, in, x, x_stride, beta, y,
                     y_stride);
  }
  check(
      library().sgemm(handle, CUBLAS_OP_T, CUBLAS_OP_N, static_cast<int>(out),
                      static_cast<int>(tokens), static_cast<int>(in), &one, w, static_cast<int>(in),
                      x, static_cast<int>(x_stride), &beta, y, static_cast<int>(y_stride)),
      "cublasSgemm");
}

void block_products(CudaDevice& device, const float* h, const float* x, float* y, int64_t rows,
                    int64_t dim, int64_t first, int64_t n, int64_t count, FloatMath math) {
  if (rows == 0 || count == 0) return;
  const float one = 1, zero = 0;
  const int size = static_cast<int>(n), pitch = static_cast<int>(dim);
  check(library().gemm_batched(
            device.blas(), CUBLAS_OP_N, CUBLAS_OP_N, size, static_cast<int>(rows), size, &one,
            h + first * dim + first, CUDA_R_32F, pitch, n * dim + n, x + first, CUDA_R_32F, pitch,
            n, &zero, y + first, CUDA_R_32F, pitch, n, static_cast<int>(count),
            math == FloatMath::tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F,
            CUBLAS_GEMM_DEFAULT),
        "cublasGemmStridedBatchedEx");
}

void subtract_product_f64(CudaDevice& device, const double* a, int64_t a_row, const double* b,
                          int64_t b_row, double* c, int64_t c_row, int64_t rows, int64_t cols,
                          int64_t inner) {
  if (rows == 0 || cols == 0) return;
  const double minus = -1, one = 1;
  check(library().dgemm(device.blas(), CUBLAS_OP_N, CUBLAS_OP_N, static_cast<int>(cols),
                        static_cast<int>(rows), static_cast<int>(inner), &minus, b,
                        static_cast<int>(b_row), a, static_cast<int>(a_row), &one, c,
                        static_cast<int>(c_row)),
        "cublasDgemm");
}

void syrk_f32(CudaDevice& device, const float* x, int64_t rows, int64_t cols, int64_t stride,
              float* h, FloatMath math) {
  if (rows == 0) return;
  const float one = 1;
  const cublasHandle_t handle = device.blas();
  if (math == FloatMath::tf32) {
    return gemm_tf32(handle, CUBLAS_OP_N, CUBLAS_OP_T, cols, cols, rows, x, stride, x, stride, one,
                     h, cols);
  }
  // Lower in column-major is the upper triangle of row-major h.
  check(library().ssyrk(handle, CUBLAS_FILL_MODE_LOWER, CUBLAS_OP_N, static_cast<int>(cols),
                        static_cast<int>(rows), &one, x, static_cast<int>(stride), &one, h,
                        static_cast<int>(cols)),
        "cublasSsyrk");
  const auto tiles = static_cast<unsigned>((cols + 31) / 32);
  mirror_kernel<<<dim3(tiles, tiles), dim3(32, 8), 0, device.stream()>>>(h, cols);
  check_launch("mirror_kernel");
}

}  // namespace awq::cuda
