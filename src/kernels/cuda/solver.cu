#include "kernels/cuda/solver.h"

#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "base/check.h"
#include "kernels/cuda/compensate.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/runtime_library.h"

namespace awq::cuda {
namespace {

struct Table {
  decltype(&cusolverDnCreate) create = nullptr;
  decltype(&cusolverDnDestroy) destroy = nullptr;
  decltype(&cusolverDnSetStream) set_stream = nullptr;
  decltype(&cusolverDnCreateParams) create_params = nullptr;
  decltype(&cusolverDnDestroyParams) destroy_params = nullptr;
  decltype(&cusolverDnXpotrf_bufferSize) cholesky_bytes = nullptr;
  decltype(&cusolverDnXpotrf) cholesky = nullptr;
  decltype(&cusolverDnXtrtri_bufferSize) invert_bytes = nullptr;
  decltype(&cusolverDnXtrtri) invert = nullptr;
  std::string error;  ///< empty when the library is open
};

Table open_library() {
  RuntimeLibrary library("libcusolver", {"libcusolver.so.12", "libcusolver.so.11",
                                  "/usr/local/cuda/lib64/libcusolver.so.12",
                                  "/usr/local/cuda/lib64/libcusolver.so.11"});
  Table t;
  library.find("cusolverDnCreate", t.create) &&
      library.find("cusolverDnDestroy", t.destroy) &&
      library.find("cusolverDnSetStream", t.set_stream) &&
      library.find("cusolverDnCreateParams", t.create_params) &&
      library.find("cusolverDnDestroyParams", t.destroy_params) &&
      library.find("cusolverDnXpotrf_bufferSize", t.cholesky_bytes) &&
      library.find("cusolverDnXpotrf", t.cholesky) &&
      library.find("cusolverDnXtrtri_bufferSize", t.invert_bytes) &&
      library.find("cusolverDnXtrtri", t.invert);
  t.error = library.error();
  return t;
}

// Leaked, as the library is.
const Table& library() {
  static const Table& table = *new Table(open_library());
  return table;
}

void check(cusolverStatus_t status, const char* what) {
  if (status == CUSOLVER_STATUS_SUCCESS) return;
  std::fprintf(stderr,
               "awq: cuSOLVER failed in %s with status %d; start again (or use --device cpu)\n", what,
               static_cast<int>(status));
  _exit(1);
}

// H damped, with its rows and columns in the order turned around: L of it gives the upper factor.
__global__ void turned_kernel(const float* h, const int32_t* order, int64_t dim, double dead,
                              double damping, double* to) {
  const int64_t cell = blockIdx.x * int64_t{blockDim.x} + threadIdx.x;
  if (cell >= dim * dim) return;
  const int64_t r = cell / dim, c = cell % dim;
  const int64_t i = order[dim - 1 - r], j = order[dim - 1 - c];
  double value = h[i * dim + j];
  if (r == c) value = __dadd_rn(value == 0 ? dead : value, damping);
  to[cell] = value;
}

__global__ void diagonal_kernel(const double* a, int64_t dim, double* to) {
  const int64_t i = blockIdx.x * int64_t{blockDim.x} + threadIdx.x;
  if (i < dim) to[i] = a[i * dim + i];
}

// The last element first: what was about columns turned around is about columns as they lie.
__global__ void reverse_kernel(double* a, int64_t count) {
  const int64_t i = blockIdx.x * int64_t{blockDim.x} + threadIdx.x;
  if (i >= count / 2) return;
  const double low = a[i], high = a[count - 1 - i];
  a[i] = high;
  a[count - 1 - i] = low;
}

unsigned cells_grid(int64_t cells) { return static_cast<unsigned>((cells + 255) / 256); }

// The two steps on one matrix. cuSOLVER is column-major: its upper triangle is the lower one of rows.
class Factoring {
 public:
  Factoring(CudaDevice& device, cusolverDnHandle_t handle, double* a, int64_t dim)
      : device_(device), handle_(handle), a_(a), dim_(dim), diagonal_(device, bytes(dim + 1)) {
    check(library().create_params(&params_), "cusolverDnCreateParams");
  }
  ~Factoring() { library().destroy_params(params_); }
  Factoring(const Factoring&) = delete;

  // A = L L^T; false when it is not positive definite.
  bool cholesky() {
    size_t device_bytes = 0, host_bytes = 0;
    check(library().cholesky_bytes(handle_, params_, kTriangle, dim_, CUDA_R_64F, a_, dim_,
                                   CUDA_R_64F, &device_bytes, &host_bytes),
          "cusolverDnXpotrf_bufferSize");
    const DeviceBuffer work(device_, device_bytes);
    std::vector<std::byte> host(host_bytes);
    check(library().cholesky(handle_, params_, kTriangle, dim_, CUDA_R_64F, a_, dim_, CUDA_R_64F,
                             work.data(), device_bytes, host.data(), host_bytes, info()),
          "cusolverDnXpotrf");
    if (failed()) return false;
    // NaN passes some pivots unseen.
    diagonal_kernel<<<cells_grid(dim_), 256, 0, device_.stream()>>>(a_, dim_,
                                                                    diagonal_.as<double>());
    check_launch("reading pivots");
    std::vector<double> pivots(static_cast<size_t>(dim_));
    device_.download(pivots.data(), diagonal_.data(), bytes(dim_));
    for (const double pivot : pivots) {
      if (!(pivot > 0) || !std::isfinite(pivot)) return false;
    }
    return true;
  }

  // L becomes its inverse.
  bool invert() {
    size_t device_bytes = 0, host_bytes = 0;
    check(library().invert_bytes(handle_, kTriangle, CUBLAS_DIAG_NON_UNIT, dim_, CUDA_R_64F, a_,
                                 dim_, &device_bytes, &host_bytes),
          "cusolverDnXtrtri_bufferSize");
    const DeviceBuffer work(device_, device_bytes);
    std::vector<std::byte> host(host_bytes);
    check(library().invert(handle_, kTriangle, CUBLAS_DIAG_NON_UNIT, dim_, CUDA_R_64F, a_, dim_,
                           work.data(), device_bytes, host.data(), host_bytes, info()),
          "cusolverDnXtrtri");
    return !failed();
  }

 private:
  static constexpr cublasFillMode_t kTriangle = CUBLAS_FILL_MODE_UPPER;
  static size_t bytes(int64_t doubles) { return static_cast<size_t>(doubles) * sizeof(double); }
  int* info() { return reinterpret_cast<int*>(diagonal_.as<double>() + dim_); }

  bool failed() {
    int info = 0;
    device_.download(&info, this->info(), sizeof(info));
    return info != 0;
  }

  CudaDevice& device_;
  cusolverDnHandle_t handle_;
  double* a_;
  int64_t dim_;
  DeviceBuffer diagonal_;  // and behind it the info
  cusolverDnParams_t params_ = nullptr;
};

}  // namespace

cusolverDnHandle_t create_solver(cudaStream_t stream) {
  const Table& table = library();
  if (!table.error.empty()) {
    static const int said = std::fprintf(
        stderr,
        "awq: cuSOLVER cannot be opened: %s\n"
        "GPTQ's factors are made on the host, which takes longer; install the CUDA libraries or put "
        "their folder in LD_LIBRARY_PATH.\n",
        table.error.c_str());
    static_cast<void>(said);
    return nullptr;
  }
  cusolverDnHandle_t handle = nullptr;
  check(table.create(&handle), "cusolverDnCreate");
  check(table.set_stream(handle, stream), "cusolverDnSetStream");
  return handle;
}

void destroy_solver(cusolverDnHandle_t handle) {
  if (handle != nullptr) library().destroy(handle);
}

FactorOutcome inverse_factor(Device& device, const FactorArgs& args) {
  CudaDevice& cuda = cuda_device(device);
  const cusolverDnHandle_t handle = cuda.solver();
  if (handle == nullptr) return FactorOutcome::unavailable;
  const auto dim = static_cast<int64_t>(args.order.size());
  const DeviceBuffer order(device, args.order.size_bytes());
  device.upload(order.data(), args.order.data(), args.order.size_bytes());
  turned_kernel<<<cells_grid(dim * dim), 256, 0, cuda.stream()>>>(
      args.h, order.as<int32_t>(), dim, args.dead, args.damping, args.upper);
  check_launch("damping a Hessian");
  Factoring factoring(cuda, handle, args.upper, dim);
  if (!factoring.cholesky() || !factoring.invert()) return FactorOutcome::not_positive_definite;
  // One cell alone has nothing to change places with, but a grid must have a block.
  reverse_kernel<<<cells_grid(dim * dim / 2 + 1), 256, 0, cuda.stream()>>>(args.upper, dim * dim);
  check_launch("turning a factor around");
  device.synchronize();
  return FactorOutcome::done;
}

}  // namespace awq::cuda
