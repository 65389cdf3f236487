// Which rows of which stored tensor a slot is: checkpoints fuse q, k, v and gate, up in several ways;
// everything after the loader sees them apart.
#pragma once

#include "model/family.h"

namespace awq {

struct RowRange {
  int64_t begin = 0, count = 0;
};

struct Placement {
  std::string module;
  int64_t stored_rows = 0;     ///< outputs of the stored tensor
  std::vector<RowRange> rows;  ///< the slot's outputs, in its own order
  bool transposed = false;     ///< stored [in, out]
  int64_t experts = 0;         ///< stored [experts, out, in]; 0: two extents
  int64_t paired_dim = 0;      ///< head size, where each head's halves lie in interleaved pairs
  std::vector<Slot> sharers;   ///< all slots of the tensor, in its order

  bool fused() const { return sharers.size() > 1; }
  Shape stored_shape(int64_t in) const {
    if (experts > 0) return {experts, stored_rows / experts, in};
    return transposed ? Shape{in, stored_rows} : Shape{stored_rows, in};
  }
  /// One range that lies as it is used.
  bool contiguous() const { return !transposed && rows.size() == 1 && paired_dim == 0; }
};

/// Where the `outputs` rows of `slot` lie.
Placement placement(const Family& family, Container container, const Arch& arch, Slot slot,
                    int64_t outputs, int64_t layer);

/// The modules that hold a norm's weights: one, or one for each head.
std::vector<std::string> norm_modules(const Family& family, Container container, const Arch& arch,
                                      const Norm& norm, int64_t layer);
/// The shape of the weights in each of them.
Shape norm_module_shape(const Family& family, Container container, const Arch& arch,
                        const Norm& norm);

/// The stored row of each of the slot's rows.
std::vector<int64_t> stored_rows(const Placement& place);

}  // namespace awq
