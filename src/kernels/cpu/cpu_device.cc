#include <cstdlib>
#include <cstring>

#include "base/format.h"
#include "kernels/cpu.h"
#include "kernels/cpu/features.h"
#include "tensor/buffer.h"

namespace awq {
namespace {

class CpuDevice : public Device {
 public:
  explicit CpuDevice(int threads) : pool_(threads) {}

  std::string description() const override {
    return cat("CPU, ", pool_.size(), pool_.size() == 1 ? " thread, " : " threads, ",
               cpu_features_text());
  }

  void* allocate(size_t bytes) override { return allocate_aligned(bytes); }
  void release(void* data, size_t) override { std::free(data); }
  void upload(void* device, const void* host, size_t bytes) override {
    if (bytes > 0) std::memcpy(device, host, bytes);
  }
  void download(void* host, const void* device, size_t bytes) override {
    if (bytes > 0) std::memcpy(host, device, bytes);
  }
  void clear(void* device, size_t bytes) override {
    if (bytes > 0) std::memset(device, 0, bytes);
  }
  void synchronize() override {}
  ThreadPool& pool() override { return pool_; }

 private:
  ThreadPool pool_;
};

}  // namespace

std::unique_ptr<Device> make_cpu_device(int threads) { return std::make_unique<CpuDevice>(threads); }

}  // namespace awq
