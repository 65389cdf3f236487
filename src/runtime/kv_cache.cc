#include "runtime/kv_cache.h"

namespace awq {

KvCache::KvCache(Device& device, const Arch& arch, int64_t capacity, DType dtype)
    : buffer_(device, static_cast<size_t>(arch.sizes.layers * 2 * arch.sizes.kv_heads * capacity *
                                          arch.sizes.head_dim) *
                          dtype_info(dtype).block_bytes),
      dtype_(dtype), capacity_(capacity), head_dim_(arch.sizes.head_dim),
      kv_heads_(arch.sizes.kv_heads) {
  AWQ_CHECK(dtype == DType::f32 || dtype == DType::f16, dtype_name(dtype));
}

KvView KvCache::view(int64_t layer) const {
  const int64_t head_stride = capacity_ * head_dim_;
  const int64_t part = kv_heads_ * head_stride * dtype_info(dtype_).block_bytes;
  auto* base = static_cast<std::byte*>(buffer_.data()) + layer * 2 * part;
  return {base, base + part, dtype_, head_stride};
}

}  // namespace awq
