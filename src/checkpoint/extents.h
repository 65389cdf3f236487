// The size of a shape that a file declares.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "base/bytes.h"

namespace awq {

/// Elements of `extents`, or nothing when the product of the extents other than 0 leaves 63 bits.
/// Zeros are left out of that product, so that no partial product of the Shape can overflow.
inline std::optional<uint64_t> checked_elements(std::span<const int64_t> extents) {
  std::optional<uint64_t> product = 1;
  bool empty = false;
  for (const int64_t extent : extents) {
    if (extent < 0) return std::nullopt;
    if (extent == 0) {
      empty = true;
      continue;
    }
    product = checked_mul(*product, static_cast<uint64_t>(extent));
    if (!product || *product > uint64_t{INT64_MAX}) return std::nullopt;
  }
  return empty ? 0 : product;
}

}  // namespace awq
