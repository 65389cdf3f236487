#include "kernels/cuda/device.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "base/format.h"
#include "kernels/cuda.h"
#include "kernels/cuda/blas.h"
#include "kernels/cuda/solver.h"

namespace awq {
namespace cuda {

void check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  std::fprintf(stderr, "awq: the GPU failed in %s: %s; its state is lost, start again (or use "
                       "--device cpu)\n", what, cudaGetErrorString(status));
  _exit(1);  // destructors would call into the lost device
}

void check(cublasStatus_t status, const char* what) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  std::fprintf(stderr,
               "awq: cuBLAS failed in %s with status %d; start again (or use --device cpu)\n", what,
               static_cast<int>(status));
  _exit(1);
}

namespace {

constexpr size_t kStageBytes = size_t{16} << 20;

class Owner : public CudaDevice {
 public:
  Owner(int ordinal, uint64_t limit) : ordinal_(ordinal), limit_(limit), pool_(0) {
    use();
    check(cudaGetDeviceProperties(&properties_, ordinal), "reading the device's properties");
    check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "making a stream");
  }

  ~Owner() override {
    use();
    for (Scratch& scratch : scratch_) {
      if (scratch.data != nullptr) Owner::release(scratch.data, scratch.bytes);
    }
    if (flags_ != nullptr) Owner::release(flags_, kFlags * sizeof(uint32_t));
    destroy_solver(solver_);
    if (blas_ != nullptr) {
      destroy_blas(blas_);
      Owner::release(workspace_, kBlasWorkspaceBytes);
    }
    for (Stage& stage : stages_) {
      if (stage.data == nullptr) continue;
      cudaEventDestroy(stage.sent);
      cudaFreeHost(stage.data);
    }
    cudaStreamDestroy(stream_);
  }

  std::string description() const override {
    return cat(properties_.name, ", ", properties_.multiProcessorCount, " SMs, compute capability ",
               properties_.major, ".", properties_.minor);
  }

  void* allocate(size_t bytes) override {
    use();
    void* data = nullptr;
    const size_t whole = std::max<size_t>(bytes, 1);
    const bool allowed = limit_ == 0 || held_ + whole <= limit_;
    const cudaError_t status = allowed ? cudaMalloc(&data, whole) : cudaErrorMemoryAllocation;
    if (status == cudaErrorMemoryAllocation) {
      cudaGetLastError();
      throw DeviceMemoryError(no_room(whole));
    }
    check(status, "allocating memory");
    held_ += whole;
    peak_ = std::max(peak_, held_);
    return data;
  }

  void release(void* data, size_t bytes) override {
    use();
    check(cudaStreamSynchronize(stream_), "work before memory was released");
    check(cudaFree(data), "releasing memory");
    held_ -= std::max<size_t>(bytes, 1);
  }

  void upload(void* device, const void* host, size_t bytes) override {
    if (bytes == 0) return;
    use();
    if (bytes >= kStageBytes) return stage(device, host, bytes);
    check(cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, stream_), "an upload");
    check(cudaStreamSynchronize(stream_), "an upload");  // `host` may go away
  }

  void download(void* host, const void* device, size_t bytes) override {
    if (bytes == 0) return;
    use();
    check(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, stream_), "a download");
    check(cudaStreamSynchronize(stream_), "a download");
  }

  void clear(void* device, size_t bytes) override {
    if (bytes == 0) return;
    use();
    check(cudaMemsetAsync(device, 0, bytes, stream_), "clearing memory");
  }

  uint64_t available() const override {
    use();
    size_t free = 0, total = 0;
    check(cudaMemGetInfo(&free, &total), "asking for free memory");
    const uint64_t allowed = limit_ == 0 ? free : limit_ - std::min(limit_, held_);
    return std::min<uint64_t>(free, allowed);
  }

  uint64_t peak_bytes() const override { return peak_; }

  void synchronize() override { check(cudaStreamSynchronize(stream_), "the work so far"); }
  ThreadPool& pool() override { return pool_; }

  cudaStream_t stream() override {
    use();
    return stream_;
  }
  cublasHandle_t blas() override {
    use();
    if (blas_ == nullptr) {
      if (workspace_ == nullptr) workspace_ = allocate(kBlasWorkspaceBytes);
      blas_ = create_blas(stream_, workspace_);
    }
    return blas_;
  }
  cusolverDnHandle_t solver() override {
    use();
    if (solver_ == nullptr) solver_ = create_solver(stream_);
    return solver_;
  }
  int multiprocessors() const override { return properties_.multiProcessorCount; }
  size_t shared_bytes() const override { return properties_.sharedMemPerBlockOptin; }
  int compute_capability() const override { return properties_.major * 10 + properties_.minor; }

  uint32_t* flags(int count) override {
    AWQ_CHECK(count <= kFlags, count);
    if (flags_ == nullptr) {
      flags_ = static_cast<uint32_t*>(allocate(kFlags * sizeof(uint32_t)));
      clear(flags_, kFlags * sizeof(uint32_t));
    }
    return flags_;
  }

  void* scratch(int slot, size_t bytes) override {
    Scratch& scratch = scratch_[slot];
    if (bytes > scratch.bytes) {
      if (scratch.data != nullptr) release(scratch.data, scratch.bytes);
      scratch = {};
      scratch.data = allocate(bytes);
      scratch.bytes = bytes;
    }
    return scratch.data;
  }

 private:
  struct Scratch {
    void* data = nullptr;
    size_t bytes = 0;
  };

  struct Stage {
    std::byte* data = nullptr;  // [kStageBytes], pinned
    cudaEvent_t sent = nullptr;
  };

  // By way of two pinned buffers that all host threads fill: several times as fast as the driver's
  // own copy of pageable memory.
  void stage(void* device, const void* host, size_t bytes) {
    const auto* from = static_cast<const std::byte*>(host);
    auto* to = static_cast<std::byte*>(device);
    for (size_t at = 0; at < bytes; at += kStageBytes, ++staged_) {
      Stage& stage = stages_[staged_ % 2];
      if (stage.data == nullptr) {
        void* data = nullptr;
        check(cudaMallocHost(&data, kStageBytes), "allocating pinned memory");
        stage.data = static_cast<std::byte*>(data);
        check(cudaEventCreateWithFlags(&stage.sent, cudaEventDisableTiming), "making an event");
      }
      check(cudaEventSynchronize(stage.sent), "an upload");
      const size_t part = std::min(kStageBytes, bytes - at);
      pool_.parallel_for(static_cast<int64_t>(part), 1 << 20, [&](int64_t begin, int64_t end) {
        std::memcpy(stage.data + begin, from + at + begin, static_cast<size_t>(end - begin));
      });
      check(cudaMemcpyAsync(to + at, stage.data, part, cudaMemcpyHostToDevice, stream_),
            "an upload");
      check(cudaEventRecord(stage.sent, stream_), "an upload");
    }
  }

  // The current device is a property of the host thread, and each of them may come here.
  void use() const { check(cudaSetDevice(ordinal_), "choosing the device"); }

  std::string no_room(size_t bytes) const {
    size_t free = 0, total = 0;
    cudaMemGetInfo(&free, &total);
    const auto mib = [](uint64_t n) { return fixed(static_cast<double>(n) / 1048576, 1); };
    return cat("out of device memory: ", mib(bytes), " MiB asked, ", mib(held_), " MiB held, ",
               mib(free), " MiB free on the device",
               limit_ == 0 ? "" : cat(", --max-vram ", mib(limit_), " MiB"),
               "; use a smaller --context, a larger --max-vram, or --device cpu");
  }

  cudaDeviceProp properties_{};
  cudaStream_t stream_ = nullptr;
  cublasHandle_t blas_ = nullptr;
  void* workspace_ = nullptr;  // of blas_
  cusolverDnHandle_t solver_ = nullptr;
  int ordinal_ = 0;
  uint32_t* flags_ = nullptr;
  uint64_t limit_ = 0, held_ = 0, peak_ = 0;
  Scratch scratch_[4];
  Stage stages_[2];
  uint64_t staged_ = 0;  // parts of all uploads so far
  ThreadPool pool_;
};

__global__ void read_sweep(const uint4* data, int64_t count, uint32_t* out) {
  const int64_t part = count / gridDim.x;
  const uint4* at = data + blockIdx.x * part;
  uint32_t mixed = 0;
  for (int64_t i = threadIdx.x; i + 3 * blockDim.x < part; i += 4 * blockDim.x) {
    uint4 v[4];
#pragma unroll
    for (int u = 0; u < 4; ++u) v[u] = __ldcs(at + i + u * blockDim.x);
#pragma unroll
    for (int u = 0; u < 4; ++u) mixed ^= v[u].x ^ v[u].y ^ v[u].z ^ v[u].w;
  }
  if (mixed == 0x12345678) *out = mixed;
}

}  // namespace
}  // namespace cuda

std::string_view cuda_architectures() { return AWQ_CUDA_ARCHITECTURES; }

Result<std::string> cuda_driver() {
  int version = 0;
  const cudaError_t status = cudaDriverGetVersion(&version);
  if (status != cudaSuccess || version == 0) {
    return resource_error("CUDA needs the NVIDIA driver, and none is installed");
  }
  return cat(version / 1000, ".", version % 1000 / 10);
}

Result<std::vector<CudaDeviceInfo>> cuda_devices(bool with_free) {
  AWQ_ASSIGN(const std::string driver, cuda_driver());
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess || count == 0) {
    return resource_error(cat("no CUDA device: ", cudaGetErrorString(status)));
  }
  int current = 0;
  cudaGetDevice(&current);
  std::vector<CudaDeviceInfo> devices;
  for (int i = 0; i < count; ++i) {
    cudaDeviceProp p;
    if (cudaGetDeviceProperties(&p, i) != cudaSuccess) continue;
    CudaDeviceInfo info{i, p.name, p.major, p.minor, p.multiProcessorCount, p.totalGlobalMem, 0,
                        static_cast<uint64_t>(p.l2CacheSize)};
    size_t free = 0, total = 0;
    if (with_free && cudaSetDevice(i) == cudaSuccess &&
        cudaMemGetInfo(&free, &total) == cudaSuccess) {
      info.free = free;
    }
    devices.push_back(std::move(info));
  }
  if (with_free) cudaSetDevice(current);
  return devices;
}

Result<std::unique_ptr<Device>> make_cuda_device(int ordinal, uint64_t max_bytes) {
  AWQ_ASSIGN(const std::vector<CudaDeviceInfo> devices, cuda_devices());
  for (const CudaDeviceInfo& info : devices) {
    if (info.ordinal != ordinal) continue;
    if (info.major < 8) {
      return resource_error(cat(info.name, " has compute capability ", info.major, ".", info.minor,
                                "; 8.0 or newer is needed; use --device cpu"));
    }
    return std::unique_ptr<Device>(std::make_unique<cuda::Owner>(ordinal, max_bytes));
  }
  return resource_error(
      cat("no device cuda:", ordinal, "; there are ", devices.size(), "; see `awq doctor`"));
}

double measure_cuda_read_bandwidth(Device& device, uint64_t bytes) {
  cuda::CudaDevice& cuda = cuda::cuda_device(device);
  // Beside the account of the device: the probe's memory is no part of what runs, nor of
  // --max-vram.
  void* buffer = nullptr;
  while (cudaMalloc(&buffer, bytes) != cudaSuccess) {
    cudaGetLastError();
    bytes /= 2;
    if (bytes < uint64_t{1} << 20) return 0;
  }
  cudaEvent_t begin, end;
  cuda::check(cudaEventCreate(&begin), "the read sweep");
  cuda::check(cudaEventCreate(&end), "the read sweep");
  cuda::check(cudaMemsetAsync(buffer, 0x5a, bytes, cuda.stream()), "the read sweep");
  float best = 0;
  for (int i = 0; i < 7; ++i) {
    float ms = 0;
    cuda::check(cudaEventRecord(begin, cuda.stream()), "the read sweep");
    cuda::read_sweep<<<65536 / 4, 256, 0, cuda.stream()>>>(
        static_cast<const uint4*>(buffer), static_cast<int64_t>(bytes / sizeof(uint4)),
        static_cast<uint32_t*>(buffer));
    cuda::check(cudaEventRecord(end, cuda.stream()), "the read sweep");
    cuda::check(cudaEventSynchronize(end), "the read sweep");
    cuda::check(cudaEventElapsedTime(&ms, begin, end), "the read sweep");
    if (i > 0 && (best == 0 || ms < best)) best = ms;
  }
  cudaEventDestroy(begin);
  cudaEventDestroy(end);
  cuda::check(cudaFree(buffer), "the read sweep");
  return static_cast<double>(bytes) / (best * 1e-3);
}

}  // namespace awq
