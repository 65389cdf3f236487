// Owner of aligned memory. Large buffers ask for huge pages: weights are read as one stream.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace awq {

class Buffer {
 public:
  static constexpr size_t kAlignment = 64;

  Buffer() = default;
  /// Uninitialised memory; pages are touched first by whoever writes them.
  explicit Buffer(size_t bytes);
  static Buffer zeroed(size_t bytes);
  Buffer(Buffer&& other) noexcept { *this = std::move(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~Buffer();

  std::byte* data() { return data_; }
  const std::byte* data() const { return data_; }
  size_t size() const { return bytes_; }

  template <class T>
  T* as() {
    return reinterpret_cast<T*>(data_);
  }
  template <class T>
  const T* as() const {
    return reinterpret_cast<const T*>(data_);
  }

 private:
  std::byte* data_ = nullptr;
  size_t bytes_ = 0;
};

/// A growing f32 scratch array that keeps its memory: resize() never shrinks the allocation.
class FloatBuffer {
 public:
  float* resize(size_t count) {
    if (count * sizeof(float) > buffer_.size()) buffer_ = Buffer(count * sizeof(float));
    return buffer_.as<float>();
  }
  float* data() { return buffer_.as<float>(); }
  const float* data() const { return buffer_.as<float>(); }

 private:
  Buffer buffer_;
};

}  // namespace awq
