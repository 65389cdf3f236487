// The shape rules of ops.h, checked once for every table: a violation is a bug of the caller and
// aborts with the values.
#pragma once

#include "kernels/ops.h"

namespace awq {

void check_matmul(Matrix x, const PackedWeight& w, Matrix y);
void check_embed(std::span<const int32_t> ids, const PackedWeight& table, Matrix y);
void check_norm(const NormArgs& args);
void check_rope(const RopeArgs& args);
void check_kv_append(const KvAppendArgs& args);
void check_attention(const AttentionArgs& args);
void check_score(Matrix logits, std::span<const int32_t> targets);
void check_same_shape(Matrix a, Matrix b);
/// `few` [rows.size(), cols] of `many`.
void check_rows(Matrix many, std::span<const int32_t> rows, Matrix few);
void check_float_weight(const FloatWeight& weight);
void check_quant_weight(const QuantWeight& weight);
void check_quant_words(const QuantWeight& facts, const QuantWords& words);

/// First key position that the query at `position` may see, and one past the last.
struct KeyRange {
  int64_t begin = 0, end = 0;
};
KeyRange visible_keys(const AttentionArgs& args, const Segment& segment, int64_t position);

}  // namespace awq
