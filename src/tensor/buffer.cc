#include "tensor/buffer.h"

#include <sys/mman.h>

#include <cstdlib>
#include <new>

namespace awq {

void* allocate_aligned(size_t bytes) {
  constexpr size_t kLine = 64, kHugePage = size_t{2} << 20;
  const bool large = bytes >= 2 * kHugePage;
  const size_t alignment = large ? kHugePage : kLine;
  const size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  if (rounded < bytes) throw std::bad_alloc();
  void* data = std::aligned_alloc(alignment, rounded == 0 ? kLine : rounded);
  if (data == nullptr) throw std::bad_alloc();
  if (large) ::madvise(data, rounded, MADV_HUGEPAGE);
  return data;
}

Buffer::Buffer(size_t bytes) : bytes_(bytes) {
  if (bytes > 0) data_ = static_cast<std::byte*>(allocate_aligned(bytes));
}

Buffer::~Buffer() { std::free(data_); }

}  // namespace awq
