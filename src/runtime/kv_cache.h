// Keys and values of one sequence, all layers: [layers][k, v][kv_heads][capacity][head_dim], behind
// them the scales of I8, [layers][k, v][kv_heads][capacity] f32; of I8 the capacity in memory is a multiple
// of four.
#pragma once

#include <string_view>

#include "base/result.h"
#include "kernels/ops.h"
#include "model/arch.h"

namespace awq {

/// The type of a name on the command line, "f32", "f16" or "int8"; usage error for another name, and for a
/// type that `ops` does not take.
Result<DType> kv_cache_dtype(std::string_view name, const Ops& ops);

class KvCache {
 public:
  /// `dtype` F32, F16 or I8 (kernels/ops.h, KvView). Memory is touched as positions are filled.
  KvCache(Device& device, const Arch& arch, int64_t capacity, DType dtype);

  int64_t length() const { return length_; }
  int64_t capacity() const { return capacity_; }
  uint64_t bytes() const { return buffer_.size(); }
  KvView view(int64_t layer) const;

  /// After a step appended `count` positions.
  void advance(int64_t count) { length_ += count; }
  /// Forgets everything from position `length` on.
  void truncate(int64_t length) { length_ = length; }

 private:
  size_t scales_at_;  // bytes
  DeviceBuffer buffer_;
  DType dtype_;
  int64_t capacity_, head_dim_, kv_heads_, length_ = 0;
};

}  // namespace awq
