// Aligned memory. Large pieces ask for huge pages: weights are read as one stream.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

namespace awq {

/// At least `bytes`, aligned to 64; to be freed with std::free. Throws std::bad_alloc: the program
/// then ends with the exit code for memory.
void* allocate_aligned(size_t bytes);

class Buffer {
 public:
  Buffer() = default;
  /// Uninitialised memory; pages are touched first by whoever writes them.
  explicit Buffer(size_t bytes);
  /// The same, but pieces from 32 KiB to 4 MiB share huge pages with those asked for before and after: for what lives
  /// about as long, such as the weights of a model. Memory is given back when the last of a chunk of 16 MiB
  /// is gone.
  static Buffer of_chunk(size_t bytes);
  Buffer(Buffer&& other) noexcept { *this = std::move(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    std::swap(chunk_, other.chunk_);
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
  std::shared_ptr<Buffer> chunk_;  // that the data is a piece of
};

}  // namespace awq
