// What must hold for every tensor that a checkpoint reader lets through.
#pragma once

#include <cstdint>
#include <vector>

#include "base/check.h"
#include "checkpoint/source.h"

namespace awq {

inline constexpr int64_t kElements = 1 << 16;  // of a tensor, so that one input stays quick

inline void decode(const Checkpoint& checkpoint, const TensorInfo& tensor) {
  AWQ_CHECK(tensor.data.size() ==
                dtype_bytes(tensor.dtype, static_cast<uint64_t>(tensor.shape.elements())),
            tensor.name);
  if (tensor.shape.elements() > kElements) return;
  std::vector<float> out(static_cast<size_t>(tensor.shape.elements()) + 1);
  static_cast<void>(checkpoint.read_rows(tensor, 0, tensor.shape.rows(), out.data()));
}

}  // namespace awq
