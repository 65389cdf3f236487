#include "tensor/buffer.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>

#include "base/check.h"

namespace awq {

static constexpr size_t kHugePage = size_t{2} << 20;

Buffer::Buffer(size_t bytes) : bytes_(bytes) {
  if (bytes == 0) return;
  const bool large = bytes >= 2 * kHugePage;
  const size_t alignment = large ? kHugePage : kAlignment;
  const size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  AWQ_CHECK(rounded >= bytes, bytes);
  data_ = static_cast<std::byte*>(std::aligned_alloc(alignment, rounded));
  AWQ_CHECK(data_ != nullptr, "out of memory: asked for ", human_bytes(rounded));
  if (large) ::madvise(data_, rounded, MADV_HUGEPAGE);
}

Buffer Buffer::zeroed(size_t bytes) {
  Buffer buffer(bytes);
  if (bytes > 0) std::memset(buffer.data(), 0, bytes);
  return buffer;
}

Buffer::~Buffer() { std::free(data_); }

}  // namespace awq
