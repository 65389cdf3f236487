#include "tensor/buffer.h"

#include <sys/mman.h>

#include <cstdlib>
#include <mutex>
#include <new>

namespace awq {
namespace {

constexpr size_t kLine = 64, kHugePage = size_t{2} << 20;
constexpr size_t kLarge = 2 * kHugePage, kChunk = 8 * kHugePage;
constexpr size_t kSmall = size_t{32} << 10;  // not worth clearing a huge page for

}  // namespace

void* allocate_aligned(size_t bytes) {
  const bool large = bytes >= kLarge;
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

Buffer Buffer::of_chunk(size_t bytes) {
  static std::mutex mutex;
  static std::weak_ptr<Buffer> open;
  static size_t used = 0;  // of the open chunk
  if (bytes < kSmall || bytes >= kLarge) return Buffer(bytes);
  const size_t rounded = (bytes + kLine - 1) / kLine * kLine;
  const std::lock_guard lock(mutex);
  std::shared_ptr<Buffer> chunk = open.lock();
  if (chunk == nullptr || used + rounded > kChunk) {
    chunk = std::make_shared<Buffer>(kChunk);
    open = chunk, used = 0;
  }
  Buffer piece;
  piece.data_ = chunk->data() + used, piece.bytes_ = bytes;
  piece.chunk_ = std::move(chunk);
  used += rounded;
  return piece;
}

Buffer::~Buffer() {
  if (chunk_ == nullptr) std::free(data_);
}

}  // namespace awq
