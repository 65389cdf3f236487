// Keys and values of one sequence, all layers: [layers][k, v][kv_heads][capacity][head_dim].
#pragma once

#include "model/arch.h"

namespace awq {

class KvCache {
 public:
  /// `dtype` F32 or F16. Memory is touched as positions are filled.
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
  DeviceBuffer buffer_;
  DType dtype_;
  int64_t capacity_, head_dim_, kv_heads_, length_ = 0;
};

}  // namespace awq
