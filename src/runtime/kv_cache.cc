#include "runtime/kv_cache.h"

#include "base/format.h"

namespace awq {

Result<DType> kv_cache_dtype(std::string_view name, const Ops& ops) {
  if (name == "f32") return DType::f32;
  if (name == "f16") return DType::f16;
  if (name != "int8") {
    return usage_error(cat("--kv-cache-dtype \"", printable(name, 40), "\": choose f32, f16 or int8"));
  }
  if (ops.int8_kv) return DType::i8;
  return usage_error(cat("--kv-cache-dtype int8: the ", ops.name,
                         " backend has no int8 keys and values; choose f16, or --device cpu"));
}

// Positions of a head in memory: with scales a multiple of four, so that those of each head begin at
// whole 16 bytes.
static int64_t padded(int64_t capacity, DType dtype) {
  return dtype == DType::i8 ? (capacity + 3) / 4 * 4 : capacity;
}

// Bytes of all codes or numbers, to where the scales begin.
static size_t element_bytes(const Arch& arch, int64_t capacity, DType dtype) {
  constexpr size_t kLine = 64;
  const Sizes& sizes = arch.sizes;
  const size_t bytes =
      static_cast<size_t>(sizes.layers * 2 * sizes.kv_heads * padded(capacity, dtype) *
                          sizes.head_dim) *
      dtype_info(dtype).block_bytes;
  return (bytes + kLine - 1) / kLine * kLine;
}

static size_t scale_bytes(const Arch& arch, int64_t capacity, DType dtype) {
  const Sizes& sizes = arch.sizes;
  if (dtype != DType::i8) return 0;
  return static_cast<size_t>(sizes.layers * 2 * sizes.kv_heads * padded(capacity, dtype)) *
         sizeof(float);
}

KvCache::KvCache(Device& device, const Arch& arch, int64_t capacity, DType dtype)
    : scales_at_(element_bytes(arch, capacity, dtype)),
      buffer_(device, scales_at_ + scale_bytes(arch, capacity, dtype)), dtype_(dtype),
      capacity_(capacity), head_dim_(arch.sizes.head_dim), kv_heads_(arch.sizes.kv_heads) {
  AWQ_CHECK(dtype == DType::f32 || dtype == DType::f16 || dtype == DType::i8, dtype_name(dtype));
}

KvView KvCache::view(int64_t layer) const {
  const int64_t positions = padded(capacity_, dtype_);
  const int64_t head_stride = positions * head_dim_, rows = kv_heads_ * positions;
  const int64_t part = rows * head_dim_ * dtype_info(dtype_).block_bytes;
  auto* base = static_cast<std::byte*>(buffer_.data()) + layer * 2 * part;
  KvView view{base, base + part, dtype_, head_stride};
  if (dtype_ == DType::i8) {
    auto* scales = reinterpret_cast<float*>(static_cast<std::byte*>(buffer_.data()) + scales_at_);
    view.k_scales = scales + layer * 2 * rows;
    view.v_scales = view.k_scales + rows;
  }
  return view;
}

}  // namespace awq
