// Attention of one query position: its keys are cut into parts of bounded length, each read once for
// all heads that share it, and the parts are merged in order. The cut depends on the keys alone, so
// results depend neither on the number of threads nor on who computes which part.
#pragma once

#include "kernels/check_shapes.h"
#include "kernels/cpu/kernel_table.h"
#include "kernels/ops.h"

namespace awq::cpu {

/// One query position against one kv head.
struct HeadQuery {
  const float* q = nullptr;  ///< [group, head_dim]: the heads that share the kv head
  int64_t group = 0, head_dim = 0;
  const KvView* kv = nullptr;
  int64_t kv_head = 0, position = 0;
  KeyRange keys;
  float scale = 1, softcap = 0;
  const float* slopes = nullptr;  ///< [group] or null

  int64_t parts() const { return (keys.end - keys.begin + kPartKeys - 1) / kPartKeys; }
  KeyRange part(int64_t i) const {
    const int64_t count = keys.end - keys.begin;
    return {keys.begin + count * i / parts(), keys.begin + count * (i + 1) / parts()};
  }
  int64_t score_count() const { return group * kPartKeys; }  ///< floats of scratch
};

/// Results of parts: [parts] of maximum [group], total [group], sums [group, head_dim].
struct PartSums {
  float* data = nullptr;
  int64_t group = 0, head_dim = 0;
  int64_t size() const { return (group * (2 + head_dim) + 15) / 16 * 16; }  ///< floats of a part
  float* largest(int64_t part) const { return data + part * size(); }
  float* total(int64_t part) const { return largest(part) + group; }
  float* out(int64_t part) const { return total(part) + group; }
};

/// Part `i` of a query to place `at` of the sums. `scores`: scratch of score_count().
void attend_part(const KernelTable& kernels, const HeadQuery& query, int64_t i, float* scores,
                 const PartSums& sums, int64_t at);

/// out [group, head_dim] of all parts of a query, which lie from `first` on and are overwritten.
void merge_parts(const KernelTable& kernels, const HeadQuery& query, const PartSums& sums,
                 int64_t first, float* out);

/// The vector of (kv_head, position) in the keys or values `data` of a view.
const void* kv_row(const KvView& kv, const void* data, int64_t kv_head, int64_t position,
                   int64_t head_dim);
/// Its scale in `scales`; null where the view has none.
const float* kv_scale(const KvView& kv, const float* scales, int64_t kv_head, int64_t position,
                      int64_t head_dim);
/// Appends k and v [head_dim] at (kv_head, position).
void store_kv(const KernelTable& kernels, const KvView& kv, int64_t kv_head, int64_t position,
              int64_t head_dim, const float* k, const float* v);

}  // namespace awq::cpu
