// Where an op table keeps its data: host memory and a thread pool for the CPU, device memory and a
// stream for a GPU. Chosen once and passed down by reference.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <string>
#include <utility>

#include "base/thread_pool.h"

namespace awq {

/// Device memory that could not be had; what() says what was asked, held and free, and what to do.
class DeviceMemoryError : public std::bad_alloc {
 public:
  explicit DeviceMemoryError(std::string message) : message_(std::move(message)) {}
  const char* what() const noexcept override { return message_.c_str(); }

 private:
  std::string message_;
};

class Device {
 public:
  virtual ~Device() = default;

  virtual std::string description() const = 0;  ///< "CPU, 2 threads, AVX-512 VNNI"
  virtual void* allocate(size_t bytes) = 0;     ///< 64-byte aligned; throws std::bad_alloc
  virtual void release(void* data, size_t bytes) = 0;
  virtual void upload(void* device, const void* host, size_t bytes) = 0;
  virtual void download(void* host, const void* device, size_t bytes) = 0;
  virtual void clear(void* device, size_t bytes) = 0;  ///< zero bytes
  virtual void synchronize() = 0;
  virtual uint64_t available() const { return UINT64_MAX; }  ///< bytes that allocate() may yet give
  /// The most that was held at a time, libraries' own memory aside; 0 where it is the host's.
  virtual uint64_t peak_bytes() const { return 0; }
  virtual bool host_visible() const { return true; }  ///< the host may read what allocate() gave
  virtual ThreadPool& pool() = 0;               ///< host threads
};

/// Owner of device memory. reserve() grows it (contents lost) and never shrinks it.
class DeviceBuffer {
 public:
  DeviceBuffer() = default;
  DeviceBuffer(Device& device, size_t bytes)
      : device_(&device), data_(device.allocate(bytes)), bytes_(bytes) {}
  DeviceBuffer(DeviceBuffer&& other) noexcept { *this = std::move(other); }
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept {
    std::swap(device_, other.device_);
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~DeviceBuffer() {
    if (data_ != nullptr) device_->release(data_, bytes_);
  }

  void reserve(Device& device, size_t bytes) {
    if (bytes > bytes_) {
      *this = DeviceBuffer();
      *this = DeviceBuffer(device, bytes);
    }
  }
  void* data() const { return data_; }
  size_t size() const { return bytes_; }
  template <class T>
  T* as() const {
    return static_cast<T*>(data_);
  }

 private:
  Device* device_ = nullptr;
  void* data_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace awq
